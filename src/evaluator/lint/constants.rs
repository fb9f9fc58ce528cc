//! Warnings about what is the same in every context.
//!
//! A rule is there to distinguish contexts. Where a comparison, a condition or an
//! argument is always the same, something else was probably meant: a string in
//! the place of a variable, a threshold that is the wrong way round, a number of
//! variables that cannot be reached. `true` and `false` as conditions are
//! different: people write them on purpose, to switch a branch on or off.
//!
//! ```text
//! {"if": ["email", "on"]}              this condition is always true
//! {"<": [5, {"var": "age"}, 3]}        `<` is always false: nothing lies between 5 and 3
//! {"or": ["on", {"var": "x"}]}         this is always true: `or` never evaluates what follows
//! ```
//!
//! Results are found by evaluation, with the evaluator that also evaluates flags.

use std::rc::Rc;

use serde_json::Value as Json;

use super::{
    linter::Linter,
    operators::{Kinds, Operator},
    read::{evaluated, fixed, literal, operation},
};
use crate::evaluator::{
    load::tree::{Entry, Kind, Tree},
    number,
    value::{Fail, Value},
};

/// The number that is written in the rule, if it is one.
fn number(tree: &Tree) -> Option<f64> {
    literal(tree)?.as_f64()
}

impl<'t> Linter<'t> {
    /// Warns about an operation on literals that always fails, and about a
    /// comparison of literals.
    pub(crate) fn constant(&mut self, operation: &'t Entry, operator: &Operator) {
        let name = &operation.name;
        if literal(&operation.value).is_none() {
            return;
        }
        match evaluated(name, &operation.value) {
            Err(Fail(reason)) => {
                self.warn(operation.at, format!("`{name}` fails (PARSE_ERROR): {reason}"));
            }
            Ok(value) if operator.compares() && value.is_boolean() => {
                self.warn(operation.at, format!("`{name}` is always {value} of these values"));
            }
            Ok(_) => {}
        }
    }

    /// Warns about a condition of `if`, or an item of `and` or `or`, that is
    /// always true or always false. The last item is not a condition but a
    /// result.
    pub(crate) fn condition(&mut self, operator: &str, item: &'t Tree, index: usize, items: usize) {
        let is_last = index + 1 == items;
        if is_last || !matches!(operator, "if" | "and" | "or") || operator == "if" && index % 2 == 1
        {
            return;
        }
        let Some(holds) = self.holds(item) else { return };
        let message = match operator {
            "if" => format!("this condition is always {holds}"),
            _ if holds == (operator == "or") => {
                format!("this is always {holds}: `{operator}` never evaluates what follows")
            }
            _ => format!("this is always {holds}, and has no effect in `{operator}`"),
        };
        self.warn(item.at, message);
    }

    /// Whether a condition always holds or never does; `None` for `true` and
    /// `false`, which are meant, and for what depends on the context.
    fn holds(&self, condition: &'t Tree) -> Option<bool> {
        let other = |value: &Json| !value.is_boolean();
        let value = match operation(condition) {
            None => literal(condition).filter(other),
            Some(reference) if reference.name == "$ref" => {
                self.referred(reference).and_then(literal).filter(other)
            }
            Some(junction) if matches!(&*junction.name, "and" | "or") => {
                let Kind::List(items) = &junction.value.kind else { return None };
                let or = junction.name == "or";
                let held: Vec<_> = items.iter().map(|item| self.holds(item)).collect();
                return if held.contains(&Some(or)) {
                    Some(or)
                } else {
                    held.iter().all(|holds| *holds == Some(!or)).then_some(!or)
                };
            }
            Some(_) => fixed(condition),
        };
        value.map(|value| Value::from(&value).is_true())
    }

    /// Warns about a divisor of 0, and about bounds that no number lies between.
    pub(crate) fn extremes(&mut self, operator: &str, items: &[Rc<Tree>]) {
        match (operator, items) {
            ("/" | "%", [_, divisor]) => {
                let divisor_is_zero = literal(divisor)
                    .is_some_and(|value| Value::from(&value).to_number() == Ok(0.0));
                if divisor_is_zero {
                    let message = "a number divided by 0 cannot be written as JSON: as the result \
                        of the rule, it fails (PARSE_ERROR)";
                    self.warn(divisor.at, message);
                }
            }
            ("<" | "<=", [low, _, high]) => {
                if let (Some(a), Some(b)) = (number(low), number(high))
                    && (if operator == "<" { a >= b } else { a > b })
                {
                    let message =
                        format!("`{operator}` is always false: nothing lies between {a} and {b}");
                    self.warn(low.at, message);
                }
            }
            _ => {}
        }
    }

    /// Checks the number of variables that `missing_some` wants, of `names` that
    /// it lists.
    pub(crate) fn wanted(&mut self, count: &'t Tree, names: usize) {
        let Some(wanted) = number(count).map(number::to_integer) else { return };
        if wanted <= 0 {
            self.warn(count.at, "no variable is wanted: `missing_some` is always empty");
        } else if usize::try_from(wanted).is_ok_and(|wanted| wanted > names) {
            let message = format!(
                "{wanted} of {names} names are never there: use `missing`, which gives the same"
            );
            self.warn(count.at, message);
        }
    }

    /// Checks the array that `in` looks through. An array in it is a range of
    /// numbers, both bounds included.
    pub(crate) fn ranges(&mut self, arguments: &[&'t Tree]) {
        let Some(Tree { at, kind: Kind::List(items), .. }) = arguments.get(1) else { return };
        if items.is_empty() {
            return self.warn(*at, "`in` never holds: the array is empty");
        }
        for item in items {
            let Kind::List(bounds) = &item.kind else { continue };
            let numbers = bounds.iter().all(|bound| self.kinds(bound).meets(Kinds::NUMBER));
            if bounds.len() < 2 {
                let message = "an array in the array is a range, which needs two numbers: `in` fails \
                    (PARSE_ERROR) where it compares with this one";
                self.warn(item.at, message);
            } else if bounds.len() > 2 || !numbers {
                let message = "an array in the array is a range of two numbers: a string that is not \
                    a number counts as 0, other types fail (PARSE_ERROR), and what follows is ignored";
                self.warn(item.at, message);
            } else if let (Some(low), Some(high)) = (number(&bounds[0]), number(&bounds[1]))
                && low > high
            {
                self.warn(item.at, format!("nothing lies in this range, from {low} to {high}"));
            }
        }
    }
}
