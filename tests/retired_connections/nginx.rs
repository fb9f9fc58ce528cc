//! nginx as a gRPC proxy that retires a connection after a number of requests.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};

use tokio::time::sleep;

use crate::{
    accepts_connections, every_call_is_answered, program, provider,
    support::ports,
    upstream::{Upstream, scripted},
};

pub(crate) fn find() -> Result<PathBuf, String> {
    program("nginx")
}

pub(crate) async fn retires(program: PathBuf) {
    let upstream = Upstream::start().await;
    // The default, and one that retires much more often.
    for (requests, tasks) in [(1000, 16), (1000, 32), (100, 32)] {
        let nginx = Nginx::start(&program, upstream.port(), requests).await;
        every_call_is_answered(&provider(nginx.port).await, tasks).await;
    }
}

/// Two servers behind nginx, each stopped in turn for a moment. A call that has reached a server
/// which then stops ends with HTTP 502, since nginx does not retry a POST.
pub(crate) async fn restarts(program: PathBuf) {
    let servers = [scripted(), scripted()];
    let upstreams = [servers[0].port(), servers[1].port()];
    let nginx = Nginx::before(&program, &upstreams, 1_000_000).await;
    let calling = tokio::spawn({
        let provider = provider(nginx.port).await;
        async move { every_call_is_answered(&provider, 16).await }
    });
    let mut restarts = 0;
    while !calling.is_finished() {
        let server = &servers[restarts % 2];
        server.stop();
        // As long as a restart takes.
        sleep(Duration::from_millis(100)).await;
        server.restart();
        // Both work for a while.
        sleep(Duration::from_millis(200)).await;
        restarts += 1;
    }
    assert!(restarts >= 5, "{restarts} restarts");
    calling.await.unwrap();
}

struct Nginx {
    port: u16,
    child: Child,
    _folder: tempfile::TempDir,
}

impl Nginx {
    async fn start(program: &Path, upstream: u16, requests: usize) -> Self {
        Self::before(program, &[upstream], requests).await
    }

    async fn before(program: &Path, upstreams: &[u16], requests: usize) -> Self {
        let servers = upstreams.iter().map(|port| format!("server 127.0.0.1:{port} max_fails=0;"));
        let servers: String = servers.collect();
        let folder = tempfile::tempdir().unwrap();
        let port = ports::free_port();
        let configuration = folder.path().join("nginx.conf");
        fs::write(
            &configuration,
            format!(
                "daemon off; worker_processes 1; pid nginx.pid; error_log stderr crit;
                events {{ worker_connections 1024; }}
                http {{
                    access_log off;
                    client_body_temp_path body; proxy_temp_path proxy; fastcgi_temp_path fastcgi;
                    uwsgi_temp_path uwsgi; scgi_temp_path scgi;
                    upstream flagd {{ {servers} keepalive 64; }}
                    server {{
                        listen 127.0.0.1:{port} http2;
                        keepalive_requests {requests};
                        location / {{ grpc_pass grpc://flagd; grpc_read_timeout 1h; }}
                    }}
                }}"
            ),
        )
        .unwrap();
        let child = Command::new(program)
            .arg("-p")
            .arg(folder.path())
            .arg("-c")
            .arg(&configuration)
            .args(["-e", "stderr"])
            .stdin(Stdio::null())
            .spawn()
            .unwrap();
        accepts_connections(port).await;
        Self { port, child, _folder: folder }
    }
}

impl Drop for Nginx {
    /// SIGTERM, by which the workers end too.
    fn drop(&mut self) {
        if let Ok(pid) = i32::try_from(self.child.id())
            && let Some(pid) = rustix::process::Pid::from_raw(pid)
        {
            let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
        }
        let _ = self.child.wait();
    }
}
