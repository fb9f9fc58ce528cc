//! Whom flags are evaluated for: the identity and the properties, from options and variables.
//!
//! | Field | From, the first that is there |
//! |---|---|
//! | `targetingKey` | `--identity`, `FLAGOPS_IDENTITY`, `ARGOCD_APP_NAME` |
//! | property `name` | `--property name=...`, `FLAGOPS_PROP_NAME`, `ARGOCD_ENV_FLAGOPS_PROP_NAME` |
//!
//! The author of an application in Argo CD controls the variables with `ARGOCD_ENV_`, and who
//! runs the program controls the others. So the others win.

use std::{collections::BTreeMap, ffi::OsString};

use serde_json::Value as Json;

use crate::{context::Fields, excerpt::excerpt};

pub(super) const TARGETING_KEY: &str = "targetingKey";

/// Name and value of a property.
pub(super) type Property = (String, String);

/// Parses `--property`: the value is everything after the first equals sign.
///
/// # Errors
///
/// There is no name, or it is the targeting key's.
pub(super) fn property(text: &str) -> Result<Property, String> {
    let (name, value) = text.split_once('=').ok_or("expected NAME=VALUE")?;
    if name.is_empty() || name.trim() != name {
        return Err("expected NAME=VALUE, without spaces around the name".to_owned());
    }
    if name == TARGETING_KEY {
        return Err(format!("`{TARGETING_KEY}` is not a property; write --identity VALUE"));
    }
    Ok((name.to_owned(), value.to_owned()))
}

/// The fields of the evaluation context.
///
/// Values are strings. With `as_json`, those that are valid JSON have its type.
///
/// # Errors
///
/// A variable is not UTF-8, or two variables are the same property.
pub(super) fn fields(
    identity: Option<String>,
    properties: Vec<Property>,
    as_json: bool,
    variables: impl IntoIterator<Item = (OsString, OsString)>,
) -> Result<Fields, String> {
    let mut found = Variables::default();
    for (name, value) in variables {
        found.take(name, value)?;
    }
    // Later ones replace earlier ones.
    let names = [found.of_the_application, found.of_the_plugin];
    let variables = names.into_iter().flatten().map(|(name, (_, value))| (name, value));
    let value = |text: String| match serde_json::from_str(&text) {
        Ok(json) if as_json => json,
        _ => Json::String(text),
    };
    let fields = variables.chain(properties).map(|(name, text)| (name, value(text)));
    let mut fields: Fields = fields.collect();
    if let Some(identity) = identity.or(found.identity).or(found.application) {
        fields.insert(TARGETING_KEY.to_owned(), Json::String(identity));
    }
    Ok(fields)
}

/// What the environment says.
#[derive(Default)]
struct Variables {
    /// `FLAGOPS_IDENTITY`.
    identity: Option<String>,
    /// `ARGOCD_APP_NAME`.
    application: Option<String>,
    of_the_plugin: Properties,
    of_the_application: Properties,
}

/// By the name of the property: the variable and its value.
type Properties = BTreeMap<String, (String, String)>;

impl Variables {
    /// Takes a variable if it is of interest. An identity that is empty counts as none, because
    /// templates leave such variables behind.
    fn take(&mut self, variable: OsString, value: OsString) -> Result<(), String> {
        let Ok(variable) = variable.into_string() else { return Ok(()) };
        let (properties, name) = match &*variable {
            "FLAGOPS_IDENTITY" => {
                self.identity = Some(text(&variable, value)?).filter(|text| !text.is_empty());
                return Ok(());
            }
            "ARGOCD_APP_NAME" => {
                self.application = Some(text(&variable, value)?).filter(|text| !text.is_empty());
                return Ok(());
            }
            other => {
                let of_the_application = other.strip_prefix("ARGOCD_ENV_");
                let rest = of_the_application.unwrap_or(other);
                let Some(name) = rest.strip_prefix("FLAGOPS_PROP_") else { return Ok(()) };
                match of_the_application {
                    Some(_) => (&mut self.of_the_application, name.to_lowercase()),
                    None => (&mut self.of_the_plugin, name.to_lowercase()),
                }
            }
        };
        if name.is_empty() {
            return Err(format!("variable {variable}: expected the name of a property at its end"));
        }
        let value = text(&variable, value)?;
        if let Some((other, _)) = properties.insert(name, (variable.clone(), value)) {
            let (one, other) = (excerpt(&variable), excerpt(&other));
            return Err(format!(
                "variables {other} and {one} are the same property; unset one of them"
            ));
        }
        Ok(())
    }
}

/// The value of a variable. The error does not quote it.
fn text(variable: &str, value: OsString) -> Result<String, String> {
    value.into_string().map_err(|_| format!("variable {}: expected UTF-8", excerpt(variable)))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn of(
        identity: Option<&str>,
        properties: &[&str],
        as_json: bool,
        variables: &[(&str, &str)],
    ) -> Result<Json, String> {
        let properties = properties.iter().map(|text| property(text)).collect::<Result<_, _>>()?;
        let variables = variables.iter().map(|(name, value)| (name.into(), value.into()));
        fields(identity.map(str::to_owned), properties, as_json, variables).map(Json::Object)
    }

    #[test]
    fn the_identity_comes_from_the_first_place_that_has_one() {
        let both = [("ARGOCD_APP_NAME", "app"), ("FLAGOPS_IDENTITY", "own")];
        for (option, variables, expected) in [
            (Some("x"), &both[..], json!({ "targetingKey": "x" })),
            (None, &both, json!({ "targetingKey": "own" })),
            (None, &both[..1], json!({ "targetingKey": "app" })),
            (
                None,
                &[("ARGOCD_APP_NAME", "app"), ("FLAGOPS_IDENTITY", "")],
                json!({ "targetingKey": "app" }),
            ),
            (None, &[("ARGOCD_ENV_FLAGOPS_IDENTITY", "x")], json!({})),
            (None, &[], json!({})),
        ] {
            assert_eq!(of(option, &[], true, variables), Ok(expected), "{variables:?}");
        }
    }

    #[test]
    fn an_option_wins_over_the_plugin_and_the_plugin_over_the_application() {
        let variables = [
            ("FLAGOPS_PROP_TIER", "plugin"),
            ("ARGOCD_ENV_FLAGOPS_PROP_TIER", "application"),
            ("ARGOCD_ENV_FLAGOPS_PROP_Owner", "ann"),
            ("ARGOCD_ENV_OTHER", "x"),
            ("XFLAGOPS_PROP_Y", "x"),
        ];
        let expected = json!({ "tier": "plugin", "owner": "ann" });
        assert_eq!(of(None, &[], false, &variables), Ok(expected));
        let expected = json!({ "tier": "option", "Other": "", "owner": "ann" });
        assert_eq!(of(None, &["tier=a", "tier=option", "Other="], false, &variables), Ok(expected));
    }

    #[test]
    fn f7_a_value_keeps_its_equals_signs() {
        let variables = [("FLAGOPS_PROP_QUERY", "a=b=c"), ("ARGOCD_ENV_FLAGOPS_PROP_EMPTY", "")];
        let expected = json!({ "selector": "app=web,tier=gold", "query": "a=b=c", "empty": "" });
        assert_eq!(of(None, &["selector=app=web,tier=gold"], false, &variables), Ok(expected));
    }

    #[test]
    fn values_are_strings_unless_they_are_to_be_json() {
        let (properties, variables) = (["a=5", "b=x"], [("FLAGOPS_PROP_C", "true")]);
        let strings = json!({ "a": "5", "b": "x", "c": "true" });
        assert_eq!(of(Some("7"), &properties, false, &variables).unwrap()["a"], strings["a"]);
        assert_eq!(of(None, &properties, false, &variables), Ok(strings));
        let typed = json!({ "a": 5, "b": "x", "c": true, "targetingKey": "7" });
        assert_eq!(of(Some("7"), &properties, true, &variables), Ok(typed));
    }

    #[test]
    fn what_cannot_be_meant_is_an_error() {
        for (properties, variables, message) in [
            (&["a"][..], &[][..], "expected NAME=VALUE"),
            (&["=a"], &[], "expected NAME=VALUE"),
            (&[" a=b"], &[], "without spaces"),
            (&["targetingKey=a"], &[], "write --identity"),
            (&[], &[("FLAGOPS_PROP_", "a")], "FLAGOPS_PROP_: expected the name"),
            (&[], &[("FLAGOPS_PROP_A", "1"), ("FLAGOPS_PROP_a", "2")], "are the same property"),
        ] {
            let error = of(None, properties, false, variables).unwrap_err();
            assert!(error.contains(message), "{error}");
        }
    }

    #[cfg(unix)]
    #[test]
    fn a_variable_that_is_not_utf_8_is_an_error_only_if_it_is_read() {
        use std::os::unix::ffi::OsStringExt as _;
        let of = |name: &str| {
            fields(None, Vec::new(), false, [(name.into(), OsString::from_vec(vec![0xff]))])
        };
        assert_eq!(of("OTHER"), Ok(Fields::new()));
        assert_eq!(of("FLAGOPS_PROP_A").unwrap_err(), "variable FLAGOPS_PROP_A: expected UTF-8");
    }
}
