//! Variables that a rule reads more than once: each is looked up once only.
//!
//! A context is a trait object whose lookups may be slow, and a long `if` reads
//! the same variable in each of its conditions. When a rule is compiled,
//! [`assign`] numbers the variables that occur more than once. An evaluation has
//! [`Slots`], an array with a cell for each number, which the first read fills.
//! A variable that occurs once has no number, and is read from the context.
//!
//! ```text
//! {"if": [{"==": [{"var": "plan"}, "pro"]},  "a",     plan: slot 0
//!         {"==": [{"var": "plan"}, "team"]}, "b",
//!         {"var": "fallback"}]}                       fallback: no slot
//! ```
//!
//! The array is on the stack, of one of two sizes, and only in a rule with more
//! than [`FEW`] such variables on the heap.

use std::{cell::OnceCell, collections::HashMap};

use foldhash::fast::RandomState;

use super::{
    node::{Node, Subject, Variable},
    variable,
};
use crate::evaluator::value::{Kept, Object, Root, Value, path::Path};

/// The most slots for which an evaluation uses the stack.
pub(crate) const FEW: usize = 32;

/// The variables that one evaluation has read: in an array, or in a `Vec` if they
/// are many.
///
/// The values borrow from the context. Since a cell is filled at most once, a
/// reference to it stays valid for the whole evaluation.
pub(crate) struct Slots<'r, V> {
    /// The context that the variables are read from.
    root: &'r Root<'r>,
    /// A cell for each slot, empty until its variable is read.
    values: V,
}

impl<'r, const N: usize> Slots<'r, [OnceCell<Value<'r>>; N]> {
    /// Empty slots on the stack. `N` must be at least the rule's number of slots.
    pub(crate) fn new(root: &'r Root<'r>) -> Self {
        Self { root, values: [const { OnceCell::new() }; N] }
    }
}

impl<'r> Slots<'r, Vec<OnceCell<Value<'r>>>> {
    /// Empty slots on the heap.
    pub(crate) fn many(root: &'r Root<'r>, count: usize) -> Self {
        Self { root, values: vec![OnceCell::new(); count] }
    }
}

impl<'r, V: AsRef<[OnceCell<Value<'r>>]>> Kept for Slots<'r, V> {
    fn get(&self, slot: usize, path: &Path) -> &Value<'_> {
        self.values.as_ref()[slot]
            .get_or_init(|| variable::read(path, &Value::Object(Object::Root(self.root))))
    }
}

/// Gives a slot to each variable that occurs more than once, and returns the number
/// of slots. They are numbered in the order in which their variables first occur.
///
/// Only the parts that are evaluated on the context count. The bodies of `map`,
/// `reduce` and so on are evaluated on items, so one name stands for another value
/// each time.
pub(crate) fn assign(rule: &mut Node) -> usize {
    let mut found: HashMap<Path, Found, RandomState> = HashMap::default();
    each(rule, &mut |variable| match found.get_mut(&variable.path) {
        Some(found) => found.again = true,
        None => drop(found.insert(variable.path.clone(), Found::default())),
    });
    let mut slots = 0;
    each(rule, &mut |variable| {
        let found = found.get_mut(&variable.path).filter(|found| found.again);
        variable.slot = found.and_then(|found| {
            if found.slot.is_none() {
                found.slot = Some(slots);
                slots += 1;
            }
            found.slot
        });
    });
    slots
}

/// What [`assign`] knows of a variable. Names that are written differently but read
/// the same, such as `a` and `a.`, are one variable.
#[derive(Default)]
struct Found {
    /// Whether it occurs more than once.
    again: bool,
    /// Its number, once it has one.
    slot: Option<usize>,
}

/// Calls `visit` with each variable that is read from the context, in the order in
/// which they are written.
///
/// The variable of a switch is visited beside those of its conditions, so it
/// always occurs more than once.
fn each(node: &mut Node, visit: &mut dyn FnMut(&mut Variable)) {
    match node {
        Node::Constant(_) | Node::Fail(_) => {}
        Node::Variable(variable) => visit(variable),
        Node::VariableOr(variable, default) => {
            visit(variable);
            each(default, visit);
        }
        Node::ComputedVariable(inner) | Node::Call(_, inner) => each(inner, visit),
        Node::Compare(_, sides) => sides.iter_mut().for_each(|side| each(side, visit)),
        Node::List(items) | Node::And(items) | Node::Or(items) | Node::If(items) => {
            for item in items {
                each(item, visit);
            }
        }
        Node::Switch(switch) => {
            visit(&mut switch.variable);
            switch.clauses.iter_mut().for_each(|clause| each(clause, visit));
        }
        Node::Member(member) => each(&mut member.needle, visit),
        Node::Each(operator) => subject(&mut operator.subject, visit),
        Node::Reduce(operator) => {
            subject(&mut operator.subject, visit);
            each(&mut operator.start, visit);
        }
    }
}

/// The same for what an operator iterates over.
fn subject(subject: &mut Subject, visit: &mut dyn FnMut(&mut Variable)) {
    match subject {
        Subject::Nothing | Subject::Literal(_) => {}
        Subject::Rule(rule) => each(rule, visit),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value as Json, json};

    use crate::evaluator::rule::{compile::compile, operators::testing::on};

    fn slots(rule: &Json) -> usize {
        compile(rule).unwrap().slots
    }

    #[test]
    fn variables_that_occur_twice_have_a_slot() {
        assert_eq!(slots(&json!({"+": [{"var": "a"}, {"var": "b"}]})), 0);
        assert_eq!(slots(&json!({"+": [{"var": "a"}, {"var": "a."}, {"var": "b"}]})), 1);
        assert_eq!(
            slots(&json!({"+": [{"var": "a"}, {"var": ["a", {"var": "b"}]}, {"var": "b"}]})),
            2
        );
        // In a body they are other variables.
        let body = json!({"+": [{"var": "a"}, {"var": "a"}]});
        assert_eq!(slots(&json!({"map": [{"var": "a"}, body]})), 0);
        assert_eq!(slots(&json!({"reduce": [{"var": "a"}, body, {"var": "a"}]})), 1);
        let many: Vec<_> = (0..80).map(|n| json!({"var": format!("v{}", n % 40)})).collect();
        assert_eq!(slots(&json!({"+": many})), 40);
    }

    #[test]
    fn slots_hold_what_the_context_holds() {
        let context = json!({"a": 1, "b": "2", "o": {"a": [5]}});
        let many: Vec<_> = (0..80).map(|n| json!({"var": [format!("v{}", n % 40), 1]})).collect();
        for (rule, expected) in [
            (json!({"+": [{"var": "a"}, {"var": "a"}, {"var": "b"}, {"var": "b"}]}), "6"),
            (json!({"+": [{"var": "o.a.0"}, {"var": "o.a.0"}]}), "10"),
            (json!({"cat": [{"var": "nope"}, {"var": ["nope", "x"]}]}), r#""x""#),
            (
                json!({"+": [{"var": "a"}, {"var": "a"}, {"reduce": [[7], {"var": "a"}, 1]}]}),
                "fails",
            ),
            (json!({"map": [[{"a": 7}], {"+": [{"var": "a"}, {"var": "a"}]}]}), "[14]"),
            (json!({"+": many}), "80"),
        ] {
            assert_eq!(on(&rule, &context), expected, "{rule}");
        }
    }
}
