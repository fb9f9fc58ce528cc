//! Reads the whole configuration: its structure, and what must agree in it.
//!
//! Values that depend on each other are checked here, where both are known: toggles must
//! name sources and targets that exist, ids and keys must be distinct, `mode: merge` and
//! `removedToggles` need `state`, and a key that means something for one type only must
//! not stand at another. A problem never stops the reading. Whatever is invalid gets its
//! default, or is left out, and the configuration with it is discarded at the end.

use std::{collections::HashMap, path::PathBuf, time::Duration};

use secrecy::SecretString;

use super::{
    model::{Config, ConfigError, SourceConfig, SourceKind, TargetConfig, ToggleConfig},
    reader::{Fields, Reader},
};
use crate::{
    evaluator::{
        DefinitionError, Diagnostic,
        load::{tree::Tree, yaml},
        location::Position,
    },
    http::{Listen, Secret},
    optoggles::{
        machine::Settings,
        target::Removal,
        toggle::{Rule, Toggle},
    },
};

/// The id of the target at `target`, unless it has an `id`.
const ONLY: &str = "target";

/// Parses a configuration; `variable` looks up environment variables.
///
/// # Errors
///
/// [`ConfigError::Invalid`] with every problem, sorted by place.
pub(super) fn parse(
    text: &str,
    variable: &dyn Fn(&str) -> Option<String>,
) -> Result<Config, ConfigError> {
    let tree = yaml::parse(text).map_err(|error| match error {
        DefinitionError::Syntax { message, line, column } => {
            ConfigError::Invalid(vec![Diagnostic { flag: None, message, line, column }])
        }
        other => ConfigError::Invalid(vec![Diagnostic {
            flag: None,
            message: other.to_string(),
            line: 1,
            column: 1,
        }]),
    })?;
    let mut reader = Reader { variable, problems: Vec::new() };
    let config = reader.config(&tree);
    let mut problems = reader.problems;
    if problems.is_empty() {
        return Ok(config);
    }
    problems.sort_by_key(|problem| (problem.line, problem.column));
    Err(ConfigError::Invalid(problems))
}

impl Reader<'_> {
    /// Reads everything. The result is of use only if there are no problems.
    fn config(&mut self, tree: &Tree) -> Config {
        let fields = self.fields(tree, "");
        let every = Listen::from(([0_u8; 16], 8080));
        let bind = fields.get("bind").and_then(|tree| self.listen(tree, "bind"));
        let management = fields.get("managementBind");
        let management = management.and_then(|tree| self.listen(tree, "managementBind"));
        let state = self.optional(&fields, "state").map(PathBuf::from);
        let sources = self.sources(&fields);
        let targets = self.targets(&fields, state.is_some());
        let toggles = self.toggles(&fields, &sources, &targets);
        let removal = self.word(
            &fields,
            "removedToggles",
            &[
                ("leave", None),
                ("off", Some(Removal::SwitchOff)),
                ("delete", Some(Removal::Delete)),
            ],
        );
        if removal.is_some() && state.is_none() {
            let at = fields.get("removedToggles").map_or(fields.at, |tree| tree.at);
            self.problem(at, "`removedToggles` needs `state`, which records what was created");
        }
        let default = Settings::default();
        let pause = default.empty_confirmation;
        let settings = Settings {
            empty_confirmation: self.duration(&fields, "emptyConfirmation", pause),
            max_removed: self.share(&fields, "maxRemoved"),
        };
        Config {
            bind: bind.unwrap_or(every),
            management_bind: management.unwrap_or_else(|| Listen::from(([127, 0, 0, 1], 8081))),
            confirm_token: self.secret(&fields, "confirmToken", "confirmTokenFile"),
            instance: self.optional(&fields, "instance").unwrap_or_else(|| "default".to_owned()),
            state,
            callback_secret: self.secret(&fields, "callbackSecret", "callbackSecretFile"),
            resync: self.duration(&fields, "resyncInterval", Duration::from_secs(5 * 60)),
            settings,
            removal,
            sources,
            targets,
            toggles,
        }
    }

    /// Reads the sources. One without `id` or `url` is left out.
    fn sources(&mut self, fields: &Fields<'_>) -> Vec<(String, SourceConfig)> {
        let mut sources = Vec::new();
        let mut seen = HashMap::new();
        for tree in self.list(fields, "sources") {
            let fields = self.fields(tree, "sources[].");
            let id = self.text(&fields, "id");
            let url = self.text(&fields, "url");
            let token = self.secret(&fields, "token", "tokenFile");
            let guard = self.strings(&fields, "guard").into_iter().map(|(_, path)| path).collect();
            let is_opa = self.word(&fields, "sourceType", &[("opal", false), ("opa", true)]);
            let kind = if is_opa {
                self.only(
                    &fields,
                    "opal",
                    &["advertisedAddress", "opaUrl", "opaToken", "opaTokenFile"],
                );
                let default = Duration::from_secs(10);
                let interval = self.duration(&fields, "pollInterval", default);
                if interval.is_zero() {
                    let at = fields.get("pollInterval").map_or(fields.at, |tree| tree.at);
                    self.problem(at, "`pollInterval` must not be 0");
                }
                SourceKind::Opa { interval }
            } else {
                self.only(&fields, "opa", &["pollInterval"]);
                SourceKind::Opal {
                    advertised_address: self.optional(&fields, "advertisedAddress"),
                    opa_url: self.optional(&fields, "opaUrl"),
                    opa_token: self.secret(&fields, "opaToken", "opaTokenFile"),
                }
            };
            if let (Some(id), Some(url)) = (id, url) {
                self.unique(&mut seen, "source", &id, fields.at);
                sources.push((id, SourceConfig { kind, url, token, guard }));
            }
        }
        sources
    }

    /// Notes a problem for each of `keys` that is there: they are for `kind` only.
    fn only(&mut self, fields: &Fields<'_>, kind: &str, keys: &[&str]) {
        for key in keys {
            if let Some(tree) = fields.get(key) {
                self.problem(tree.at, format!("`{key}` is for `{kind}` only: remove it"));
            }
        }
    }

    /// Reads `target` and `targets`, which may both be there.
    fn targets(&mut self, fields: &Fields<'_>, has_state: bool) -> Vec<(String, TargetConfig)> {
        let mut targets = Vec::new();
        let mut seen = HashMap::new();
        let only = fields.get("target").map(|tree| (tree, true));
        let listed = self.list(fields, "targets");
        for (tree, is_only) in only.into_iter().chain(listed.into_iter().map(|tree| (tree, false)))
        {
            let fields = self.fields(tree, "targets[].");
            let id = if is_only && fields.get("id").is_none() {
                Some(ONLY.to_owned())
            } else {
                self.text(&fields, "id")
            };
            let config = self.target(&fields, has_state);
            if let (Some(id), Some(config)) = (id, config) {
                self.unique(&mut seen, "target", &id, fields.at);
                targets.push((id, config));
            }
        }
        if targets.is_empty() && self.problems.is_empty() {
            self.problem(fields.at, "there is no target: `target` or `targets` is missing");
        }
        targets
    }

    /// Reads one target. `None`: something that is required is missing.
    fn target(&mut self, fields: &Fields<'_>, has_state: bool) -> Option<TargetConfig> {
        #[derive(Clone, Copy)]
        enum Kind {
            LaunchDarkly,
            Rest,
            Flagd,
        }
        self.required(fields, "targetType")?;
        let words =
            [("launchdarkly", Kind::LaunchDarkly), ("restapi", Kind::Rest), ("flagd", Kind::Flagd)];
        let kind = self.word(fields, "targetType", &words);
        let tree = self.required(fields, "targetSpec")?;
        let spec = self.fields(tree, "targets[].targetSpec.");
        let of_launchdarkly = ["launchdarklyToken", "launchdarklyTokenFile", "baseUri", "mode"];
        let of_rest = ["endpointUrl", "extraHeaders"];
        let of_flagd = ["file", "evaluationBind", "syncBind", "ofrepBind"];
        match kind {
            Kind::LaunchDarkly => {
                self.only(&spec, "restapi", &of_rest);
                self.only(&spec, "flagd", &of_flagd);
                let token = self.secret(&spec, "launchdarklyToken", "launchdarklyTokenFile");
                if token.is_none() {
                    self.problem(
                        spec.at,
                        "`launchdarklyToken` or `launchdarklyTokenFile` is missing",
                    );
                }
                let merges = self.word(&spec, "mode", &[("own", false), ("merge", true)]);
                if merges && !has_state {
                    let message =
                        "`mode: merge` needs `state`, which records whom this program added";
                    self.problem(spec.at, message);
                }
                let base = self.optional(&spec, "baseUri");
                Some(TargetConfig::LaunchDarkly { token: token?, base, merges })
            }
            Kind::Rest => {
                self.only(&spec, "launchdarkly", &of_launchdarkly);
                self.only(&spec, "flagd", &of_flagd);
                let url = self.text(&spec, "endpointUrl");
                let headers =
                    self.object(&spec, "extraHeaders").into_iter().map(|(name, value)| {
                        let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
                        (name.to_ascii_lowercase(), SecretString::from(value))
                    });
                Some(TargetConfig::Rest { headers: headers.collect(), url: url? })
            }
            Kind::Flagd => {
                self.only(&spec, "launchdarkly", &of_launchdarkly);
                self.only(&spec, "restapi", &of_rest);
                let file = self.optional(&spec, "file").map(PathBuf::from);
                let mut listen = |key| spec.get(key).and_then(|tree| self.listen(tree, key));
                let (evaluation, sync, ofrep) =
                    (listen("evaluationBind"), listen("syncBind"), listen("ofrepBind"));
                if [&evaluation, &sync, &ofrep].iter().all(|bind| bind.is_none()) && file.is_none()
                {
                    let message = "a flagd target needs `file`, or an address at which to serve flags: \
                        `evaluationBind`, `syncBind` or `ofrepBind`";
                    self.problem(spec.at, message);
                }
                Some(TargetConfig::Flagd { file, evaluation, sync, ofrep })
            }
        }
    }

    /// Reads the toggles. One in which something required is missing is left out.
    fn toggles(
        &mut self,
        fields: &Fields<'_>,
        sources: &[(String, SourceConfig)],
        targets: &[(String, TargetConfig)],
    ) -> Vec<ToggleConfig> {
        let mut toggles = Vec::new();
        let mut seen = HashMap::new();
        for tree in self.list(fields, "toggles") {
            let fields = self.fields(tree, "toggles[].");
            let key = self.text(&fields, "key");
            let spec = self.object(&fields, "spec");
            let named = self.toggle_targets(&fields, targets);
            let Some(policy) = self.required(&fields, "usersPolicy") else { continue };
            let policy = self.fields(policy, "toggles[].usersPolicy.");
            let source = self.text(&policy, "source");
            let package = self.text(&policy, "package");
            let rule = self.text(&policy, "rule");
            if let Some(source) = &source
                && !sources.iter().any(|(id, _)| id == source)
            {
                let at = policy.get("source").map_or(policy.at, |tree| tree.at);
                self.problem(at, format!("there is no source `{source}`"));
            }
            if let (Some(key), Some(source), Some(package), Some(rule)) =
                (key, source, package, rule)
            {
                self.unique(&mut seen, "toggle", &key, fields.at);
                let mut toggle = Toggle::new(key, Rule::new(package, rule));
                toggle.spec = spec;
                toggles.push(ToggleConfig { toggle, source, targets: named });
            }
        }
        toggles
    }

    /// Reads the ids of the targets of a toggle; all of them if it names none.
    fn toggle_targets(
        &mut self,
        fields: &Fields<'_>,
        targets: &[(String, TargetConfig)],
    ) -> Vec<String> {
        if fields.get("targets").is_none() {
            return targets.iter().map(|(id, _)| id.clone()).collect();
        }
        let named = self.strings(fields, "targets");
        let mut seen = HashMap::new();
        for (at, name) in &named {
            self.unique(&mut seen, "target", name, *at);
            if !targets.iter().any(|(id, _)| id == name) {
                self.problem(*at, format!("there is no target `{name}`"));
            }
        }
        named.into_iter().map(|(_, name)| name).collect()
    }

    /// Notes a problem if a name was `seen` before. `what` is what it names.
    fn unique(
        &mut self,
        seen: &mut HashMap<String, Position>,
        what: &str,
        name: &str,
        at: Position,
    ) {
        if let Some(first) = seen.insert(name.to_owned(), at) {
            let message =
                format!("the {what} `{name}` is given twice: first in line {}", first.line);
            self.problem(at, message);
        }
    }

    /// Reads a secret, which is given literally at the key `text` or in a file at the key
    /// `file`. The file is not read here.
    fn secret(&mut self, fields: &Fields<'_>, text: &str, file: &str) -> Option<Secret> {
        let in_file = self.optional(fields, file).map(Secret::file);
        let as_text = self.optional(fields, text).map(Secret::from);
        if in_file.is_some() && as_text.is_some() {
            self.problem(fields.at, format!("`{text}` and `{file}` exclude each other: keep one"));
        }
        in_file.or(as_text)
    }

    /// Reads a share from 0 to 1. NaN is rejected.
    fn share(&mut self, fields: &Fields<'_>, key: &str) -> Option<f64> {
        let text = self.optional(fields, key)?;
        let share = text.parse().ok().filter(|share| (0.0..=1.0).contains(share));
        if share.is_none() {
            let at = fields.get(key).map_or(fields.at, |tree| tree.at);
            self.problem(at, format!("`{key}`: expected a number from 0 to 1, got `{text}`"));
        }
        share
    }
}
