//! Logs the warnings about valid definitions, each of them once.
//!
//! A valid definition may still contain what can never work, such as a rule with
//! an unknown operator. `flagstaff check` lists such warnings before the flags are
//! deployed; this module logs them when the flags are loaded. A definition is
//! often delivered again with one flag changed, and its warnings must then not
//! fill the log again. So what was logged is remembered for each flag, as a hash
//! of its definition and of its warnings:
//!
//! ```text
//! first definition    a: warning    logged
//! b is added          a: warning    not logged, a is the same
//! a is edited         a: warning    logged, somebody works on a
//! a is removed        -             forgotten, so it would be logged again
//! ```
//!
//! Hashes rather than texts, because definitions are large. Two that collide would
//! hide a warning in the log, which is harmless.

use std::{collections::HashMap, hash::BuildHasher, sync::Arc};

use foldhash::fast::RandomState;
use tokio::task::spawn_blocking;
use tracing::Level;

use super::flag_source::{Definition, Format};
use crate::{
    evaluator::{Diagnostic, FlagSet, lint, lint_yaml},
    excerpt::excerpt,
};

/// How many warnings of a definition are logged, followed by the number of the
/// rest.
const MOST: usize = 20;

/// The warnings that were logged about the definitions of one source.
#[derive(Debug, Default)]
pub(crate) struct Warned {
    hasher: RandomState,
    /// A hash of the definition that was checked last.
    last: Option<u64>,
    /// The flags with warnings, and a hash of the definition and the warnings of
    /// each. The key `None` stands for warnings about the definition as a whole.
    flags: HashMap<Option<String>, u64>,
}

/// Finds the warnings about a definition, on the blocking pool, because it may be
/// large.
pub(crate) async fn look(definition: Arc<Definition>) -> Vec<Diagnostic> {
    let looked = spawn_blocking(move || match definition.format {
        Format::Json => lint(&definition.text),
        Format::Yaml => lint_yaml(&definition.text),
    });
    // A definition that was loaded can be checked too, unless the runtime shuts down.
    looked.await.ok().and_then(Result::ok).unwrap_or_default()
}

impl Warned {
    /// Whether a definition must be checked: it differs from the last one, and
    /// warnings are logged at all.
    pub(crate) fn is_new(&mut self, text: &str, format: Format) -> bool {
        if !tracing::enabled!(Level::WARN) {
            return false;
        }
        let hash = self.hasher.hash_one((text, format));
        self.last.replace(hash) != Some(hash)
    }

    /// Logs the new warnings about a whole definition, which replaces the last one.
    pub(crate) fn log(&mut self, source: &str, warnings: &[Diagnostic], flags: &FlagSet) {
        let former = std::mem::take(&mut self.flags);
        self.log_anew(source, warnings, flags, &former);
    }

    /// Logs the new warnings about a partial update: `flags` are set, `removed` no
    /// longer exist, and all others stay.
    #[cfg(feature = "server")]
    pub(crate) fn log_some(
        &mut self,
        source: &str,
        warnings: &[Diagnostic],
        flags: &FlagSet,
        removed: &[String],
    ) {
        let is_set = |flag: &Option<String>, _: &mut u64| {
            flag.as_deref().is_none_or(|key| flags.contains(key))
        };
        self.flags.retain(|flag, _| flag.as_ref().is_none_or(|key| !removed.contains(key)));
        let former = self.flags.extract_if(is_set).collect();
        self.log_anew(source, warnings, flags, &former);
    }

    /// Logs the warnings about flags that are not the same as in `former`, or
    /// whose warnings are not, and remembers them all.
    fn log_anew(
        &mut self,
        source: &str,
        warnings: &[Diagnostic],
        flags: &FlagSet,
        former: &HashMap<Option<String>, u64>,
    ) {
        for Diagnostic { flag, message, .. } in warnings {
            let definition = || flag.as_ref().and_then(|key| flags.definition(key));
            let hash = self
                .flags
                .entry(flag.clone())
                .or_insert_with(|| self.hasher.hash_one(definition()));
            *hash = self.hasher.hash_one((*hash, message));
        }
        let is_new =
            |warning: &&Diagnostic| former.get(&warning.flag) != self.flags.get(&warning.flag);
        let mut new = warnings.iter().filter(is_new);
        let source = &*excerpt(source);
        for Diagnostic { flag, message, line, column, .. } in new.by_ref().take(MOST) {
            let flag = flag.as_deref().map(excerpt);
            let flag = flag.as_deref();
            tracing::warn!(source, flag, line, column, "{}", excerpt(message));
        }
        match new.count() {
            0 => {}
            more => tracing::warn!(
                source,
                more,
                "a flag definition has more warnings, which `flagstaff check` lists"
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn warnings(text: &str) -> (Vec<Diagnostic>, FlagSet) {
        (lint(text).unwrap(), FlagSet::parse(text).unwrap())
    }

    /// How many warnings would be logged.
    fn logged(warned: &mut Warned, text: &str) -> usize {
        let (warnings, flags) = warnings(text);
        let former = warned.flags.clone();
        warned.log("source", &warnings, &flags);
        warnings.iter().filter(|w| former.get(&w.flag) != warned.flags.get(&w.flag)).count()
    }

    fn flags(flags: &str) -> String {
        format!(r#"{{"flags": {{{flags}}}}}"#)
    }

    #[test]
    fn a_warning_is_new_once_its_flag_changed() {
        let mut warned = Warned::default();
        let bad = r#""a": {"state": "ENABLED", "variants": {"x": 1}, "targeting": {"nope": []}}"#;
        let other = r#""b": {"state": "ENABLED", "variants": {"x": 1}}"#;
        assert_eq!(logged(&mut warned, &flags(bad)), 1);
        assert_eq!(logged(&mut warned, &flags(&format!("{other},\n {bad}"))), 0);
        let changed = bad.replace("\"x\": 1", "\"x\": 2");
        assert_eq!(logged(&mut warned, &flags(&changed)), 1);
        assert_eq!(logged(&mut warned, &flags(other)), 0);
        assert_eq!(logged(&mut warned, &flags(&changed)), 1);
        assert_eq!(logged(&mut warned, r#"{"flags": {}, "metadata": {"flagSetId": ""}}"#), 1);
        assert_eq!(logged(&mut warned, r#"{"flags": {}, "metadata": {"flagSetId": "" }}"#), 0);
    }
}
