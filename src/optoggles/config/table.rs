//! The table of all keys of the configuration file.
//!
//! It is the only list of keys: the reader rejects what is not in it, and a test compares
//! it with the table in `docs/optoggles.md`. A new key needs a row here, a row there, and
//! a line in `read.rs`.

/// A key of the configuration file.
#[derive(Clone, Copy, Debug)]
#[cfg_attr(not(test), allow(dead_code, reason = "the documentation is checked against it"))]
pub(crate) struct Row {
    /// Where the key stands, such as `sources[].url`; `[]` stands for every item of a list.
    pub(crate) path: &'static str,
    /// The value if the key is left out: empty if it must be given, `none` if there is no
    /// value then.
    pub(crate) default: &'static str,
    /// What it means, as in the documentation. Begins with the type that the key is for, if
    /// it is for one only.
    pub(crate) meaning: &'static str,
}

/// A row, on one line where it fits.
const fn row(path: &'static str, default: &'static str, meaning: &'static str) -> Row {
    Row { path, default, meaning }
}

/// All keys, in the order of the documentation. Rows of the same object must be adjacent:
/// [`keys`] relies on it.
///
/// A key of an object, such as `toggles[].usersPolicy`, has no row of its own if the keys
/// in it have rows.
pub(crate) const TABLE: &[Row] = &[
    row(
        "bind",
        ":8080",
        "the address for callbacks and health; without a host, on every interface",
    ),
    row("managementBind", "127.0.0.1:8081", "the address for metrics, details and confirmations"),
    row(
        "confirmToken",
        "none",
        "the bearer token for confirmations, which are rejected without it",
    ),
    row("confirmTokenFile", "none", "a file that contains the token"),
    row("instance", "default", "the name of this installation, in callback keys and in the state"),
    row(
        "state",
        "none",
        "the file that records what this program has created and whom it has added",
    ),
    row(
        "callbackSecret",
        "none",
        "the secret that callback tokens are derived from; the same for all replicas",
    ),
    row("callbackSecretFile", "none", "a file that contains the secret"),
    row("resyncInterval", "5m", "how often everything is compared afresh; 0: never"),
    row(
        "emptyConfirmation",
        "30s",
        "how long a set must stay empty before it is written; 0: no wait",
    ),
    row(
        "maxRemoved",
        "none",
        "the largest share of a toggle's users that one sync may remove, from 0 to 1",
    ),
    row(
        "removedToggles",
        "leave",
        "what becomes of a toggle that has left the file: `leave`, `off` or `delete`; the latter two need `state`",
    ),
    row("sources[].id", "", "the name by which toggles refer to it"),
    row("sources[].sourceType", "opal", "`opal`, or `opa` for an OPA without OPAL"),
    row("sources[].url", "", "the base URL of the OPAL client, or of OPA"),
    row("sources[].token", "none", "the bearer token for it"),
    row("sources[].tokenFile", "none", "a file that contains the token"),
    row(
        "sources[].advertisedAddress",
        "own address",
        "`opal`: where OPAL reaches this program, as host:port or URL",
    ),
    row("sources[].opaUrl", "from OPAL", "`opal`: the base URL of OPA"),
    row("sources[].opaToken", "from OPAL", "`opal`: the bearer token for OPA"),
    row("sources[].opaTokenFile", "none", "a file that contains the token for OPA"),
    row("sources[].pollInterval", "10s", "`opa`: how often it is polled"),
    row(
        "sources[].guard[]",
        "none",
        "data paths that are defined once OPA has its data, such as `users`",
    ),
    row("target", "none", "a target; its id is `target` unless it names one"),
    row("targets[].id", "", "the name by which toggles refer to it"),
    row("targets[].targetType", "", "`launchdarkly`, `restapi` or `flagd`"),
    row("targets[].targetSpec.launchdarklyToken", "none", "`launchdarkly`: the API access token"),
    row("targets[].targetSpec.launchdarklyTokenFile", "none", "a file that contains the token"),
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
    row("targets[].targetSpec.endpointUrl", "none", "`restapi`: the base URL of the toggles"),
    row("targets[].targetSpec.extraHeaders", "none", "`restapi`: headers sent with each request"),
    row("targets[].targetSpec.file", "none", "`flagd`: the file to which the flags are written"),
    row("targets[].targetSpec.evaluationBind", "none", "`flagd`: the address for evaluation"),
    row(
        "targets[].targetSpec.syncBind",
        "none",
        "`flagd`: the address for sync, which publishes the names of users",
    ),
    row("targets[].targetSpec.ofrepBind", "none", "`flagd`: the address for OFREP"),
    row("toggles[].key", "", "the identifier"),
    row("toggles[].usersPolicy.source", "", "the id of the source"),
    row("toggles[].usersPolicy.package", "", "the package of the rule, such as `app.rbac`"),
    row("toggles[].usersPolicy.rule", "", "the rule whose result is the set of users"),
    row("toggles[].targets[]", "all", "the ids of the targets it goes to"),
    row(
        "toggles[].spec",
        "none",
        "fields that the targets need besides; their keys keep their letter case",
    ),
];

/// The keys that are known in the object at a path.
///
/// ```text
/// ""                        bind, managementBind, ..., sources, target, targets, toggles
/// "toggles[].usersPolicy."  source, package, rule
/// ```
pub(crate) fn keys(prefix: &str) -> Vec<&'static str> {
    let mut keys: Vec<_> = TABLE
        .iter()
        .filter_map(|row| row.path.strip_prefix(prefix))
        .map(|rest| rest.split(['.', '[']).next().unwrap_or(rest))
        .collect();
    keys.dedup();
    keys
}
