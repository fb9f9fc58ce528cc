//! Restarts: of two servers behind one address, one of which is always available, and of a single
//! one.

use flagstaff::{FlagdProvider, State};
use tokio::task::JoinHandle;

use crate::{
    every_call_is_answered, provider,
    support::{
        proxy::gate::TcpGate,
        scripted::ScriptedServer,
        wait::{PATIENCE, eventually},
    },
    upstream::scripted,
};

/// Each server finishes the calls in flight before it stops.
pub(crate) async fn gentle() {
    in_turn(async |old, _| old.shutdown().await).await;
}

/// Each server is cut off with its calls in flight.
pub(crate) async fn hard() {
    in_turn(async |old, address| {
        address.cut();
        old.stop();
    })
    .await;
}

/// Starts one server and stops the other, by turns, until all calls are made.
async fn in_turn(stop: impl AsyncFn(&ScriptedServer, &TcpGate)) {
    let (servers, address, calling) = begin().await;
    let mut restarts = 0;
    for turn in 0.. {
        let (old, new) = (&servers[turn % 2], &servers[(turn + 1) % 2]);
        new.restart();
        address.lead_to(new.port());
        stop(old, &address).await;
        served(new, &calling).await;
        restarts += 1;
        if calling.is_finished() {
            break;
        }
    }
    assert!(restarts >= 5, "{restarts} restarts");
    calling.await.unwrap();
}

/// One server, which is unavailable until the provider has noticed. Meanwhile connections are
/// refused, or a proxy closes them at once.
pub(crate) async fn alone() {
    for proxied in [false, true] {
        let server = scripted();
        let address = TcpGate::to_port(server.port());
        let port = if proxied { address.port() } else { server.port() };
        let provider = provider(port).await;
        let calling = tokio::spawn({
            let provider = provider.clone();
            async move { every_call_is_answered(&provider, 16).await }
        });
        while !calling.is_finished() {
            server.stop();
            eventually("STALE", || provider.state() == State::Stale).await;
            server.restart();
            provider.wait_ready(PATIENCE).await.unwrap();
            served(&server, &calling).await;
        }
        calling.await.unwrap();
    }
}

async fn begin() -> ([ScriptedServer; 2], TcpGate, JoinHandle<()>) {
    let servers = [scripted(), scripted()];
    let address = TcpGate::to_port(servers[0].port());
    let provider: FlagdProvider = provider(address.port()).await;
    let calling = tokio::spawn(async move { every_call_is_answered(&provider, 16).await });
    (servers, address, calling)
}

/// Waits until a server has responded to some calls.
async fn served(server: &ScriptedServer, calling: &JoinHandle<()>) {
    let before = server.observed().unary();
    eventually("some calls", || server.observed().unary() >= before + 500 || calling.is_finished())
        .await;
}
