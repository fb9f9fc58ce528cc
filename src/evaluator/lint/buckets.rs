//! Warnings of `fractional`.

use serde_json::Value as Json;

use super::{
    linter::Linter,
    operators::Kinds,
    read::{evaluated, literal, operation},
};
use crate::evaluator::load::tree::{Kind, Tree};

/// The greatest sum of weights.
const GREATEST: f64 = 2_147_483_647.0;

/// The weight of a bucket, if it is written there and valid.
pub(crate) fn weight(bucket: &Tree) -> Option<f64> {
    let Kind::List(parts) = &bucket.kind else { return None };
    match parts.get(1).map(|weight| &weight.kind) {
        None | Some(Kind::Scalar(Json::Null)) => Some(1.0),
        Some(Kind::Scalar(Json::Number(weight))) => weight.as_f64().map(|weight| weight.max(0.0)),
        Some(_) => None,
    }
}

/// The buckets of `fractional`, without what it buckets by.
pub(crate) fn shares(value: &Tree) -> impl Iterator<Item = &Tree> {
    let parts = if let Kind::List(parts) = &value.kind { &**parts } else { &[] };
    let by = parts.first().is_some_and(|part| !matches!(part.kind, Kind::List(_)));
    parts.iter().skip(usize::from(by)).map(|bucket| &**bucket)
}

impl<'t> Linter<'t> {
    pub(crate) fn buckets(&mut self, value: &'t Tree) {
        let parts = self.list("fractional", value, 1, usize::MAX);
        if let Some(first) = parts.first().filter(|first| !matches!(first.kind, Kind::List(_))) {
            self.bucketed_by(first);
        }
        let before = self.warnings.len();
        let buckets: Vec<&Tree> = shares(value).collect();
        for bucket in &buckets {
            self.bucket(bucket);
        }
        if self.warnings.len() > before || parts.is_empty() {
            return;
        }
        let weights: Option<Vec<f64>> = buckets.iter().map(|bucket| weight(bucket)).collect();
        let Some(weights) = weights else { return };
        let total: f64 = weights.iter().sum();
        if total > GREATEST {
            let message = "the sum of the weights is above 2147483647: `fractional` is always null";
            self.warn(value.at, message);
        } else if total == 0.0 {
            self.warn(value.at, "there is no weight above 0: `fractional` chooses no variant");
        } else if weights.len() == 1 {
            self.warn(value.at, "a single bucket takes everybody, whatever its weight is");
        }
    }

    /// What the users are told apart by.
    fn bucketed_by(&mut self, first: &'t Tree) {
        if Kinds::of(first) == Kinds::OBJECT {
            self.rule(first);
        }
        let kinds = self.kinds(first);
        let value = literal(first).or_else(|| {
            let arguments = operation(first).and_then(|operation| literal(&operation.value))?;
            let pure = !arguments.is_null() && kinds == Kinds::STRING;
            pure.then(|| evaluated(first).ok())?
        });
        if value.is_some_and(|value| value.is_string()) {
            self.warn(first.at, "this value is the same for everybody: all get the same variant");
        } else if !kinds.meets(Kinds::STRING | Kinds::NULL) {
            // An array is a bucket.
            let so = if kinds.meets(Kinds::ARRAY) {
                ""
            } else {
                ": `fractional` is always null up to flagd 0.16"
            };
            let message = format!("expected a string to bucket by, got {kinds}{so}");
            self.warn(first.at, message);
        }
    }

    fn bucket(&mut self, bucket: &'t Tree) {
        const SHAPE: &str = "a bucket should be an array of a variant and its weight";
        let Kind::List(parts) = &bucket.kind else { return self.warn(bucket.at, SHAPE) };
        if !(1..=2).contains(&parts.len()) {
            self.warn(bucket.at, SHAPE);
        }
        if let Some(variant) = parts.first() {
            self.argument(variant);
            let kinds = self.kinds(variant);
            if !kinds.meets(Kinds::STRING | Kinds::NUMBER | Kinds::BOOLEAN | Kinds::NULL) {
                let message =
                    format!("expected a variant, got {kinds}: `fractional` is always null");
                self.warn(variant.at, message);
            }
        }
        let Some(weight) = parts.get(1) else { return };
        let message = match &weight.kind {
            Kind::Object(_) => {
                self.rule(weight);
                let kinds = self.kinds(weight);
                if kinds.meets(Kinds::NUMBER | Kinds::NULL) {
                    return;
                }
                "a weight should be a number: `fractional` is always null"
            }
            Kind::Scalar(Json::Number(number)) => match number.as_f64().unwrap_or_default() {
                weight if weight.fract() != 0.0 => {
                    "a weight should be a whole number: `fractional` is always null"
                }
                weight if weight < 0.0 => "a weight below 0 counts as 0",
                weight if weight > GREATEST => {
                    "a weight above 2147483647 is invalid: `fractional` is always null"
                }
                _ => return,
            },
            Kind::Scalar(Json::Null) => "a weight of null counts as 1",
            _ => "a weight should be a number: `fractional` is always null",
        };
        self.warn(weight.at, message);
    }
}
