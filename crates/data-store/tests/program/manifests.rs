//! The manifests for Kubernetes: they are valid, and the server that they start works.

use std::{
    collections::{BTreeMap, HashMap},
    fs,
    path::Path,
    process::Command,
};

use flagops_store::{
    secret::Keys,
    settings::{OPTIONS, Settings},
};
use secrecy::ExposeSecret as _;
use serde_json::Value;
use service::health;
use testing::Process;

use crate::program::{Program, text};

const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");
const FOLDER: &str = "deploy/kubernetes/flagops-store";

fn read(path: &str) -> String {
    fs::read_to_string(Path::new(ROOT).join(path)).expect(path)
}

fn files() -> Vec<String> {
    let entries = fs::read_dir(Path::new(ROOT).join(FOLDER)).unwrap();
    let names = entries.map(|it| it.unwrap().file_name().into_string().unwrap());
    let mut files: Vec<_> = names.map(|name| format!("{FOLDER}/{name}")).collect();
    files.sort();
    files
}

/// The resources by their kinds. `None`: what reads them is not installed.
fn resources() -> Option<BTreeMap<String, Value>> {
    let python = testing::installed("kubernetes", "bin/python")?;
    let script = "import json, sys, yaml\n\
                  print(json.dumps({it['kind']: it for it in map(yaml.safe_load, map(open, sys.argv[1:]))}))";
    let output = Command::new(python).args(["-c", script]).args(files()).current_dir(ROOT).output();
    let output = output.unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Some(serde_json::from_slice(&output.stdout).unwrap())
}

/// Those that the program reads, wherever they are written, in comments too.
#[test]
fn d30_each_variable_is_that_of_an_option() {
    let pages = ["docs/flagops.md", "Dockerfile", "docker/check"].map(str::to_owned);
    let mut count = 0;
    for path in files().into_iter().chain(pages) {
        // Variables of the original that do nothing here are listed as such.
        let lines = read(&path);
        let lines = lines.lines().filter(|line| !line.contains("| ignored"));
        for word in lines.flat_map(|line| {
            line.split(|it: char| !(it.is_ascii_uppercase() || it == '_' || it.is_ascii_digit()))
        }) {
            // `FLAGOPS_PROP_*` is read by `flagstaff render`, and `FLAGOPS_TLS_*` names several.
            if word.starts_with("FLAGOPS_") && !word.ends_with('_') {
                let known = OPTIONS.iter().any(|it| it.variables.contains(&word));
                assert!(known, "{path}: no option has the variable {word}");
                count += 1;
            }
        }
    }
    assert!(count > 20, "{count} variables");
}

#[test]
fn the_manifests_are_valid() {
    let Some(program) = testing::installed("kubernetes", "bin/kubernetes-validate") else {
        return testing::skip("kubernetes-validate");
    };
    let first = read(&format!("{FOLDER}/deployment.yaml"));
    let (_, oldest) = first.split_once("Needs Kubernetes ").unwrap();
    let (oldest, _) = oldest.split_once(" or later").unwrap();
    // The last one is the validator's default.
    for version in [&["-k", oldest][..], &[]] {
        let mut command = Command::new(&program);
        command.arg("--strict").args(version).args(files()).current_dir(ROOT);
        let output = command.output().unwrap();
        assert!(
            output.status.success(),
            "{version:?}: {}{}",
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        );
    }
}

#[test]
fn the_resources_select_the_pods_of_the_deployment() {
    let Some(resources) = resources() else { return testing::skip("kubernetes-validate") };
    let spec = |kind: &str| &resources[kind]["spec"];
    let labels = &spec("Deployment")["template"]["metadata"]["labels"];
    assert!(labels.is_object());
    for selector in [
        &spec("Deployment")["selector"]["matchLabels"],
        &spec("Service")["selector"],
        &spec("PodDisruptionBudget")["selector"]["matchLabels"],
        &spec("NetworkPolicy")["podSelector"]["matchLabels"],
    ] {
        assert_eq!(selector, labels);
    }
    let pod = &spec("Deployment")["template"]["spec"];
    let port = &pod["containers"][0]["ports"][0]["name"];
    assert_eq!(&spec("Service")["ports"][0]["targetPort"], port);
    assert_eq!(&spec("NetworkPolicy")["ingress"][0]["ports"][0]["port"], port);
    let user = pod["securityContext"]["runAsUser"].to_string();
    assert!(read("Dockerfile").contains(&format!("\nUSER {user}:{user}\n")));
}

/// With the environment of the container: its values, and files in the place of its Secrets.
#[tokio::test]
async fn d38_the_server_of_the_deployment_passes_its_probes() {
    let Some(resources) = resources() else { return testing::skip("kubernetes-validate") };
    let container = &resources["Deployment"]["spec"]["template"]["spec"]["containers"][0];
    let mut program = Program::new().with("FLAGOPS_SECRETS_KEYS", "");
    let secret = |mount: &str| program.path(mount.trim_start_matches('/'));
    for mount in container["volumeMounts"].as_array().unwrap() {
        fs::create_dir_all(secret(mount["mountPath"].as_str().unwrap())).unwrap();
    }
    let variables = container["env"].as_array().unwrap().iter().map(|variable| {
        let name = variable["name"].as_str().unwrap();
        let value = match variable["value"].as_str() {
            Some(value) if value.starts_with('/') => text(&secret(value)).to_owned(),
            Some(value) => value.to_owned(),
            None => {
                let key = variable["valueFrom"]["secretKeyRef"]["key"].as_str();
                assert_eq!((name, key), ("FLAGOPS_DATABASE", Some("database")));
                text(&program.database()).to_owned()
            }
        };
        (name.to_owned(), value)
    });
    let variables: BTreeMap<_, _> = variables.collect();
    let made = rcgen::generate_simple_self_signed(["flagops-store".to_owned()]).unwrap();
    fs::write(&variables["FLAGOPS_TLS_CERT_FILE"], made.cert.pem()).unwrap();
    fs::write(&variables["FLAGOPS_TLS_KEY_FILE"], made.signing_key.serialize_pem()).unwrap();
    let keys = Keys::generate("1").unwrap();
    fs::write(&variables["FLAGOPS_SECRETS_KEYS_FILE"], keys.expose_secret()).unwrap();
    let settings = Settings::read(&HashMap::new(), None, |name| variables.get(name).cloned());
    let settings = settings.unwrap();
    assert!(
        settings.serving.require_auth
            && !settings.serving.insecure
            && settings.serving.tls.is_some()
    );
    assert_eq!(container["ports"][0]["containerPort"], settings.serving.listen.port());

    for (name, value) in &variables {
        program = program.with(name, value);
    }
    let port = testing::free_port();
    let listen = format!("127.0.0.1:{port}");
    let program = program.with("FLAGOPS_LISTEN", &listen);
    let arguments = container["args"].as_array().unwrap();
    let arguments: Vec<_> = arguments.iter().map(|it| it.as_str().unwrap()).collect();
    let mut server = Process::start(&program.command(&arguments));
    server.wait_for_port(port);
    for probe in ["startupProbe", "livenessProbe", "readinessProbe"] {
        let request = &container[probe]["httpGet"];
        assert_eq!(request["port"], container["ports"][0]["name"], "{probe}");
        assert_eq!(request["scheme"], "HTTPS", "{probe}");
        let path = request["path"].as_str().unwrap();
        health::check(listen.parse().unwrap(), true, path).await.expect(probe);
    }
}
