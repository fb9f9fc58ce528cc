//! What the spec of a toggle says of its flag.

use serde::Deserialize;
use serde_json::Value;

use super::error::FlagError;
use crate::optoggles::toggle::Toggle;

/// The keys of a spec, which the original takes in any letter case.
const KEYS: [&str; 4] = ["name", "projKey", "environments", "contextKind"];

/// What a spec says.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Spec {
    #[serde(default)]
    pub(super) name: Option<String>,
    pub(super) proj_key: String,
    pub(super) environments: Vec<String>,
    #[serde(default = "user")]
    pub(super) context_kind: String,
}

fn user() -> String {
    "user".to_owned()
}

impl Spec {
    pub(super) fn of(toggle: &Toggle) -> Result<Self, FlagError> {
        let known = |key: &String| KEYS.into_iter().find(|known| known.eq_ignore_ascii_case(key));
        let spec = toggle.spec.iter().filter_map(|(key, value)| Some((known(key)?, value)));
        let spec = spec.map(|(key, value)| (key.to_owned(), value.clone())).collect();
        let mut spec: Self = serde_json::from_value(Value::Object(spec))
            .map_err(|error| FlagError::Spec(toggle.key.clone(), error))?;
        spec.environments.sort_unstable();
        spec.environments.dedup();
        if spec.environments.is_empty() {
            return Err(FlagError::NoEnvironment(toggle.key.clone()));
        }
        Ok(spec)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::{excerpt::chain, optoggles::toggle::Rule};

    fn spec(spec: &Value) -> Result<Spec, FlagError> {
        let mut toggle = Toggle::new("us", Rule::new("app", "us"));
        toggle.spec = spec.as_object().unwrap().clone();
        Spec::of(&toggle)
    }

    #[test]
    fn what_is_wrong_is_said() {
        for (value, expected) in [
            (json!({"environments": ["test"]}), "missing field `projKey`"),
            (json!({"projKey": "p"}), "missing field `environments`"),
            (json!({"projKey": "p", "environments": "test"}), "expected a sequence"),
            (json!({"projKey": "p", "environments": ["t"], "name": 5}), "expected a string"),
            (json!({"projKey": "p", "environments": []}), "is empty"),
        ] {
            let error = chain(&spec(&value).err().unwrap());
            assert!(error.starts_with("toggle `us`: ") && error.contains(expected), "{error}");
        }
    }

    #[test]
    fn keys_may_be_in_any_letter_case() {
        let spec = spec(&json!({"Name": "US", "projkey": "p", "ENVIRONMENTS": ["t"], "other": {}}));
        let Spec { name, proj_key, environments, .. } = spec.unwrap();
        assert_eq!((name.as_deref(), &*proj_key), (Some("US"), "p"));
        assert_eq!(environments, ["t"]);
    }

    #[test]
    fn an_environment_that_is_named_twice_counts_once() {
        let spec = spec(&json!({"projKey": "p", "environments": ["test", "prod", "test"]}));
        let spec = spec.unwrap();
        assert_eq!(spec.environments, ["prod", "test"]);
        assert_eq!((&*spec.context_kind, spec.name), ("user", None));
    }
}
