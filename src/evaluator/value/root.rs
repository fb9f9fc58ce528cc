//! The whole context, as rules see it.

use std::{collections::BTreeMap, fmt, time::SystemTime};

use super::{
    super::{context::Context, slots::Kept},
    Object, Value, materialize,
};

/// The context that the caller gave and what flagd adds to it.
pub(in crate::evaluator) struct Root<'a> {
    pub(in crate::evaluator) context: &'a dyn Context,
    pub(in crate::evaluator) flag_key: &'a str,
    /// Unix seconds; the clock is read when a rule asks.
    pub(in crate::evaluator) timestamp: Option<i64>,
    /// The variables that the rule reads more than once.
    pub(in crate::evaluator) kept: Option<&'a dyn Kept>,
}

impl fmt::Debug for Root<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Root").field("flag_key", &self.flag_key).finish_non_exhaustive()
    }
}

impl<'a> Root<'a> {
    #[allow(clippy::cast_precision_loss)]
    pub(super) fn timestamp(&self) -> Value<'a> {
        let clock = || {
            let elapsed = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
            elapsed.map_or(0, |elapsed| i64::try_from(elapsed.as_secs()).unwrap_or(i64::MAX))
        };
        Value::Number(self.timestamp.unwrap_or_else(clock) as f64)
    }

    pub(super) fn materialize(&'a self) -> BTreeMap<String, Value<'a>> {
        let mut fields = materialize(self.context);
        fields.insert("$flagd".to_owned(), Value::Object(Object::Flagd(self)));
        fields
    }
}
