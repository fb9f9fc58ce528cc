//! `flagstaff health`.

use std::net::{Ipv6Addr, SocketAddr, TcpListener};

use tokio::process::{Child, Command};

use crate::{
    flagd, one_flag,
    program::{Finished, finish, flagstaff, run},
    start::addresses,
    support::{
        servers::raw::{SilentPeer, closed_port},
        wait::becomes_true,
    },
};

async fn health(port: u16, args: &[&str]) -> Finished {
    run(&[&["health", "--management-port", &port.to_string()], args].concat()).await
}

fn with_environment(variables: &[(&str, &str)]) -> Command {
    let mut command = flagstaff(&["health"]);
    command.envs(variables.iter().copied());
    command
}

/// A server of this package on free ports, and its addresses.
async fn start(args: &[&str]) -> (Child, Vec<(String, SocketAddr)>) {
    let mut command = flagstaff(&["start", "-z=json", "-p=0", "-m=0", "-g=0", "-r=0"]);
    command.args(args);
    addresses(command).await
}

fn port(addresses: &[(String, SocketAddr)], service: &str) -> u16 {
    addresses.iter().find(|(name, _)| name == service).unwrap().1.port()
}

#[tokio::test]
async fn a_healthy_server_is_found_where_it_listens() {
    let flagd = flagd(&one_flag()).await;
    let port = flagd.ports().management;
    for (args, line) in [(&[][..], "healthy\n"), (&["--readiness"], "ready\n")] {
        let mut last = None;
        becomes_true("the server to be ready", async || {
            last.insert(health(port, args).await).code == Some(0)
        })
        .await;
        let run = last.unwrap();
        assert_eq!((&*run.out, &*run.err), (line, ""));
    }
    let port = port.to_string();
    for host in ["127.0.0.1", "localhost", "0.0.0.0", "::"] {
        let run = run(&["health", "--port", &port, "--host", host]).await;
        assert_eq!(run.code, Some(0), "{host}: {run:?}");
        let variables = [("FLAGSTAFF_HOST", host), ("FLAGD_MANAGEMENT_PORT", &port)];
        let run = finish(with_environment(&variables)).await;
        assert_eq!(run.code, Some(0), "{host}: {run:?}");
    }
}

#[tokio::test]
async fn a_server_is_found_by_ipv6() {
    if TcpListener::bind((Ipv6Addr::LOCALHOST, 0)).is_err() {
        return; // there is none
    }
    let flags = tempfile::NamedTempFile::with_suffix(".json").unwrap();
    std::fs::write(flags.path(), one_flag().to_string()).unwrap();
    let uri = format!("file:{}", flags.path().display());
    let (_child, addresses) = start(&["--host", "::1", "-f", &uri]).await;
    for host in ["::1", "::", "[::1]", "[::]"] {
        let run = health(port(&addresses, "management"), &["--host", host]).await;
        assert_eq!(run.code, Some(0), "{host}: {run:?}");
    }
}

#[tokio::test]
async fn a_server_without_flags_is_healthy_but_not_ready() {
    let source = format!("http://127.0.0.1:{}/flags.json", closed_port());
    let (_child, addresses) = start(&["-f", &source]).await;
    let management = port(&addresses, "management");
    assert_eq!(health(management, &[]).await.code, Some(0));
    let run = health(management, &["--readiness"]).await;
    assert_eq!((run.code, &*run.out), (Some(1), ""));
    assert!(run.err.contains("/readyz: not every source has provided valid flags"), "{run:?}");

    let run = health(port(&addresses, "ofrep"), &[]).await;
    assert_eq!(run.code, Some(1), "another port has another answer");
    assert!(run.err.contains("/healthz: 404 Not Found"), "{run:?}");
}

#[tokio::test]
async fn a_server_that_does_not_respond_in_time_is_unreachable() {
    let closed = health(closed_port(), &["--readiness"]).await;
    assert_eq!(closed.code, Some(3), "{closed:?}");
    let silent = SilentPeer::start();
    let port = silent.uri().rsplit(':').next().unwrap().parse().unwrap();
    let run = health(port, &["--deadline-ms", "50"]).await;
    assert_eq!(run.code, Some(3), "{run:?}");
    assert!(run.err.contains("/healthz: no response within 50 ms"), "{run:?}");
}

#[tokio::test]
async fn wrong_usage() {
    for args in [&["-p", "0"][..], &["--deadline-ms", "0"], &["--deadline-ms", "soon"], &["x"]] {
        assert_eq!(run(&[&["health"], args].concat()).await.code, Some(2), "{args:?}");
    }
    let run = finish(with_environment(&[("FLAGD_MANAGEMENT_PORT", "x")])).await;
    assert_eq!(run.code, Some(2), "{run:?}");
    // Kubernetes sets it for a Service called flagd-management, and templates leave it empty.
    for ignored in ["tcp://10.0.0.1:8014", ""] {
        let variables = [("FLAGD_MANAGEMENT_PORT", ignored), ("FLAGSTAFF_HOST", "127.0.0.77")];
        let run = finish(with_environment(&variables)).await;
        assert!(run.err.contains("http://127.0.0.77:8014/healthz"), "{run:?}");
    }
}

/// It runs without a shell, which the image does not have.
#[tokio::test]
async fn the_image_checks_itself() {
    let dockerfile = include_str!("../../Dockerfile");
    let line = dockerfile.lines().find(|line| line.starts_with("HEALTHCHECK ")).unwrap();
    let (_, command) = line.split_once(" CMD ").unwrap();
    let command: Vec<String> = serde_json::from_str(command).unwrap();
    let entrypoint = format!("ENTRYPOINT [\"{}\"]", command[0]);
    assert!(dockerfile.lines().any(|line| line == entrypoint), "{command:?}");
    assert!(dockerfile.lines().any(|line| line == "ENV FLAGSTAFF_HOST=::"));

    let flagd = flagd(&one_flag()).await;
    let mut check = flagstaff(&command[1..].iter().map(String::as_str).collect::<Vec<_>>());
    check.env("FLAGSTAFF_HOST", "::");
    check.env("FLAGD_MANAGEMENT_PORT", flagd.ports().management.to_string());
    assert_eq!(finish(check).await.code, Some(0));
}
