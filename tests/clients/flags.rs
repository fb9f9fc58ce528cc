//! The flags that the clients request, and the change that they must be notified of.

use serde_json::{Value, json};

use crate::support::flagd::FlagdProcess;

/// A flag of each type; `text` depends on the context, `off` is disabled, and the rules of the last
/// two fail or return an unknown variant.
pub(crate) fn definition() -> Value {
    json!({
        "metadata": { "team": "clients" },
        "flags": {
            "bool": {
                "state": "ENABLED",
                "variants": { "on": true, "off": false },
                "defaultVariant": "on",
            },
            "text": {
                "state": "ENABLED",
                "variants": { "plain": "hello", "special": "hello, colleague" },
                "defaultVariant": "plain",
                "targeting": { "if": [{ "ends_with": [{ "var": "email" }, "@example.com"] }, "special"] },
            },
            "int": { "state": "ENABLED", "variants": { "v": 42 }, "defaultVariant": "v" },
            "float": { "state": "ENABLED", "variants": { "v": 0.5 }, "defaultVariant": "v" },
            "object": {
                "state": "ENABLED",
                "variants": { "v": { "name": "x", "list": [1, true, "two"], "inner": { "deep": 0.25 } } },
                "defaultVariant": "v",
                "metadata": { "owner": "ann" },
            },
            "off": {
                "state": "DISABLED",
                "variants": { "v": "never" },
                "defaultVariant": "v",
            },
            "broken": {
                "state": "ENABLED",
                "variants": { "v": "never" },
                "defaultVariant": "v",
                "targeting": { "no-such-operator": [1] },
            },
            "astray": {
                "state": "ENABLED",
                "variants": { "v": "never" },
                "defaultVariant": "v",
                "targeting": "no-such-variant",
            },
        }
    })
}

/// The flag `bool` is false from now on.
pub(crate) fn change(flagd: &FlagdProcess) {
    set_bool(flagd, false);
}

/// The flag `bool` has this value from now on.
pub(crate) fn set_bool(flagd: &FlagdProcess, on: bool) {
    let variant = if on { "on" } else { "off" };
    flagd.edit_flags(|definition| definition["flags"]["bool"]["defaultVariant"] = json!(variant));
}
