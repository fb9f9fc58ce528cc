//! The table of all keys of the configuration file.

/// A key of the configuration file.
#[derive(Clone, Copy, Debug)]
#[cfg_attr(not(test), allow(dead_code, reason = "the documentation is checked against it"))]
pub(crate) struct Row {
    /// Where the key stands, such as `sources[].url`.
    pub(crate) path: &'static str,
    /// What it is if it is left out; empty if it must be given, `none` if there is nothing then.
    pub(crate) default: &'static str,
    /// What it means.
    pub(crate) meaning: &'static str,
}

const fn row(path: &'static str, default: &'static str, meaning: &'static str) -> Row {
    Row { path, default, meaning }
}

/// All keys. The letter case of a key does not matter.
pub(crate) const TABLE: &[Row] = &[
    row(
        "bind",
        ":8080",
        "the address for callbacks and health; without a host it is every interface",
    ),
    row("managementBind", "127.0.0.1:8081", "the address for metrics, details and confirmations"),
    row(
        "confirmToken",
        "none",
        "the bearer token for confirmations, which are rejected without it",
    ),
    row("confirmTokenFile", "none", "a file that has the token"),
    row("instance", "default", "the name of this installation, in callback keys and in the state"),
    row(
        "state",
        "none",
        "the file that records what this program has created and whom it has added",
    ),
    row(
        "callbackSecret",
        "none",
        "what callback tokens are derived from: the same for all replicas",
    ),
    row("callbackSecretFile", "none", "a file that has the secret"),
    row("resyncInterval", "5m", "how often everything is looked at again; 0 is never"),
    row(
        "emptyConfirmation",
        "30s",
        "how long a set must stay empty before it is written; 0 is at once",
    ),
    row(
        "maxRemoved",
        "none",
        "the largest share of a toggle's users that one sync may remove: 0 to 1",
    ),
    row(
        "removedToggles",
        "leave",
        "what becomes of a toggle that left the file: `leave`, `off` or `delete`",
    ),
    row("sources[].id", "", "the name that toggles use"),
    row("sources[].sourceType", "opal", "`opal`, or `opa` for an OPA without OPAL"),
    row("sources[].url", "", "the base URL of the OPAL client, or of OPA"),
    row("sources[].token", "none", "the bearer token for it"),
    row("sources[].tokenFile", "none", "a file that has the token"),
    row(
        "sources[].advertisedAddress",
        "the own address",
        "`opal`: where OPAL reaches this program, as host:port or URL",
    ),
    row("sources[].opaUrl", "as OPAL says", "`opal`: the base URL of OPA"),
    row("sources[].opaToken", "as OPAL says", "`opal`: the bearer token for OPA"),
    row("sources[].opaTokenFile", "none", "a file that has the token for OPA"),
    row("sources[].pollInterval", "10s", "`opa`: how often it is asked"),
    row(
        "sources[].guard[]",
        "none",
        "data paths that are defined once OPA has its data, such as `users`",
    ),
    row("target", "none", "a target, called `target`"),
    row("targets[].id", "", "the name of a target, in a list of several"),
    row("targets[].targetType", "", "`launchdarkly`, `restapi` or `flagd`"),
    row("targets[].targetSpec.launchdarklyToken", "none", "`launchdarkly`: the API access token"),
    row("targets[].targetSpec.launchdarklyTokenFile", "none", "a file that has the token"),
    row(
        "targets[].targetSpec.baseUri",
        "https://app.launchdarkly.com",
        "`launchdarkly`: the base URL, for the federal and the EU instance",
    ),
    row(
        "targets[].targetSpec.mode",
        "own",
        "`launchdarkly`: `own`, the list is the policy's; `merge`, users added by hand stay",
    ),
    row(
        "targets[].targetSpec.endpointUrl",
        "none",
        "`restapi`: the URL below which the toggles are",
    ),
    row("targets[].targetSpec.extraHeaders", "none", "`restapi`: headers of each request"),
    row("targets[].targetSpec.file", "none", "`flagd`: the file that the flags are written to"),
    row("targets[].targetSpec.evaluationBind", "none", "`flagd`: the address for evaluation"),
    row(
        "targets[].targetSpec.syncBind",
        "none",
        "`flagd`: the address for sync, which publishes user names",
    ),
    row("targets[].targetSpec.ofrepBind", "none", "`flagd`: the address for OFREP"),
    row("toggles[].key", "", "the identifier"),
    row("toggles[].usersPolicy.source", "", "the id of the source"),
    row("toggles[].usersPolicy.package", "", "the package of the rule, with dots"),
    row("toggles[].usersPolicy.rule", "", "the rule whose result is the set of users"),
    row("toggles[].targets[]", "all", "the ids of the targets it goes to"),
    row(
        "toggles[].spec",
        "none",
        "what the targets need besides; keys inside keep their letter case",
    ),
];

/// The keys that may stand in the object at this path, such as `sources[].`.
pub(crate) fn keys(prefix: &str) -> Vec<&'static str> {
    let mut keys: Vec<_> = TABLE
        .iter()
        .filter_map(|row| row.path.strip_prefix(prefix))
        .map(|rest| rest.split(['.', '[']).next().unwrap_or(rest))
        .collect();
    keys.dedup();
    keys
}
