//! The lifecycle, row by row of "Transitions" in `docs/lifecycle.md`.

use super::*;

const GRACE: Duration = Duration::from_secs(10);
const LIMITS: Limits = Limits { grace: GRACE, retries: Some(5) };

fn machine(limits: Limits, now: Instant) -> Lifecycle {
    Lifecycle::initializing(limits, now + Duration::from_millis(500), "too late".to_owned())
}

fn lost(failures: u32) -> Input {
    Input::Lost { message: "gone".to_owned(), failures, refused: false }
}

fn refused() -> Input {
    Input::Lost { message: "denied".to_owned(), failures: 1, refused: true }
}

/// As the resolver `rpc` sends it: flagd does not repeat the changes made during a gap.
fn ready() -> Input {
    Input::Ready(Some(ChangedFlags::All))
}

fn invalid(message: &str) -> Input {
    Input::Invalid { message: message.to_owned() }
}

fn changed() -> Input {
    Input::Changed(keys())
}

fn keys() -> ChangedFlags {
    ChangedFlags::Keys(["a".to_owned()].into())
}

fn error(message: &str, fatal: bool) -> ProviderEvent {
    ProviderEvent::Error { message: message.to_owned(), fatal }
}

const ALL_CHANGED: ProviderEvent = ProviderEvent::ConfigurationChanged(ChangedFlags::All);

/// The inputs that lead into each state.
fn path(state: &str) -> Vec<Input> {
    match state {
        "NOT_READY" => vec![],
        "READY" => vec![ready()],
        "STALE" => vec![ready(), lost(0)],
        "ERROR" => vec![ready(), lost(0), Input::Elapsed],
        "ERROR, never ready" => vec![lost(1)],
        "FATAL" => vec![refused()],
        "STALE, not valid" => vec![ready(), invalid("bad")],
        "ERROR, not valid" => vec![invalid("bad")],
        other => panic!("no way to {other}"),
    }
}

/// The first table of "Transitions" in `docs/lifecycle.md`: from, input, to, events, cache.
#[tokio::test]
async fn each_row_of_the_table() {
    use CacheAction::{Drop, Keep};
    use ProviderEvent::{Ready, Stale};
    let all = || Drop(ChangedFlags::All);
    let now = Instant::now();
    for (from, input, to, events, cache) in [
        ("NOT_READY", ready(), State::Ready, vec![Ready], Keep),
        ("NOT_READY", Input::Elapsed, State::Error, vec![error("too late", false)], all()),
        ("NOT_READY", lost(1), State::Error, vec![error("gone", false)], all()),
        ("NOT_READY", refused(), State::Fatal, vec![error("denied", true)], all()),
        ("NOT_READY", changed(), State::NotReady, vec![], Keep),
        ("ERROR, never ready", refused(), State::Fatal, vec![error("denied", true)], all()),
        ("ERROR, never ready", ready(), State::Ready, vec![Ready, ALL_CHANGED], all()),
        ("ERROR, never ready", lost(9), State::Error, vec![], Keep),
        (
            "READY",
            changed(),
            State::Ready,
            vec![ProviderEvent::ConfigurationChanged(keys())],
            Drop(keys()),
        ),
        ("READY", Input::Changed(ChangedFlags::All), State::Ready, vec![ALL_CHANGED], all()),
        ("READY", lost(0), State::Stale, vec![Stale], Keep),
        ("READY", lost(5), State::Stale, vec![Stale], Keep),
        ("READY", refused(), State::Stale, vec![Stale], Keep),
        // One stream has followed another with a gap between them.
        ("READY", ready(), State::Ready, vec![ALL_CHANGED], all()),
        ("READY", Input::Elapsed, State::Ready, vec![], Keep),
        ("STALE", Input::Elapsed, State::Error, vec![error("gone", false)], all()),
        ("STALE", ready(), State::Ready, vec![Ready, ALL_CHANGED], all()),
        ("STALE", lost(4), State::Stale, vec![], Keep),
        ("STALE", lost(5), State::Error, vec![error("gone", false)], all()),
        ("STALE", refused(), State::Stale, vec![], Keep),
        ("STALE", changed(), State::Stale, vec![], Keep),
        ("ERROR", ready(), State::Ready, vec![Ready, ALL_CHANGED], all()),
        ("ERROR", lost(6), State::Error, vec![], Keep),
        ("ERROR", refused(), State::Error, vec![], Keep),
        ("ERROR", Input::Elapsed, State::Error, vec![], Keep),
        ("ERROR", changed(), State::Error, vec![], Keep),
        ("FATAL", ready(), State::Fatal, vec![], Keep),
        ("FATAL", lost(1), State::Fatal, vec![], Keep),
        ("FATAL", changed(), State::Fatal, vec![], Keep),
        ("NOT_READY", Input::Shutdown, State::NotReady, vec![], all()),
        ("READY", Input::Shutdown, State::NotReady, vec![], all()),
        ("STALE", Input::Shutdown, State::NotReady, vec![], all()),
        ("ERROR", Input::Shutdown, State::NotReady, vec![], all()),
        ("FATAL", Input::Shutdown, State::NotReady, vec![], all()),
    ] {
        let mut lifecycle = machine(LIMITS, now);
        for step in path(from) {
            lifecycle.step(step, now);
        }
        let row = format!("{from} + {input:?}");
        assert_eq!(lifecycle.step(input, now), Outcome { cache, events }, "{row}");
        assert_eq!(lifecycle.state(), to, "{row}");
    }
}

/// The second table of "Transitions" in `docs/lifecycle.md`: what differs for the resolvers
/// `in-process` and `file`.
#[tokio::test]
async fn each_row_of_flag_definitions() {
    use ProviderEvent::{Ready, Stale};
    let now = Instant::now();
    let told = || ProviderEvent::ConfigurationChanged(keys());
    let bad = || error("bad", false);
    for (from, input, to, events) in [
        ("NOT_READY", Input::Ready(Some(keys())), State::Ready, vec![Ready]),
        ("NOT_READY", Input::Ready(None), State::Ready, vec![Ready]),
        ("NOT_READY", invalid("bad"), State::Error, vec![bad()]),
        ("READY", Input::Ready(Some(keys())), State::Ready, vec![told()]),
        ("READY", Input::Ready(None), State::Ready, vec![]),
        ("READY", invalid("bad"), State::Stale, vec![bad(), Stale]),
        ("STALE", Input::Ready(None), State::Ready, vec![Ready]),
        ("STALE", Input::Ready(Some(keys())), State::Ready, vec![Ready, told()]),
        ("STALE", invalid("bad"), State::Stale, vec![bad()]),
        ("STALE, not valid", Input::Ready(Some(keys())), State::Ready, vec![Ready, told()]),
        ("STALE, not valid", invalid("bad"), State::Stale, vec![]),
        ("STALE, not valid", invalid("worse"), State::Stale, vec![error("worse", false)]),
        ("STALE, not valid", lost(0), State::Stale, vec![]),
        ("STALE, not valid", lost(5), State::Error, vec![error("gone", false)]),
        ("ERROR", Input::Ready(None), State::Ready, vec![Ready]),
        ("ERROR", Input::Ready(Some(keys())), State::Ready, vec![Ready, told()]),
        ("ERROR", invalid("bad"), State::Error, vec![bad()]),
        ("ERROR, not valid", invalid("bad"), State::Error, vec![]),
        ("ERROR, not valid", lost(1), State::Error, vec![]),
        ("ERROR, not valid", Input::Ready(Some(keys())), State::Ready, vec![Ready, told()]),
        ("FATAL", invalid("bad"), State::Fatal, vec![]),
    ] {
        let mut lifecycle = machine(LIMITS, now);
        for step in path(from) {
            lifecycle.step(step, now);
        }
        let row = format!("{from} + {input:?}");
        assert_eq!(lifecycle.step(input, now).events, events, "{row}");
        assert_eq!(lifecycle.state(), to, "{row}");
    }
}

#[tokio::test]
async fn no_grace_period_runs_out_while_the_source_is_there() {
    let now = Instant::now();
    let mut lifecycle = machine(LIMITS, now);
    lifecycle.step(ready(), now);
    lifecycle.step(invalid("bad"), now);
    assert_eq!(lifecycle.deadline(), None);
    let later = now + Duration::from_secs(60);
    lifecycle.step(lost(0), later);
    assert_eq!(lifecycle.deadline(), Some(later + GRACE), "it is gone now");
    lifecycle.step(invalid("bad"), later);
    assert_eq!(lifecycle.deadline(), None, "it is back, and no better");
    assert_eq!(lifecycle.message().as_deref(), Some("bad"));
}

#[tokio::test]
async fn without_a_grace_period_the_loss_of_the_stream_is_an_error() {
    let now = Instant::now();
    let mut lifecycle = machine(Limits { grace: Duration::ZERO, ..LIMITS }, now);
    lifecycle.step(ready(), now);
    let outcome = lifecycle.step(lost(0), now);
    assert_eq!(outcome, Outcome::clear(vec![error("gone", false)]));
    assert_eq!(lifecycle.state(), State::Error);
}

#[tokio::test]
async fn without_a_limit_of_retries_only_the_grace_period_ends_stale() {
    let now = Instant::now();
    let mut lifecycle = machine(Limits { retries: None, ..LIMITS }, now);
    lifecycle.step(ready(), now);
    for failures in [0, 1, 100, u32::MAX] {
        lifecycle.step(lost(failures), now);
        assert_eq!(lifecycle.state(), State::Stale);
    }
}

#[tokio::test]
async fn without_retries_the_first_failed_attempt_is_an_error() {
    let now = Instant::now();
    let mut lifecycle = machine(Limits { retries: Some(0), ..LIMITS }, now);
    lifecycle.step(ready(), now);
    lifecycle.step(lost(0), now);
    assert_eq!(lifecycle.state(), State::Stale);
    lifecycle.step(lost(1), now);
    assert_eq!(lifecycle.state(), State::Error);
}

#[tokio::test]
async fn the_deadline_is_that_of_the_state() {
    let now = Instant::now();
    let mut lifecycle = machine(LIMITS, now);
    assert_eq!(lifecycle.deadline(), Some(now + Duration::from_millis(500)));
    lifecycle.step(ready(), now);
    assert_eq!(lifecycle.deadline(), None);
    lifecycle.step(lost(0), now);
    assert_eq!(lifecycle.deadline(), Some(now + GRACE));
    let later = now + Duration::from_secs(1);
    lifecycle.step(lost(1), later);
    assert_eq!(lifecycle.deadline(), Some(now + GRACE), "a failed attempt gains no time");
    // Providers have been seen in which ERROR came after the recovery.
    lifecycle.step(ready(), later);
    assert_eq!(lifecycle.deadline(), None, "no timer outlives STALE");
    lifecycle.step(lost(0), later);
    assert_eq!(lifecycle.deadline(), Some(later + GRACE), "each loss has its own grace");
    lifecycle.step(Input::Elapsed, later + GRACE);
    assert_eq!(lifecycle.deadline(), None);
}

#[tokio::test]
async fn the_message_is_of_the_latest_failure() {
    let now = Instant::now();
    let mut lifecycle = machine(LIMITS, now);
    assert_eq!(lifecycle.message().as_deref(), Some("too late"));
    lifecycle.step(lost(1), now);
    assert_eq!(lifecycle.message().as_deref(), Some("gone"));
    let other = Input::Lost { message: "other".to_owned(), failures: 2, refused: false };
    lifecycle.step(other, now);
    assert_eq!(lifecycle.message().as_deref(), Some("other"));
    lifecycle.step(ready(), now);
    assert_eq!(lifecycle.message(), None);
    lifecycle.step(lost(0), now);
    assert_eq!(lifecycle.message().as_deref(), Some("gone"));
    let later = Input::Lost { message: "later".to_owned(), failures: 1, refused: false };
    lifecycle.step(later, now);
    assert_eq!(lifecycle.message().as_deref(), Some("later"));
    assert_eq!(lifecycle.step(Input::Elapsed, now).events, [error("later", false)]);
    lifecycle.step(Input::Shutdown, now);
    assert_eq!(lifecycle.message().as_deref(), Some(SHUT_DOWN));
}

/// OpenFeature specification, requirements 1.7.1 to 1.7.5; the SDK has no status for fatal.
#[test]
fn the_status_of_the_sdk() {
    for (state, status) in [
        (State::NotReady, ProviderStatus::NotReady),
        (State::Ready, ProviderStatus::Ready),
        (State::Stale, ProviderStatus::STALE),
        (State::Error, ProviderStatus::Error),
        (State::Fatal, ProviderStatus::Error),
    ] {
        assert_eq!(ProviderStatus::from(state), status);
    }
}
