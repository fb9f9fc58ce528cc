//! How long an event stream may live and be silent, with the defaults of docs/options.md: the clock
//! advances only when a test says so.

use std::time::Duration;

use crate::support::{
    clock::Clock,
    provider::{ALL_CHANGED, boolean, changed, expect, value, watched},
    proxy::gate::TcpGate,
    scripted::{Flag, ScriptedServer, StreamMode},
};
use flagstaff::{
    FlagdOptions, FlagdProvider, ProviderEvent, State,
    flagd::{Events, FlagdOptionsBuilder},
};
use open_feature::EvaluationReason as Reason;
use tonic::Status;

const TICK: Duration = Duration::from_millis(2);
const HOUR: Duration = Duration::from_secs(3600);

const fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

/// All options but the address have their defaults.
fn defaults(port: u16) -> FlagdOptionsBuilder {
    FlagdOptions::builder().host("127.0.0.1").port(port)
}

struct Scene {
    clock: Clock,
    server: ScriptedServer,
    provider: FlagdProvider,
    events: Events,
}

/// A provider that is READY, with `on` in its cache as true.
async fn scene(options: impl Fn(FlagdOptionsBuilder) -> FlagdOptionsBuilder) -> Scene {
    let clock = Clock::stopped();
    let server = ScriptedServer::start();
    server.set("on", true);
    server.set("targeted", Flag::new(true).reason("TARGETING_MATCH"));
    let options = options(defaults(server.port()));
    let (provider, events) = clock.still("READY", watched(options)).await;
    clock.still("a value", boolean(&provider, "on")).await.unwrap();
    Scene { clock, server, provider, events }
}

impl Scene {
    async fn expect(&mut self, expected: impl IntoIterator<Item = ProviderEvent>) {
        self.clock.still("events", expect(&mut self.events, expected)).await;
    }

    /// A change arrives, and so has all that was sent before it; nothing else has happened.
    async fn settle(&mut self) {
        let streams = self.server.change(&["other"]);
        for _ in 0..streams {
            self.expect([changed(&["other"])]).await;
        }
        self.clock.still("a value", boolean(&self.provider, "targeted")).await.unwrap();
        assert_eq!(self.provider.state(), State::Ready);
    }

    async fn streams(&self, open: usize) {
        self.clock.still("streams", self.server.wait_for_streams(open)).await;
    }

    async fn cached(&self) {
        let cached = self.clock.still("a value", value(&self.provider, "on")).await;
        assert_eq!(cached, (true, Reason::Cached));
    }
}

/// `streamDeadlineMs`, 600 s: the stream is replaced before it ends. Nothing is missed: no event,
/// and the cache stays.
#[tokio::test(start_paused = true)]
async fn a_stream_is_replaced_before_its_deadline() {
    let mut scene = scene(|options| options).await;
    scene.clock.pass(secs(5)).await;
    for rotation in 1..=3 {
        scene.clock.pass(secs(589)).await;
        scene.settle().await;
        assert_eq!(scene.server.observed().streams_opened(), rotation);
        scene.clock.pass(secs(1) + TICK).await;
        scene.streams(2).await;
        // Both are open: each of them reports the change.
        scene.settle().await;
        scene.clock.pass(secs(5)).await;
        scene.streams(1).await;
        scene.settle().await;
        scene.cached().await;
    }
    let seen = scene.server.observed();
    assert_eq!((seen.streams_opened(), seen.connections.accepted), (4, 1));
    assert_eq!(scene.provider.stats().reconnections, 0);
}

/// docs/lifecycle.md, "Transitions": the cache is cleared when the next event stream begins after a
/// gap.
#[tokio::test(start_paused = true)]
async fn a_stream_that_is_not_replaced_in_time_leaves_a_gap() {
    let mut scene = scene(|options| options).await;
    scene.server.next_streams([StreamMode::Fail(Status::unavailable("not now"))]);
    scene.clock.pass(secs(595) + TICK).await;
    let refused = scene.server.wait_until("it", |seen| seen.streams_opened() == 2);
    scene.clock.still("the refusal", refused).await;
    scene.settle().await;
    scene.cached().await;
    scene.server.set("on", false);
    scene.clock.pass(secs(5)).await;
    scene.expect([ALL_CHANGED]).await;
    let fresh = scene.clock.still("a value", value(&scene.provider, "on")).await;
    assert_eq!((fresh, scene.provider.state()), ((false, Reason::Static), State::Ready));
}

/// 0 = none.
#[tokio::test(start_paused = true)]
async fn without_a_deadline_a_stream_lives_forever() {
    let mut scene = scene(|options| options.stream_deadline(Duration::ZERO)).await;
    for _ in 0..3 {
        scene.clock.pass(HOUR).await;
        scene.settle().await;
    }
    assert_eq!(scene.server.observed().streams_opened(), 1);
    scene.cached().await;
}

/// `DEADLINE_EXCEEDED` from a server: not a loss if the stream lived for longer than
/// `retryBackoffMs`; otherwise the server is broken, and must not be called again immediately.
#[tokio::test(start_paused = true)]
async fn a_server_may_end_a_stream_at_a_deadline_of_its_own() {
    let mut scene = scene(|options| options).await;
    let deadline = || Status::deadline_exceeded("stream closed due to server-side timeout");
    for rotation in 1..=2 {
        scene.clock.pass(secs(1)).await;
        scene.server.end_streams(deadline());
        scene.expect([ALL_CHANGED]).await;
        assert_eq!(scene.server.observed().streams_opened(), rotation + 1);
    }
    for (losses, full) in [1, 2, 4].into_iter().enumerate() {
        scene.clock.pass(secs(1) - TICK).await;
        scene.server.end_streams(deadline());
        scene.expect([ProviderEvent::Stale]).await;
        scene.clock.pass(secs(full) / 2 - TICK).await;
        scene.clock.still("a value", boolean(&scene.provider, "targeted")).await.unwrap();
        assert_eq!(scene.server.observed().streams_opened(), losses + 3, "it was called at once");
        scene.clock.pass(secs(full)).await;
        scene.expect([ProviderEvent::Ready, ALL_CHANGED]).await;
    }
}

/// `streamIdleMs`, 60 s: it applies once a `keep_alive` was received, and starts again with each
/// message.
#[tokio::test(start_paused = true)]
async fn a_stream_that_falls_silent_is_lost() {
    let mut scene = scene(|options| options.stream_deadline(Duration::ZERO)).await;
    scene.clock.pass(HOUR).await;
    scene.settle().await; // not armed: older servers send no keep_alive
    scene.server.send("keep_alive", None);
    for _ in 0..3 {
        scene.settle().await;
        scene.clock.pass(secs(60) - TICK).await;
    }
    scene.settle().await;
    scene.clock.pass(secs(60) - TICK).await;
    scene.clock.still("a value", boolean(&scene.provider, "targeted")).await.unwrap();
    assert_eq!(scene.provider.state(), State::Ready);
    scene.server.set("on", false);
    scene.clock.pass(TICK * 2).await;
    scene.expect([ProviderEvent::Stale]).await;
    scene.clock.pass(secs(1)).await;
    scene.expect([ProviderEvent::Ready, ALL_CHANGED]).await;
    let fresh = scene.clock.still("a value", value(&scene.provider, "on")).await;
    assert_eq!(fresh, (false, Reason::Static));
    // Another connection: the old one may be dead.
    assert_eq!(scene.server.observed().connections.accepted, 2);
}

/// 0 = off.
#[tokio::test(start_paused = true)]
async fn silence_means_nothing_without_an_idle_deadline() {
    let forever = Duration::ZERO;
    let mut scene = scene(|it| it.stream_deadline(forever).stream_idle(forever)).await;
    scene.server.send("keep_alive", None);
    scene.settle().await;
    scene.clock.pass(HOUR).await;
    scene.settle().await;
    assert_eq!(scene.server.observed().streams_opened(), 1);
}

/// `keepAliveTime`: HTTP/2 pings keep a live connection open and detect a dead one (20 s after the
/// ping), before any deadline of the stream does.
#[tokio::test(start_paused = true)]
async fn pings_detect_a_dead_connection() {
    let clock = Clock::stopped();
    let server = ScriptedServer::start();
    server.set("on", Flag::new(true).reason("TARGETING_MATCH"));
    let network = TcpGate::to_port(server.port());
    let options = defaults(network.port()).keep_alive_time(secs(30));
    let (provider, mut events) = clock.still("READY", watched(options)).await;
    for _ in 0..8 {
        clock.pass(secs(15)).await;
        clock.still("a value", boolean(&provider, "on")).await.unwrap();
    }
    assert_eq!((provider.state(), network.connections().accepted), (State::Ready, 1));

    network.swallow();
    let lost = async {
        loop {
            tokio::select! {
                event = events.next() => break event,
                () = clock.pass(secs(1)) => {}
            }
        }
    };
    let before = tokio::time::Instant::now();
    let event = clock.still("the loss", lost).await;
    assert_eq!(event, Some(ProviderEvent::Stale));
    let silence = before.elapsed();
    assert!(silence >= secs(20) && silence <= secs(55), "{silence:?}");
}
