//! The plugins of `docs/argocd.md`, with the environment that Argo CD gives them.

use std::{collections::BTreeMap, env, fs, path::Path};

use flagstaff::evaluator::FlagSet;
use serde_json::Value;
use tempfile::TempDir;
use tokio::process::Command;

use crate::{
    program::{Finished, PATH, finish, without_flagd},
    render::files,
};

const PAGE: &str = include_str!("../../docs/argocd.md");

/// A document of YAML. It is read as the variant of a flag, by the library's own parser.
fn yaml(text: &str) -> Value {
    let text = text.replace('\n', "\n        ");
    let yaml =
        format!("flags:\n  f:\n    state: ENABLED\n    variants:\n      v:\n        {text}\n");
    let flags = FlagSet::parse_yaml(&yaml).unwrap_or_else(|error| panic!("{error}:\n{yaml}"));
    let definition: Value = serde_json::from_str(flags.definition("f").unwrap()).unwrap();
    definition["variants"]["v"].clone()
}

/// The documents on the page, by their kind. The first is a template.
fn documents() -> BTreeMap<String, Value> {
    let blocks = PAGE.split("\n```yaml\n").skip(2);
    let documents = blocks.map(|block| yaml(block.split("\n```").next().unwrap()));
    documents.map(|document| (document["kind"].as_str().unwrap().to_owned(), document)).collect()
}

/// The plugins, by the keys of the `ConfigMap`.
fn plugins() -> BTreeMap<String, Value> {
    let documents = documents();
    let data = documents["ConfigMap"]["data"].as_object().unwrap();
    data.iter().map(|(key, text)| (key.clone(), yaml(text.as_str().unwrap()))).collect()
}

#[test]
fn the_page_has_three_plugins_and_an_application_that_names_one() {
    let (documents, plugins) = (documents(), plugins());
    assert_eq!(documents.keys().collect::<Vec<_>>(), ["Application", "ConfigMap", "Deployment"]);
    let name = |plugin: &Value| plugin["metadata"]["name"].as_str().unwrap().to_owned();
    let names: Vec<_> = plugins.values().map(name).collect();
    assert_eq!(names, ["flagstaff-helm", "flagstaff-kustomize", "flagstaff"]);
    let named = &documents["Application"]["spec"]["source"]["plugin"]["name"];
    assert!(names.iter().any(|name| name == named), "{named}");
    for plugin in plugins.values() {
        assert_eq!(plugin["apiVersion"], "argoproj.io/v1alpha1");
        assert_eq!(plugin["kind"], "ConfigManagementPlugin");
    }
}

/// F1: the original's configuration was mounted where it was not searched. Here, each sidecar has
/// its plugin where Argo CD searches it, and flagd is named by variables.
#[test]
fn f1_every_sidecar_has_its_configuration_where_it_is_searched() {
    let (documents, plugins) = (documents(), plugins());
    let pod = &documents["Deployment"]["spec"]["template"]["spec"];
    let volumes: Vec<_> =
        pod["volumes"].as_array().unwrap().iter().map(|volume| &volume["name"]).collect();
    let mut configured = Vec::new();
    for container in pod["containers"].as_array().unwrap() {
        assert_eq!(container["command"], serde_json::json!(["/var/run/argocd/argocd-cmp-server"]));
        assert_eq!(container["securityContext"]["runAsUser"], 999);
        let mounts = container["volumeMounts"].as_array().unwrap();
        let at = |path: &str| mounts.iter().find(|mount| mount["mountPath"] == path).unwrap();
        let config = at("/home/argocd/cmp-server/config/plugin.yaml");
        assert_eq!(config["name"], "flagstaff-plugins");
        let key = config["subPath"].as_str().unwrap();
        assert_eq!(plugins[key]["metadata"]["name"], container["name"]);
        configured.push(key.to_owned());
        // Argo CD's own volumes, and a directory for temporary files that it shares with nobody.
        assert_eq!(at("/var/run/argocd")["name"], "var-files");
        assert_eq!(at("/home/argocd/cmp-server/plugins")["name"], "plugins");
        let tmp = &at("/tmp")["name"];
        assert!(
            volumes.contains(&tmp)
                && tmp.as_str() == Some(&format!("{}-tmp", container["name"].as_str().unwrap()))
        );
        assert!(volumes.contains(&&config["name"]));
        let variables = container["env"].as_array().unwrap();
        assert!(variables.iter().any(|variable| variable["name"] == "FLAGD_HOST"));
    }
    configured.sort();
    assert_eq!(configured, plugins.into_keys().collect::<Vec<_>>());
}

/// F2, F15: the original's init container failed, and its scripts were not where they were expected.
#[test]
fn f2_and_f15_there_is_nothing_to_unpack() {
    let documents = documents();
    assert!(documents["Deployment"]["spec"]["template"]["spec"]["initContainers"].is_null());
    for plugin in plugins().values() {
        let generate = &plugin["spec"]["generate"];
        assert_eq!(generate["command"], serde_json::json!(["sh", "-c"]));
        assert_eq!(generate["args"].as_array().unwrap().len(), 1);
    }
}

/// A repository with the application in `deploy`, and programs on the `PATH`.
struct Repository {
    directory: TempDir,
}

impl Repository {
    /// The doubles of Helm and Kustomize print their arguments, and what they are given. With
    /// `fails`, they fail.
    fn new(manifest: &str, fails: &str) -> Self {
        let double = "#!/bin/sh\nset -eu\necho \"$(basename \"$0\") $*\" >> \"$CALLS\"\n\
                      [ \"$1\" != \"$FAILS\" ] || exit 7\n\
                      case \"$1\" in\n\
                      dependency) echo 'Hang tight' ;;\n\
                      template) cat \"$3/a.yaml\" ;;\n\
                      build) cat \"$2/a.yaml\" \"$2/../base/b.yaml\" ;;\n\
                      esac\n";
        let directory = files(&[
            ("repository/deploy/a.yaml", manifest.as_bytes()),
            ("repository/base/b.yaml", b"---\nbase: true\n"),
            ("bin/helm", double.as_bytes()),
            ("bin/kustomize", double.as_bytes()),
            ("fails", fails.as_bytes()),
        ]);
        #[cfg(unix)]
        {
            use std::os::unix::fs::{PermissionsExt as _, symlink};
            for name in ["helm", "kustomize"] {
                let path = directory.path().join("bin").join(name);
                fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
            }
            symlink(PATH, directory.path().join("bin/flagstaff")).unwrap();
        }
        Self { directory }
    }

    fn path(&self) -> &Path {
        self.directory.path()
    }

    /// Runs the script of a plugin as Argo CD does: in the directory of the application.
    async fn generate(&self, plugin: &str, environment: &[(&str, &str)]) -> Finished {
        let plugin = &plugins()[plugin];
        let generate = &plugin["spec"]["generate"];
        let words = |key: &str| {
            let words = generate[key].as_array().unwrap().iter();
            words.map(|word| word.as_str().unwrap().to_owned()).collect::<Vec<_>>()
        };
        let command = words("command");
        let mut script = without_flagd(Command::new(&command[0]));
        script.args(&command[1..]).args(words("args"));
        script.current_dir(self.path().join("repository/deploy"));
        let mut path = vec![self.path().join("bin")];
        path.extend(env::split_paths(&env::var_os("PATH").unwrap_or_default()));
        script.env("PATH", env::join_paths(path).unwrap());
        script.env("CALLS", self.path().join("calls"));
        script.env("FAILS", fs::read_to_string(self.path().join("fails")).unwrap());
        script.env("FLAGD_RESOLVER", "file");
        script.env("FLAGD_OFFLINE_FLAG_SOURCE_PATH", self.path().join("flags.json"));
        for (name, value) in [
            ("ARGOCD_APP_NAME", "acme-prod"),
            ("ARGOCD_APP_NAMESPACE", "acme"),
            ("ARGOCD_APP_REVISION", "0123456789abcdef"),
            ("ARGOCD_APP_SOURCE_PATH", "deploy"),
            ("ARGOCD_APP_SOURCE_REPO_URL", "https://git.example/acme.git"),
            ("ARGOCD_APP_SOURCE_TARGET_REVISION", "main"),
            ("KUBE_VERSION", "1.33"),
            ("KUBE_API_VERSIONS", "v1,apps/v1"),
        ] {
            script.env(name, value);
        }
        script.envs(environment.iter().copied());
        finish(script).await
    }

    /// The calls of the doubles, in order. The directory of the output is `OUT`.
    fn calls(&self) -> Vec<String> {
        let calls = fs::read_to_string(self.path().join("calls")).unwrap_or_default();
        let words = |line: &str| {
            let words = line
                .split(' ')
                .map(|word| if word.starts_with("../.flagstaff.") { "OUT" } else { word });
            words.collect::<Vec<_>>().join(" ")
        };
        calls.lines().map(words).collect()
    }

    /// What is beside the application; nothing temporary stays there.
    fn beside(&self) -> Vec<String> {
        let entries = fs::read_dir(self.path().join("repository")).unwrap();
        let mut names: Vec<_> =
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }
}

const MANIFEST: &str = "replicas: [{ env \"max_replicas\" }]\n";

#[tokio::test]
async fn the_name_of_the_application_and_its_properties_decide() {
    let repository = Repository::new(MANIFEST, "");
    for (environment, expected) in [
        (&[][..], "replicas: 3\n"),
        (&[("ARGOCD_ENV_FLAGOPS_PROP_TIER", "gold")], "replicas: 5\n"),
        (&[("ARGOCD_APP_NAME", "other")], "replicas: 1\n"),
        (
            &[("ARGOCD_ENV_FLAGOPS_PROP_TIER", "gold"), ("FLAGOPS_PROP_TIER", "iron")],
            "replicas: 3\n",
        ),
    ] {
        let run = repository.generate("raw.yaml", environment).await;
        assert_eq!((run.code, &*run.out, &*run.err), (Some(0), expected, ""), "{environment:?}");
    }
}

#[tokio::test]
async fn helm_and_kustomize_get_what_was_rendered() {
    let repository = Repository::new(MANIFEST, "");
    let run = repository.generate("helm.yaml", &[("ARGOCD_APP_NAME", "team_acme-prod")]).await;
    assert_eq!((run.code, &*run.out), (Some(0), "replicas: 1\n"), "{}", run.err);
    // What Helm accepts as a name.
    assert!(repository.calls()[1].starts_with("helm template acme-prod OUT "));
    let repository = Repository::new(MANIFEST, "");
    let run = repository.generate("helm.yaml", &[]).await;
    // What Helm says about dependencies is not a manifest.
    assert_eq!((run.code, &*run.out, &*run.err), (Some(0), "replicas: 3\n", "Hang tight\n"));
    let template = "helm template acme-prod OUT --namespace acme --kube-version 1.33 \
                    --api-versions v1,apps/v1 --include-crds";
    assert_eq!(repository.calls(), ["helm dependency build OUT", template]);
    assert_eq!(repository.beside(), ["base", "deploy"]);

    let repository = Repository::new(MANIFEST, "");
    let run = repository.generate("kustomize.yaml", &[]).await;
    // The base is where the kustomization expects it.
    assert_eq!((run.code, &*run.out, &*run.err), (Some(0), "replicas: 3\n---\nbase: true\n", ""));
    assert_eq!(repository.calls(), ["kustomize build OUT"]);
    assert_eq!(repository.beside(), ["base", "deploy"]);
}

/// F11: the original went on after an error, with an empty directory.
#[tokio::test]
async fn f11_a_script_ends_at_the_first_command_that_fails() {
    for plugin in ["raw.yaml", "helm.yaml", "kustomize.yaml"] {
        let repository = Repository::new("a: [{ env \"missing\" }]\n", "");
        let run = repository.generate(plugin, &[]).await;
        assert_eq!((run.code, &*run.out), (Some(1), ""), "{plugin}");
        assert!(run.err.contains("a.yaml:1: flag `missing` does not exist"), "{}", run.err);
        assert_eq!(
            (repository.calls(), repository.beside()),
            (vec![], vec!["base".to_owned(), "deploy".to_owned()])
        );
    }
    for (plugin, fails, calls) in [
        ("helm.yaml", "dependency", 1),
        ("helm.yaml", "template", 2),
        ("kustomize.yaml", "build", 1),
    ] {
        let repository = Repository::new(MANIFEST, fails);
        let run = repository.generate(plugin, &[]).await;
        assert_eq!((run.code, &*run.out), (Some(7), ""), "{plugin} {fails}");
        assert_eq!(repository.calls().len(), calls, "{plugin} {fails}");
        assert_eq!(repository.beside(), ["base", "deploy"]);
    }
}
