//! The evaluator's result for a case, as each version of the protocol would carry it.

use flagstaff::evaluator::{ErrorCode, FlagSet, Outcome, Reason};
use serde_json::{Map, Value, json};

use crate::{
    Verdict,
    answer::{same, status, tidy},
    case::{Case, Expected, Kind, zero},
};

/// The lowest integer of 64 bits.
pub(crate) const LOWEST: f64 = -9_223_372_036_854_775_808.0;

impl Case {
    /// Evaluates the case in this process.
    pub(crate) fn judge(&self) -> Verdict {
        let set = match (FlagSet::parse(&self.definition), &self.expected) {
            (Err(_), Expected::Rejected(_)) => return Verdict::Agrees,
            (Err(error), _) => return Verdict::Differs(format!("{}: rejected: {error}", self.key)),
            (Ok(set), _) => set,
        };
        let outcome = set.evaluate(&self.key, &self.context);
        match &self.expected {
            // The definition is accepted, only this flag is left out.
            Expected::Rejected(reason) if reason.starts_with("unable to insert flag") => {
                match outcome.error {
                    Some(ErrorCode::FlagNotFound) => Verdict::Agrees,
                    _ => Verdict::Differs(format!("{}: not left out: {reason}", self.key)),
                }
            }
            Expected::Rejected(reason) => {
                Verdict::Differs(format!("{}: not rejected: {reason}", self.key))
            }
            Expected::Answers { v1, v2, .. } => self.compare(&outcome, v1, v2),
        }
    }

    fn compare(&self, outcome: &Outcome<'_>, v1: &Value, v2: &Value) -> Verdict {
        let answers = [
            (v2, self.answer_v2(outcome), None),
            (v1, self.answer_v1(outcome), Some(zero(self.kind))),
        ];
        for (expected, given, zero) in answers {
            if !same(&tidy(expected, zero.as_ref()), &tidy(&given, zero.as_ref())) {
                let with_lowest = answer(outcome, Some(LOWEST.into()));
                let fails = outcome.integer() == Err(ErrorCode::TypeMismatch);
                let as_flagd = same(&tidy(expected, None), &tidy(&with_lowest, None));
                if self.is_beyond_64_bits() && fails && as_flagd {
                    return Verdict::ByRule;
                }
                return Verdict::Differs(format!("{}: {given} in place of {expected}", self.key));
            }
        }
        Verdict::Agrees
    }

    /// Whether an integer is requested and the number has more than 64 bits: then flagd returns
    /// [`LOWEST`], and the rest of the response is the same.
    pub(crate) fn is_beyond_64_bits(&self) -> bool {
        let set =
            FlagSet::parse(&self.definition).ok().filter(|_| matches!(self.kind, Kind::Integer));
        let number = set.and_then(|set| set.evaluate(&self.key, &self.context).float().ok()?);
        number.is_some_and(|number| !(LOWEST..-LOWEST).contains(&number))
    }

    fn value(&self, outcome: &Outcome<'_>) -> Result<Option<Value>, ErrorCode> {
        Ok(match self.kind {
            Kind::Boolean => outcome.boolean()?.map(Value::from),
            Kind::String => outcome.string()?.map(Value::from),
            Kind::Integer => outcome.integer()?.map(Value::from),
            Kind::Float => outcome.float()?.map(Value::from),
            Kind::Object => outcome.object()?.map(|object| Value::Object(object.clone())),
        })
    }

    fn answer_v2(&self, outcome: &Outcome<'_>) -> Value {
        match self.value(outcome) {
            Ok(value) => answer(outcome, value),
            Err(error) => json!({"error": status(error), "message": error.to_string()}),
        }
    }

    /// Like version 2, except that a flag without a default variant is missing.
    fn answer_v1(&self, outcome: &Outcome<'_>) -> Value {
        if outcome.reason == Reason::Default && outcome.value.is_none() {
            let error = ErrorCode::FlagNotFound;
            return json!({"error": status(error), "message": error.to_string()});
        }
        self.answer_v2(outcome)
    }
}

fn answer(outcome: &Outcome<'_>, value: Option<Value>) -> Value {
    let mut answer = Map::new();
    answer.extend(value.map(|value| ("value".to_owned(), value)));
    let variant = outcome.variant.filter(|variant| !variant.is_empty());
    answer.extend(variant.map(|variant| ("variant".to_owned(), variant.into())));
    answer.insert("reason".to_owned(), outcome.reason.as_str().into());
    answer.insert("metadata".to_owned(), Value::Object(outcome.metadata.clone()));
    Value::Object(answer)
}
