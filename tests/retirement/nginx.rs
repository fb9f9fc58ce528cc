//! nginx as a gRPC proxy, with the number of requests after which it retires a connection.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use crate::{
    accepts_connections, every_call_is_answered, program, provider, support::ports,
    upstream::Upstream,
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

struct Nginx {
    port: u16,
    child: Child,
    _folder: tempfile::TempDir,
}

impl Nginx {
    async fn start(program: &Path, upstream: u16, requests: usize) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let port = ports::free_port();
        let configuration = folder.path().join("nginx.conf");
        fs::write(
            &configuration,
            format!(
                "daemon off; worker_processes 1; pid nginx.pid; error_log stderr warn;
                events {{ worker_connections 1024; }}
                http {{
                    access_log off;
                    client_body_temp_path body; proxy_temp_path proxy; fastcgi_temp_path fastcgi;
                    uwsgi_temp_path uwsgi; scgi_temp_path scgi;
                    upstream flagd {{ server 127.0.0.1:{upstream}; keepalive 64; }}
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
