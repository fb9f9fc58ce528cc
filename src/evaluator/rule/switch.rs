//! An `if` with many conditions of one form, that a variable equals a string: the
//! condition that holds is looked up in a table, so that it does not matter how
//! many there are.
//!
//! ```json
//! {"if": [
//!   {"==": [{"var": "country"}, "AT"]}, "euro",
//!   {"==": [{"var": "country"}, "CH"]}, "franc",
//!   {"==": [{"var": "country"}, "DE"]}, "euro",
//!   {"==": [{"var": "country"}, "FI"]}, "euro",
//!   {"<": [{"var": "age"}, 18]},        "none",
//!   "dollar"
//! ]}
//! ```
//!
//! becomes
//!
//! ```text
//! variable  country
//! clauses   all 11 conditions and results
//! branches  AT: 0, CH: 2, DE: 4, FI: 6
//! end       8
//! ```
//!
//! For the country `DE`, evaluation starts at clause 4, whose condition holds. For
//! `SE`, it starts at clause 8. For a value that is not a string, it starts at
//! clause 0: `{"==": [7, "7"]}` is true.
//!
//! The clauses are evaluated from there as those of any `if`, so that a table can
//! leave out work but cannot change a result.

use serde_json::Value as Json;

use super::{
    node::{Node, Switch},
    operator::Comparison,
};
use crate::evaluator::{by_name::ByName, value::path::Path};

/// The fewest conditions for which a table is built. Fewer are compared one after
/// the other.
const FEWEST: usize = 4;

/// Turns the clauses of an `if` into a switch, or returns them as they are if too few
/// of the conditions at the beginning are of the form.
///
/// Conditions count up to the first that has another form or reads another variable.
pub(crate) fn of_clauses(clauses: Vec<Node>) -> Result<Switch, Vec<Node>> {
    let mut found: Option<&Path> = None;
    let mut branches = ByName::default();
    let mut end = 0;
    for pair in clauses.chunks_exact(2) {
        let Some((path, text)) = condition(&pair[0]) else { break };
        if found.is_some_and(|found| found != path) {
            break;
        }
        found = Some(path);
        branches.entry(text.into()).or_insert(end);
        end += 2;
    }
    match found {
        Some(path) if end >= 2 * FEWEST => {
            Ok(Switch { variable: path.clone().into(), clauses, branches, end })
        }
        _ => Err(clauses),
    }
}

/// The variable and the string of a condition that compares them. `==` and `===` are
/// the same for two strings, and the table is used for strings only.
fn condition(node: &Node) -> Option<(&Path, &str)> {
    let Node::Compare(Comparison::Equal | Comparison::Same, sides) = node else { return None };
    match &**sides {
        [Node::Variable(variable), Node::Constant(Json::String(text))]
        | [Node::Constant(Json::String(text)), Node::Variable(variable)] => {
            Some((&variable.path, text))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value as Json, json};

    use super::*;
    use crate::evaluator::rule::{compile::part, operators::testing::on};

    fn rule(operator: &str) -> Json {
        let equals = |text: &str| json!({operator: [{"var": "x"}, text]});
        let swapped = json!({operator: ["d", {"var": "x"}]});
        json!({"if": [equals("a"), 1, equals("b"), 2, equals("a"), 3, equals("7"), {"var": "y"},
            swapped, 5, {"==": [{"var": "y"}, "late"]}, 6, equals("e"), 7, "none"]})
    }

    #[test]
    fn the_branch_is_that_of_the_first_condition_that_holds() {
        for operator in ["==", "==="] {
            let rule = rule(operator);
            assert!(matches!(part(&rule), Ok(Node::Switch(_))));
            for (context, expected) in [
                (json!({"x": "a"}), "1"),
                (json!({"x": "b"}), "2"),
                (json!({"x": "d"}), "5"),
                (json!({"x": "e"}), "7"),
                (json!({"x": "7", "y": {"nope": 1}}), "fails"),
                (json!({"x": "f"}), r#""none""#),
                (json!({"x": "f", "y": "late"}), "6"),
                (json!({"x": ["a"]}), r#""none""#),
                (json!({}), r#""none""#),
            ] {
                assert_eq!(on(&rule, &context), expected, "{context}");
            }
        }
        assert_eq!(on(&rule("=="), &json!({"x": 7, "y": "number"})), r#""number""#);
        assert_eq!(on(&rule("==="), &json!({"x": 7, "y": "number"})), r#""none""#);
    }

    #[test]
    fn the_items_of_a_list_have_their_own_branch() {
        let map = json!({"map": [["a", "b", "z"], {"if": [
            {"==": [{"var": ""}, "a"]}, 1, {"==": [{"var": ""}, "b"]}, 2,
            {"==": [{"var": ""}, "c"]}, 3, {"==": [{"var": ""}, "d"]}, 4, 0]}]});
        assert_eq!(on(&map, &json!({})), "[1,2,0]");
    }

    #[test]
    fn other_clauses_are_no_switch() {
        for rule in [
            json!({"if": [{"==": [{"var": "x"}, "a"]}, 1, 2]}),
            json!({"if": [{"==": [{"var": "x"}, "a"]}, 1, {"==": [{"var": "y"}, "a"]}, 1,
                {"==": [{"var": "x"}, 1]}, 1, {"<": [{"var": "x"}, "a"]}, 1, 2]}),
        ] {
            assert!(matches!(part(&rule), Ok(Node::If(_))), "{rule}");
        }
    }
}
