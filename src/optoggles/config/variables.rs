//! Environment variables in the strings of a configuration.
//!
//! | written | stands for |
//! |---|---|
//! | `${VAR}` | the value of `VAR`; an error if it is not set |
//! | `${VAR:-default}` | the value of `VAR`, or `default` if it is not set or empty |
//! | `$${` | the characters `${` |
//!
//! Variables are substituted in the values of strings after the YAML is parsed, so that no
//! value can change the structure of the file. A default ends at the first `}`; it
//! cannot contain another variable. A value is not substituted again.

/// Returns the text with the values of its variables, which `variable` looks up.
///
/// # Errors
///
/// When a variable without a default is not set, or the syntax is invalid. The error names
/// the variable and quotes no value.
pub(crate) fn substituted(
    text: &str,
    variable: &dyn Fn(&str) -> Option<String>,
) -> Result<String, String> {
    let (mut out, mut rest) = (String::new(), text);
    while let Some(start) = rest.find("${") {
        if rest[..start].ends_with('$') {
            out.push_str(&rest[..start]);
            out.push('{');
            rest = &rest[start + 2..];
            continue;
        }
        out.push_str(&rest[..start]);
        let Some(length) = rest[start..].find('}') else {
            return Err("`${` without `}`: write `$${` for the characters themselves".to_owned());
        };
        let inner = &rest[start + 2..start + length];
        let (name, default) = match inner.split_once(":-") {
            Some((name, default)) => (name, Some(default)),
            None => (inner, None),
        };
        let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
        if name.is_empty() || !name.chars().all(is_name) {
            return Err("`${...}` needs the name of an environment variable".to_owned());
        }
        // As in a shell, an empty variable counts as unset where there is a default.
        let value = variable(name).filter(|value| default.is_none() || !value.is_empty());
        match (value, default) {
            (Some(value), _) => out.push_str(&value),
            (None, Some(default)) => out.push_str(default),
            (None, None) => return Err(format!("the environment variable `{name}` is not set")),
        }
        rest = &rest[start + length + 1..];
    }
    out.push_str(rest);
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables() {
        let variable = |name: &str| match name {
            "A" => Some("1".to_owned()),
            "EMPTY" => Some(String::new()),
            _ => None,
        };
        for (text, expected) in [
            ("", Ok("")),
            ("$A {A} $", Ok("$A {A} $")),
            ("x${A}y${A}", Ok("x1y1")),
            ("${B:-b}${EMPTY:-e}${A:-a}", Ok("be1")),
            ("${EMPTY}${B:-}", Ok("")),
            ("$${A}", Ok("${A}")),
            ("a$${A} ${A}", Ok("a${A} 1")),
            ("${B}", Err("the environment variable `B` is not set")),
            ("${A", Err("`${` without `}`")),
            ("${}", Err("needs the name")),
            ("${A-b}", Err("needs the name")),
        ] {
            let found = substituted(text, &variable);
            match expected {
                Ok(expected) => assert_eq!(found.as_deref(), Ok(expected), "{text}"),
                Err(expected) => assert!(found.unwrap_err().contains(expected), "{text}"),
            }
        }
    }
}
