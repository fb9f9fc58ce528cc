//! `flagstaff health`: checks the health of a server, as a probe in an image that contains
//! no other program.
//!
//! It sends one HTTP/1.1 request to the management port, whose responses are those of flagd:
//!
//! ```text
//! GET /healthz   200  the server runs
//! GET /readyz    200  every source has provided valid flags
//!                412  not yet
//! ```
//!
//! hyper's client without a connection pool, redirects or TLS is enough for that: the
//! management port is always plain.

use std::{
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    time::Duration,
};

use http::{Request, StatusCode, header::HOST};
use http_body_util::Empty;
use hyper::{body::Bytes, client::conn::http1};
use hyper_util::rt::TokioIo;
use tokio::{net::TcpStream, time::timeout};

use crate::{
    exit::{Exit, failed},
    output,
};

/// Check the health of a running flagd or flagstaff, at its management port.
///
/// Exit code 0: healthy; 1: not healthy; 2: usage error; 3: it is unreachable.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Check that every source has provided flags (`/readyz`), and not only that the server runs
    /// (`/healthz`).
    #[arg(long)]
    readiness: bool,
    /// The server's host, a name or an IP address; `::` and `0.0.0.0`, where a server listens on every
    /// interface, mean loopback.
    #[arg(long, env = "FLAGSTAFF_HOST", default_value = "127.0.0.1")]
    host: String,
    /// The server's management port.
    #[arg(short, long, env = "FLAGD_MANAGEMENT_PORT", value_name = "PORT", default_value_t = 8014)]
    #[arg(visible_alias = "port", visible_short_alias = 'p')]
    #[arg(value_parser = clap::value_parser!(u16).range(1..))]
    management_port: u16,
    /// How long to wait for the response, in milliseconds.
    #[arg(long, value_name = "MS", default_value_t = 2000)]
    #[arg(value_parser = clap::value_parser!(u64).range(1..))]
    deadline_ms: u64,
}

/// Sends the request and reports the outcome.
///
/// The deadline covers everything: resolving the host, connecting, and the response.
pub(crate) async fn run(args: Args) -> Exit {
    let (path, healthy) =
        if args.readiness { ("/readyz", "ready") } else { ("/healthz", "healthy") };
    // An IPv6 address may be in brackets, as in a URL.
    let host = args.host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    let host = host.unwrap_or(&args.host);
    let authority = match host.parse() {
        Ok(IpAddr::V6(host)) => format!("[{host}]:{}", args.management_port),
        _ => format!("{host}:{}", args.management_port),
    };
    let url = format!("http://{authority}{path}");
    let response = status(host, args.management_port, &authority, path);
    match timeout(Duration::from_millis(args.deadline_ms), response).await {
        Ok(Ok(StatusCode::OK)) => {
            // Probes read the exit code, and may have closed the output.
            let _ = output::line(&healthy);
            Exit::Success
        }
        Ok(Ok(StatusCode::PRECONDITION_FAILED)) if args.readiness => {
            failed(Exit::No, &format!("{url}: not every source has provided valid flags"))
        }
        Ok(Ok(status)) => failed(Exit::No, &format!("{url}: {status}")),
        Ok(Err(error)) => failed(Exit::Unreachable, &format!("{url}: {error}")),
        Err(_) => {
            failed(Exit::Unreachable, &format!("{url}: no response within {} ms", args.deadline_ms))
        }
    }
}

/// The status of the response to a GET request on a new connection.
async fn status(host: &str, port: u16, authority: &str, path: &str) -> io::Result<StatusCode> {
    let request = Request::get(path).header(HOST, authority).body(Empty::<Bytes>::new());
    let request = request.map_err(io::Error::other)?;
    let connection = TokioIo::new(connect(host, port).await?);
    let (mut sender, connection) = http1::handshake(connection).await.map_err(io::Error::other)?;
    tokio::spawn(connection);
    let response = sender.send_request(request).await.map_err(io::Error::other)?;
    Ok(response.status())
}

/// Connects to the server. An address that means every interface cannot be connected to
/// everywhere, so loopback is used for it, over IPv4 or else IPv6.
async fn connect(host: &str, port: u16) -> io::Result<TcpStream> {
    match host.parse::<IpAddr>() {
        Ok(address) if address.is_unspecified() => {
            let [v4, v6]: [IpAddr; 2] = [Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()];
            TcpStream::connect(&[(v4, port).into(), (v6, port).into()][..]).await
        }
        _ => TcpStream::connect((host, port)).await,
    }
}
