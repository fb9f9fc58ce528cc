//! The filters of templates: those of Helm that manifests need most.

use minijinja::{Environment, Error, ErrorKind, Value, value::ValueKind};
use serde_json::Value as Json;

use super::yaml::{block, quoted};

/// Adds the filters. They replace minijinja's of the same name.
pub(super) fn add(environment: &mut Environment<'_>) {
    environment.add_filter("toYaml", |value: &Value| Ok::<_, Error>(block(&json(value)?)));
    environment.add_filter("toJson", |value: &Value| Ok::<_, Error>(json(value)?.to_string()));
    environment.add_filter("quote", |value: &Value| Ok::<_, Error>(quoted(&text(value)?)));
    environment.add_filter("squote", |value: &Value| {
        Ok::<_, Error>(format!("'{}'", text(value)?.replace('\'', "''")))
    });
    environment.add_filter("indent", |value: &Value, width: u8| {
        Ok::<_, Error>(indented(&text(value)?, width))
    });
    environment.add_filter("nindent", |value: &Value, width: u8| {
        Ok::<_, Error>(format!("\n{}", indented(&text(value)?, width)))
    });
    environment.add_filter("string", |value: &Value| text(value));
    environment.add_filter("default", default);
}

/// The other value in place of one that is undefined, null or an empty string.
///
/// Unlike in Helm, 0 and false stay: they are what somebody set a flag to.
fn default(value: &Value, other: &Value) -> Value {
    let is_empty = value.is_undefined() || value.is_none() || value.as_str() == Some("");
    if is_empty { other.clone() } else { value.clone() }
}

/// A value as JSON.
///
/// # Errors
///
/// It is undefined or a function, or cannot be serialized.
pub(super) fn json(value: &Value) -> Result<Json, Error> {
    if value.is_undefined() {
        return Err(Error::from(ErrorKind::UndefinedError));
    }
    if value.kind() == ValueKind::Plain {
        let message = "a function was not called: write `env \"KEY\"` or `flag(\"KEY\")`";
        return Err(Error::new(ErrorKind::InvalidOperation, message));
    }
    serde_json::to_value(value).map_err(|error| {
        Error::new(ErrorKind::BadSerialization, "the value cannot be printed").with_source(error)
    })
}

/// A value as a template prints it: strings as they are, and anything else as JSON.
pub(super) fn text(value: &Value) -> Result<String, Error> {
    match value.as_str() {
        Some(text) => Ok(text.to_owned()),
        None => json(value).map(|json| json.to_string()),
    }
}

/// Every line, the first one too, moved to the right.
fn indented(text: &str, width: u8) -> String {
    let indent = " ".repeat(width.into());
    format!("{indent}{}", text.replace('\n', &format!("\n{indent}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn rendered(template: &str) -> Result<String, Error> {
        let mut environment = Environment::new();
        add(&mut environment);
        environment.render_str(template, ())
    }

    #[test]
    fn filters_are_those_of_helm() {
        for (template, expected) in [
            ("{{ {'b': [1], 'a': 'no'} | toYaml }}", "a: \"no\"\nb:\n- 1"),
            ("{{ {'a': [1, none, 'x']} | toJson }}", r#"{"a":[1,null,"x"]}"#),
            ("{{ 'a\"b' | quote }}", r#""a\"b""#),
            ("{{ 5 | quote }}{{ true | quote }}", r#""5""true""#),
            ("{{ true | string }}{{ none | string }}", "truenull"),
            ("{{ \"it's\" | squote }}", "'it''s'"),
            ("{{ 'a\nb' | indent(2) }}", "  a\n  b"),
            ("{{ 'a\nb' | nindent(2) }}", "\n  a\n  b"),
            ("{{ x | default(1) }}{{ none | default(2) }}{{ '' | default(3) }}", "123"),
            (
                "{{ 0 | default(1) }} {{ false | default(1) | toJson }} {{ 'a' | default(1) }}",
                "0 false a",
            ),
        ] {
            assert_eq!(rendered(template).unwrap(), expected, "{template}");
        }
    }

    #[test]
    fn an_undefined_value_is_an_error() {
        for filter in ["toYaml", "toJson", "string", "quote", "squote", "indent(2)", "nindent(2)"] {
            let error = rendered(&format!("{{{{ x | {filter} }}}}")).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::UndefinedError, "{filter}");
        }
        for template in
            ["{{ 'a' | indent(-1) }}", "{{ 'a' | indent(100000) }}", "{{ 'a' | default }}"]
        {
            rendered(template).unwrap_err();
        }
    }
}
