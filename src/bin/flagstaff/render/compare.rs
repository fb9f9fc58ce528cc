//! The comparisons of Go's templates. As there, values of different types cannot be compared:
//! `eq (env "x") 5` compares a string with a number, and would never be true.

use std::cmp::Ordering;

use minijinja::{
    Environment, Error, ErrorKind, Value,
    value::ValueKind::{Bool, None, Number, String},
};

/// Whether an order of two values is the one that a function wants.
type Holds = fn(Ordering) -> bool;

/// The functions, and what they want.
const COMPARISONS: [(&str, Holds); 6] = [
    ("eq", Ordering::is_eq),
    ("ne", Ordering::is_ne),
    ("lt", Ordering::is_lt),
    ("le", Ordering::is_le),
    ("gt", Ordering::is_gt),
    ("ge", Ordering::is_ge),
];

/// Adds the functions.
pub(super) fn add(environment: &mut Environment<'_>) {
    for (name, holds) in COMPARISONS {
        let compare = move |one: &Value, other: &Value| order(name, one, other).map(holds);
        environment.add_function(name, compare);
    }
}

fn order(name: &str, one: &Value, other: &Value) -> Result<Ordering, Error> {
    let is_equality = matches!(name, "eq" | "ne");
    match (one.kind(), other.kind()) {
        (String, String) | (Number, Number) => Ok(one.cmp(other)),
        (Bool, Bool) if is_equality => Ok(one.cmp(other)),
        (_, None) | (None, _) if is_equality && !one.is_undefined() && !other.is_undefined() => {
            Ok(one.cmp(other))
        }
        (one, other) => Err(Error::new(
            ErrorKind::InvalidOperation,
            format!(
                "`{name}` cannot compare {one} with {other}; the value of `env \"x\"` is a string, \
                 and `flag \"x\"` has a type"
            ),
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_of_one_type_are_compared() {
        let mut environment = Environment::new();
        add(&mut environment);
        for (call, expected) in [
            ("eq('a', 'a')", true),
            ("eq('a', 'b')", false),
            ("ne('a', 'b')", true),
            ("eq(1, 1.0)", true),
            ("eq(true, false)", false),
            ("eq(none, none)", true),
            ("eq(0, none)", false),
            ("lt(9, 10)", true),
            ("lt('9', '10')", false),
            ("le(1, 1)", true),
            ("gt(0.5, 1)", false),
            ("ge('b', 'a')", true),
        ] {
            let value = environment.render_str(&format!("{{{{ {call} }}}}"), ()).unwrap();
            assert_eq!(value.to_lowercase(), expected.to_string(), "{call}");
        }
        for call in [
            "eq('5', 5)",
            "ne(5, '5')",
            "lt(true, false)",
            "lt(none, 1)",
            "eq([1], [1])",
            "eq(x, none)",
        ] {
            let error = environment.render_str(&format!("{{{{ {call} }}}}"), ()).unwrap_err();
            assert!(error.to_string().contains("cannot compare"), "{call}: {error}");
        }
    }
}
