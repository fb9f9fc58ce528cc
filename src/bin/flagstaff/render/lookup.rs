//! Which flag a name of `env` means, and what its value is in a template.

use serde_json::Value as Json;

use crate::excerpt::excerpt;

/// Why a flag has no value here.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum NoValue {
    /// There is no such flag.
    Absent,
    /// The flag exists, but has no value here or lacks a key; why, for the error message.
    Left(String),
    /// It cannot be evaluated, which no default changes.
    Failed {
        message: String,
        /// flagd is unreachable, or rejects the call.
        is_unreachable: bool,
    },
}

/// What ends the name of a switch: `env "x_enabled"` is the boolean of the flag `x`.
const SWITCH: &str = "_enabled";

/// The value of `env "name"`: of a flag as text, of a switch `x_enabled` the boolean of `x`, or
/// of `x.a.b` a part of the object `x`.
///
/// A flag with exactly this name always wins, so every flag is reachable whatever its name.
/// Otherwise the longest beginning of `x.a.b` that is a flag counts.
pub(super) fn env(
    name: &str,
    mut get: impl FnMut(&str) -> Result<Json, NoValue>,
) -> Result<Json, NoValue> {
    let switched = name.strip_suffix(SWITCH).filter(|flag| !flag.is_empty());
    match get(name) {
        Ok(value) => return Ok(as_text(value)),
        Err(NoValue::Absent) => {}
        Err(NoValue::Left(_)) if switched.is_some() => return Ok(Json::Bool(false)),
        Err(other) => return Err(other),
    }
    if let Some(flag) = switched {
        match get(flag) {
            Ok(Json::Bool(on)) => return Ok(Json::Bool(on)),
            Ok(value) => return Err(not_a_boolean(flag, name, &value)),
            Err(NoValue::Left(_)) => return Ok(Json::Bool(false)),
            Err(NoValue::Absent) => {}
            Err(failed @ NoValue::Failed { .. }) => return Err(failed),
        }
    }
    for (dot, _) in name.rmatch_indices('.').filter(|(dot, _)| *dot > 0) {
        match get(&name[..dot]) {
            Ok(value) => return nested(&name[..dot], value, &name[dot + 1..]),
            Err(NoValue::Absent) => {}
            Err(other) => return Err(other),
        }
    }
    if switched.is_some() { Ok(Json::Bool(false)) } else { Err(NoValue::Absent) }
}

/// Numbers are text, as they always were: `eq (env "x") "5"` is true.
fn as_text(value: Json) -> Json {
    if value.is_number() { Json::String(value.to_string()) } else { value }
}

fn not_a_boolean(flag: &str, name: &str, value: &Json) -> NoValue {
    let (flag, name, value) = (excerpt(flag), excerpt(name), value.to_string());
    let value = excerpt(&value);
    let message = format!(
        "`{name}` needs a boolean, and the value of flag `{flag}` is {value}; define a boolean flag `{name}`, \
         or compare the value: `flag(\"{flag}\") == ...`"
    );
    NoValue::Failed { message, is_unreachable: false }
}

/// The part of an object at this path of keys.
fn nested(flag: &str, mut value: Json, path: &str) -> Result<Json, NoValue> {
    for key in path.split('.') {
        value = match value {
            Json::Object(mut fields) if fields.contains_key(key) => fields.remove(key),
            _ => None,
        }
        .ok_or_else(|| {
            NoValue::Left(format!(
                "the value of flag `{}` has no key `{}` (of `{}`)",
                excerpt(flag),
                excerpt(key),
                excerpt(path)
            ))
        })?;
    }
    Ok(value)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn get(flag: &str) -> Result<Json, NoValue> {
        Ok(match flag {
            "int" => json!(5),
            "float" => json!(0.5),
            "zero" => json!(0),
            "text" => json!("a"),
            "on" | "own_enabled" | "both_enabled" => json!(true),
            "off" | "both" => json!(false),
            "object" => json!({ "a": { "b": 1, "none": null, "on_enabled": "x" }, "s": "x" }),
            "my.flag" => json!({ "a": 2 }),
            "my" => json!({ "flag": { "a": 3 }, "other": 4 }),
            "disabled" | "disabled_enabled" => return Err(NoValue::Left("disabled".to_owned())),
            "broken" => {
                return Err(NoValue::Failed { message: "broken".to_owned(), is_unreachable: true });
            }
            _ => return Err(NoValue::Absent),
        })
    }

    #[test]
    fn values_are_text_and_switches_are_booleans() {
        for (name, value) in [
            ("int", json!("5")),
            ("float", json!("0.5")),
            ("zero", json!("0")),
            ("text", json!("a")),
            ("on", json!(true)),
            ("on_enabled", json!(true)),
            ("off_enabled", json!(false)),
            ("disabled_enabled", json!(false)),
            ("missing_enabled", json!(false)),
            ("missing.a_enabled", json!(false)),
            ("object.a.b", json!(1)),
            ("object.a.none", json!(null)),
            ("object.s", json!("x")),
        ] {
            assert_eq!(env(name, get), Ok(value), "{name}");
        }
    }

    #[test]
    fn f9_a_flag_is_reachable_whatever_its_name() {
        for (name, value) in [
            ("own_enabled", json!(true)),
            ("both_enabled", json!(true)),
            ("my.flag", json!({ "a": 2 })),
            ("my.flag.a", json!(2)),
            ("my.other", json!(4)),
            ("object.a.on_enabled", json!("x")),
        ] {
            assert_eq!(env(name, get), Ok(value), "{name}");
        }
    }

    #[test]
    fn f9_a_missing_key_is_an_error_and_not_the_word_nil() {
        for (name, key) in
            [("object.x", "`x`"), ("object.a.x", "`x`"), ("object.s.y", "`y`"), ("int.a", "`a`")]
        {
            let Err(NoValue::Left(message)) = env(name, get) else { panic!("{name}") };
            assert!(message.contains(key), "{message}");
        }
    }

    #[test]
    fn the_reasons_are_kept() {
        for name in ["missing", "missing.a", ".a", ".", "", "_enabled"] {
            assert_eq!(env(name, get), Err(NoValue::Absent), "{name}");
        }
        assert_eq!(env("disabled", get), get("disabled"));
        assert_eq!(env("disabled.a", get), get("disabled"));
        for name in ["broken", "broken_enabled", "broken.a"] {
            assert_eq!(env(name, get), get("broken"), "{name}");
        }
        let Err(NoValue::Failed { message, .. }) = env("int_enabled", get) else { panic!() };
        assert!(message.contains("flag `int` is 5"), "{message}");
    }
}
