//! Warnings about `fractional`.
//!
//! A mistake in a split of users is hard to notice: the rule still returns a
//! variant, only not the one that was meant, or for other users. So the checks go
//! beyond the types. They find splits in which everybody or nobody is chosen,
//! whatever the context is.
//!
//! ```text
//! {"fractional": [["a", 50], ["b", 0]]}          all of the weight is on `a`
//! {"fractional": ["seed", ["a", 1], ["b", 1]]}   this value is the same for everybody
//! {"fractional": [["a", 0.5], ["b", 0.5]]}       a weight should be a whole number
//! ```
//!
//! Weights may be rules, whose results are not known. If there is one, nothing is
//! said about the sum.

use serde_json::Value as Json;

use super::{
    linter::Linter,
    operators::Kinds,
    read::{evaluated, literal, operation},
};
use crate::evaluator::load::tree::{Kind, Tree};

/// The greatest weight, and the greatest sum of weights: 2^31 - 1.
const GREATEST: f64 = 2_147_483_647.0;

/// The weight of a bucket, if it is written in the rule and valid; `None`
/// otherwise. It is 1 if it is missing or null, and 0 if it is negative.
pub(crate) fn weight(bucket: &Tree) -> Option<f64> {
    let Kind::List(parts) = &bucket.kind else { return None };
    match parts.get(1).map(|weight| &weight.kind) {
        None | Some(Kind::Scalar(Json::Null)) => Some(1.0),
        Some(Kind::Scalar(Json::Number(weight))) => {
            let weight = weight.as_f64()?;
            (weight.fract() == 0.0 && weight <= GREATEST).then_some(weight.max(0.0))
        }
        Some(_) => None,
    }
}

/// The variant of a bucket, which may be a rule.
fn variant(bucket: &Tree) -> Option<&Tree> {
    match &bucket.kind {
        Kind::List(parts) => parts.first().map(|variant| &**variant),
        _ => None,
    }
}

/// The buckets of `fractional`, without the value to bucket by: a first argument
/// that is not an array is that value.
pub(crate) fn shares(value: &Tree) -> impl Iterator<Item = &Tree> {
    let parts = if let Kind::List(parts) = &value.kind { &**parts } else { &[] };
    let by = parts.first().is_some_and(|part| !matches!(part.kind, Kind::List(_)));
    parts.iter().skip(usize::from(by)).map(|bucket| &**bucket)
}

impl<'t> Linter<'t> {
    /// Checks the arguments of `fractional`.
    ///
    /// Nothing is said about the sum of the weights if one of them is not known.
    pub(crate) fn buckets(&mut self, value: &'t Tree) {
        let parts = self.list("fractional", value, 1, usize::MAX);
        if let Some(first) = parts.first().filter(|first| !matches!(first.kind, Kind::List(_))) {
            self.bucketed_by(first);
        }
        let buckets: Vec<&Tree> = shares(value).collect();
        let weights: Vec<_> = buckets.iter().map(|bucket| self.bucket(bucket)).collect();
        let weights: Option<Vec<f64>> = weights.into_iter().collect();
        let Some(weights) = weights.filter(|_| !parts.is_empty()) else { return };
        let total: f64 = weights.iter().sum();
        if total > GREATEST {
            let message = "the sum of the weights is above 2147483647: `fractional` is always null";
            self.warn(value.at, message);
        } else if total == 0.0 {
            self.warn(value.at, "there is no weight above 0: `fractional` chooses no variant");
        } else if weights.len() == 1 {
            self.warn(value.at, "a single bucket takes everybody, whatever its weight is");
        } else {
            let chosen = buckets.iter().zip(&weights).filter(|(_, weight)| **weight > 0.0);
            self.all_weight(
                value,
                &chosen.filter_map(|(bucket, _)| variant(bucket)).collect::<Vec<_>>(),
            );
        }
    }

    /// Warns if all buckets with a weight have the same variant.
    fn all_weight(&mut self, value: &Tree, variants: &[&Tree]) {
        let Some((first, others)) = variants.split_first() else { return };
        let first = literal(first);
        if others.iter().all(|other| first.is_some() && literal(other) == first) {
            let name = first.as_ref().and_then(Json::as_str);
            let on = name.map_or_else(|| "one bucket".to_owned(), |name| format!("`{name}`"));
            self.warn(value.at, format!("all of the weight is on {on}"));
        }
    }

    /// Checks the value to bucket by, which should be a string that differs from
    /// user to user.
    fn bucketed_by(&mut self, first: &'t Tree) {
        if Kinds::of(first) == Kinds::OBJECT {
            self.rule(first);
        }
        let kinds = self.kinds(first);
        let same = match operation(first) {
            None => kinds == Kinds::STRING,
            Some(_) if self.is_flag_key(first) => true,
            Some(operation) if kinds == Kinds::STRING => match &operation.value.kind {
                Kind::List(items) => {
                    let fixed = |item| literal(item).is_some() || self.is_flag_key(item);
                    items.iter().all(|item| fixed(item))
                        && evaluated(&operation.name, &operation.value).is_ok()
                }
                Kind::Scalar(value) => !value.is_null(),
                Kind::Object(_) => false,
            },
            Some(_) => false,
        };
        if same {
            self.warn(first.at, "this value is the same for everybody: all get the same variant");
        } else if !kinds.meets(Kinds::STRING | Kinds::NULL) {
            // A first argument that is an array would be a bucket, and a rule may result in one.
            let so = if kinds.meets(Kinds::ARRAY) {
                ""
            } else {
                ": `fractional` is always null up to flagd 0.16"
            };
            let message = format!("expected a string to bucket by, got {kinds}{so}");
            self.warn(first.at, message);
        }
    }

    /// Checks a bucket, and returns its weight; `None` if it is invalid or
    /// depends on the context.
    fn bucket(&mut self, bucket: &'t Tree) -> Option<f64> {
        const SHAPE: &str = "a bucket should be an array of a variant and its weight";
        let Kind::List(parts) = &bucket.kind else {
            self.warn(bucket.at, SHAPE);
            return None;
        };
        if !(1..=2).contains(&parts.len()) {
            self.warn(bucket.at, SHAPE);
        }
        let mut known = weight(bucket).filter(|_| !parts.is_empty());
        if let Some(variant) = parts.first() {
            self.argument(variant);
            let kinds = self.kinds(variant);
            if !kinds.meets(Kinds::STRING | Kinds::NUMBER | Kinds::BOOLEAN | Kinds::NULL) {
                let message =
                    format!("expected a variant, got {kinds}: `fractional` is always null");
                self.warn(variant.at, message);
                known = None;
            }
        }
        let Some(weight) = parts.get(1) else { return known };
        let message = match &weight.kind {
            Kind::Object(_) => {
                self.rule(weight);
                let kinds = self.kinds(weight);
                if kinds.meets(Kinds::NUMBER | Kinds::NULL) {
                    return known;
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
                _ => return known,
            },
            Kind::Scalar(Json::Null) => "a weight of null counts as 1",
            _ => "a weight should be a number: `fractional` is always null",
        };
        self.warn(weight.at, message);
        known
    }
}
