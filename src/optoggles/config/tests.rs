//! What a configuration may contain, and the problems of invalid ones.

use std::time::Duration;

use super::{
    model::{Config, ConfigError, SourceKind, TargetConfig},
    read::parse,
    table,
};
use crate::{
    http::{Listen, Secret},
    optoggles::toggle::Rule,
};

fn read(text: &str) -> Result<Config, Vec<String>> {
    let variable = |name: &str| match name {
        "TOKEN" => Some("hush".to_owned()),
        "HOST" => Some("opal.example".to_owned()),
        _ => None,
    };
    parse(text, &variable).map_err(|error| match error {
        ConfigError::Invalid(problems) => problems.iter().map(ToString::to_string).collect(),
        other => vec![other.to_string()],
    })
}

/// A file that the original accepts.
const ORIGINAL: &str = "
BIND: 0.0.0.0:8080
Sources:
  - ID: opal
    Url: http://opal-client:7000/
    token: t
    advertisedaddress: optoggles:8080
target:
  targettype: launchdarkly
  TARGETSPEC:
    launchdarklyToken: api-key
toggles:
  - key: us-users
    userspolicy: {source: opal, package: app.rbac, rule: us_users}
    spec:
      name: US Users
      projKey: default
      environments: [test, production]
";

#[test]
fn the_file_of_the_original_in_any_letter_case() {
    let config = read(ORIGINAL).unwrap();
    assert_eq!(config.bind, Listen::from(([0, 0, 0, 0], 8080)));
    let (id, source) = &config.sources[0];
    assert_eq!((&**id, &*source.url), ("opal", "http://opal-client:7000/"));
    assert_eq!(source.token, Some(Secret::from("t")));
    let expected = SourceKind::Opal {
        advertised_address: Some("optoggles:8080".to_owned()),
        opa_url: None,
        opa_token: None,
    };
    assert_eq!(source.kind, expected);
    let token = Secret::from("api-key");
    let target = TargetConfig::LaunchDarkly { token, base: None, merges: false };
    assert_eq!(config.targets, [("target".to_owned(), target)]);
    let toggle = &config.toggles[0];
    assert_eq!(toggle.toggle.rule, Rule::new("app.rbac", "us_users"));
    assert_eq!(toggle.targets, ["target"]);
    // The keys of a spec belong to the target, and keep their letter case.
    let spec: Vec<_> = toggle.toggle.spec.keys().collect();
    assert_eq!(spec, ["environments", "name", "projKey"]);
}

#[test]
fn what_is_left_out_has_its_default() {
    let config = read(
        "sources: [{id: s, url: 'http://h', sourceType: opa}]\n\
         target: {targetType: restapi, targetSpec: {endpointUrl: 'http://h', \
         extraHeaders: {X-Key: a, X-Number: 5}}}\n",
    )
    .unwrap();
    assert_eq!(config.bind.to_string(), "[::]:8080");
    assert_eq!(config.management_bind.to_string(), "127.0.0.1:8081");
    assert_eq!(config.resync, Duration::from_secs(300));
    assert_eq!(config.settings.empty_confirmation, Duration::from_secs(30));
    assert_eq!(config.settings.max_removed, None);
    assert_eq!((config.removal, config.state, &*config.instance), (None, None, "default"));
    assert_eq!(config.sources[0].1.kind, SourceKind::Opa { interval: Duration::from_secs(10) });
    let TargetConfig::Rest { headers, .. } = &config.targets[0].1 else { panic!() };
    // In the form that the original sends.
    let names: Vec<_> = headers.iter().map(|(name, _)| &**name).collect();
    assert_eq!(names, ["x-key", "x-number"]);
}

#[test]
fn variables_stand_in_any_string() {
    let text = ORIGINAL
        .replace("token: t\n", "token: ${TOKEN}\n")
        .replace("http://opal-client", "http://${HOST}")
        .replace("US Users", "${NAME:-US} Users");
    let config = read(&text).unwrap();
    assert_eq!(config.sources[0].1.url, "http://opal.example:7000/");
    assert_eq!(config.sources[0].1.token, Some(Secret::from("hush")));
    assert_eq!(config.toggles[0].toggle.spec["name"], "US Users");
    let missing = text.replace("${TOKEN}", "${NONE}");
    let error = "line 6, column 12: `token`: the environment variable `NONE` is not set";
    assert_eq!(read(&missing).unwrap_err(), [error]);
}

#[test]
fn several_targets_of_which_a_toggle_names_some() {
    let config = read(
        "sources: [{id: s, url: 'http://h', sourceType: opa}]
target: {targetType: flagd, targetSpec: {file: a.json}}
targets:
  - {id: served, targetType: flagd, targetSpec: {syncBind: ':8015', ofrepBind: 'localhost:8016'}}
toggles:
  - {key: a, usersPolicy: {source: s, package: p, rule: r}}
  - {key: b, targets: [served], usersPolicy: {source: s, package: p, rule: r}}
",
    )
    .unwrap();
    assert_eq!(config.toggles[0].targets, ["target", "served"]);
    assert_eq!(config.toggles[1].targets, ["served"]);
    let served = TargetConfig::Flagd {
        file: None,
        evaluation: None,
        sync: Some(Listen::from(([0_u8; 16], 8015))),
        ofrep: Some(Listen::from(([127, 0, 0, 1], 8016))),
    };
    assert_eq!(config.targets[1].1, served);
}

/// A valid configuration in which something is replaced.
fn wrong(from: &str, to: &str) -> Vec<String> {
    let text = format!("{}removedToggles: leave\n", ORIGINAL.trim_start());
    assert!(text.contains(from), "{from}");
    read(&text.replacen(from, to, 1)).unwrap_err()
}

#[test]
fn what_is_wrong_is_named_with_its_place() {
    for (from, to, expected) in [
        ("BIND:", "bnd:", "line 1, column 1: unknown key `bnd`: expected `bind`, `managementBind`"),
        ("0.0.0.0:8080", "here", "line 1, column 7: `bind`: expected an address such as"),
        ("token: t", "tokn: t", "line 5, column 5: unknown key `sources[].tokn`"),
        (
            "    token: t\n",
            "    token: t\n    TOKEN: t\n",
            "line 6, column 5: `sources[].token` is given twice",
        ),
        ("    token: t\n", "    token: t\n    tokenFile: t\n", "exclude each other"),
        ("    token: t\n", "    pollInterval: 1s\n", "`pollInterval` is for `opa` only"),
        ("    token: t\n", "    sourceType: opa\n", "`advertisedAddress` is for `opal` only"),
        (
            "    token: t\n",
            "    sourceType: opla\n",
            "`sourceType`: expected `opal` or `opa`, got `opla`",
        ),
        ("  - ID: opal", "  - ID: ''", "line 3, column 9: `id` must not be empty"),
        ("Url: http://opal-client:7000/", "guard: []", "`url` is missing"),
        (
            "launchdarkly\n",
            "lunchdarkly\n",
            "`targetType`: expected `launchdarkly`, `restapi` or `flagd`",
        ),
        (
            "launchdarklyToken: api-key",
            "mode: own",
            "`launchdarklyToken` or `launchdarklyTokenFile` is missing",
        ),
        ("launchdarklyToken: api-key", "launchdarklyToken: a\n    mode: merge", "needs `state`"),
        (
            "launchdarklyToken: api-key",
            "launchdarklyToken: a\n    file: x",
            "`file` is for `flagd` only",
        ),
        ("source: opal", "source: opla", "line 13, column 27: there is no source `opla`"),
        (
            "rule: us_users",
            "rol: us_users",
            "line 13, column 52: unknown key `toggles[].usersPolicy.rol`",
        ),
        (
            "    spec:\n",
            "    targets: [x]\n    spec:\n",
            "line 14, column 15: there is no target `x`",
        ),
        ("    spec:\n", "    spec: 5\n    spec2:\n", "`spec` must be an object"),
        ("removedToggles: leave", "removedToggles: delete", "`removedToggles` needs `state`"),
        ("removedToggles: leave", "resyncInterval: soon", "`resyncInterval`: expected a duration"),
        (
            "removedToggles: leave",
            "maxRemoved: 2",
            "`maxRemoved`: expected a number from 0 to 1, got `2`",
        ),
        ("Sources:\n", "Sources: 5\nx:\n", "`sources` must be a list"),
    ] {
        let problems = wrong(from, to);
        assert!(problems.iter().any(|problem| problem.contains(expected)), "{to}: {problems:#?}");
    }
}

#[test]
fn names_that_come_twice_are_errors() {
    let text = "sources:
  - {id: s, url: 'http://h', sourceType: opa}
  - {id: s, url: 'http://h', sourceType: opa}
targets:
  - {id: t, targetType: flagd, targetSpec: {file: a}}
  - {id: t, targetType: flagd, targetSpec: {file: b}}
toggles:
  - {key: a, usersPolicy: {source: s, package: p, rule: r}}
  - {key: a, usersPolicy: {source: s, package: p, rule: r}}
  - {key: b, targets: [t, t], usersPolicy: {source: s, package: p, rule: r}}
";
    let expected = [
        "line 3, column 5: the source `s` is given twice: first in line 2",
        "line 6, column 5: the target `t` is given twice: first in line 5",
        "line 9, column 5: the toggle `a` is given twice: first in line 8",
        "line 10, column 27: the target `t` is given twice: first in line 10",
    ];
    assert_eq!(read(text).unwrap_err(), expected);
}

#[test]
fn what_is_no_configuration_is_an_error() {
    for (text, expected) in [
        ("", "line 1, column 1: the configuration must be an object"),
        ("- a", "line 1, column 1: the configuration must be an object"),
        ("{}", "there is no target"),
        ("a: [", "line "),
        (
            "target: {targetType: flagd, targetSpec: {}}",
            "needs `file`, or an address at which to serve flags",
        ),
    ] {
        let problems = read(text).unwrap_err();
        assert!(problems.iter().any(|problem| problem.contains(expected)), "{text}: {problems:?}");
    }
}

#[test]
fn no_secret_is_shown() {
    let text = ORIGINAL.replace("token: t\n", "token: ${TOKEN}\n    opaToken: hush\n");
    let shown = format!("{:?}", read(&text).unwrap());
    assert!(!shown.contains("hush") && !shown.contains("api-key"), "{shown}");
    let headers =
        "target: {targetType: restapi, targetSpec: {endpointUrl: h, extraHeaders: {a: hush}}}";
    let shown = format!("{:?}", read(headers).unwrap());
    assert!(!shown.contains("hush"), "{shown}");
}

#[test]
fn a_file_that_cannot_be_read_is_named() {
    let directory = tempfile::tempdir().unwrap();
    let error = Config::load(directory.path().join("none.yaml")).unwrap_err().to_string();
    assert!(error.starts_with("cannot read the configuration in ") && error.ends_with("none.yaml"));
}

/// The table of keys in the documentation is the one in `table.rs`.
#[test]
fn the_documentation_has_every_key() {
    let page = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/optoggles.md");
    let Ok(page) = std::fs::read_to_string(page) else { return };
    for row in table::TABLE {
        let default = match row.default {
            "" => "required".to_owned(),
            words if words.contains(' ') || words == "none" || words == "all" => words.to_owned(),
            value => format!("`{value}`"),
        };
        let line = format!("| `{}` | {default} | {} |", row.path, row.meaning);
        assert!(page.lines().any(|other| other == line), "docs/optoggles.md lacks\n{line}");
    }
}
