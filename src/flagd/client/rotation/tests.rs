use std::collections::VecDeque;

use tokio::{
    sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel},
    time::sleep,
};

use super::*;

const LIMITS: Limits = Limits { lifetime: secs(100), patience: secs(4), shortest: secs(1) };

const fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// A stream that yields what the test sends, and ends as the test says.
struct Scripted<const LINGERS: bool>(UnboundedReceiver<Result<u32, End>>);

impl<const LINGERS: bool> Rotated for Scripted<LINGERS> {
    type First = u32;
    type Item = u32;
    const LINGERS: bool = LINGERS;
    const NOT_OPENED: &str = "it did not open";

    async fn next(&mut self) -> Result<u32, End> {
        match self.0.recv().await {
            Some(next) => next,
            None => std::future::pending().await,
        }
    }
}

/// One attempt to open a stream: how long it takes, and whether it succeeds.
type Attempt = (Duration, bool);

/// A rotation whose `n`th stream has `n` as its first item, and the attempts to come.
struct Rig<const LINGERS: bool> {
    rotation: Rotation<Scripted<LINGERS>>,
    attempts: VecDeque<Attempt>,
    /// The other ends of the streams.
    streams: Vec<UnboundedSender<Result<u32, End>>>,
    began: Instant,
    /// When each attempt was made.
    attempted: Vec<Duration>,
}

type Next = Result<Turn<u32, u32>, String>;

impl<const LINGERS: bool> Rig<LINGERS> {
    fn new<const N: usize>(attempts: [Attempt; N]) -> Self {
        Self {
            rotation: Rotation::new(LIMITS),
            attempts: attempts.into(),
            streams: Vec::new(),
            began: Instant::now(),
            attempted: Vec::new(),
        }
    }

    async fn next(&mut self) -> Next {
        let turn = self.rotation.next(|| {
            self.attempted.push(self.began.elapsed());
            let (takes, succeeds) = self.attempts.pop_front().expect("an attempt too many");
            let (sender, receiver) = unbounded_channel();
            if succeeds {
                self.streams.push(sender);
            }
            let number = u32::try_from(self.streams.len()).unwrap();
            async move {
                sleep(takes).await;
                if !succeeds {
                    return Err(Failure::stream("it failed"));
                }
                Ok((Scripted(receiver), number))
            }
        });
        turn.await.map_err(|failure| failure.message)
    }

    fn send(&self, stream: usize, next: Result<u32, End>) {
        let _ = self.streams[stream - 1].send(next); // the stream may have been dropped
    }

    /// Whether the rotation still reads a stream.
    fn reads(&self, stream: usize) -> bool {
        !self.streams[stream - 1].is_closed()
    }

    /// Whether the rotation yields nothing for this long.
    async fn is_quiet(&mut self, time: Duration) -> bool {
        timeout(time, self.next()).await.is_err()
    }

    fn seconds(&self) -> u64 {
        self.began.elapsed().as_secs()
    }
}

const AT_ONCE: Attempt = (Duration::ZERO, true);
const FAILS: Attempt = (Duration::ZERO, false);

#[tokio::test(start_paused = true)]
async fn items_come_from_the_stream_that_was_opened() {
    let mut rig = Rig::<true>::new([AT_ONCE]);
    assert_eq!(rig.next().await, Ok(Turn::Opened(1)));
    rig.send(1, Ok(11));
    assert_eq!(rig.next().await, Ok(Turn::Item(11)));
    assert!(rig.is_quiet(secs(90)).await);
}

#[tokio::test(start_paused = true)]
async fn the_first_stream_must_open_and_in_time() {
    assert_eq!(Rig::<true>::new([FAILS]).next().await, Err("it failed".to_owned()));
    let mut rig = Rig::<true>::new([(secs(5), true)]);
    assert_eq!(rig.next().await, Err("it did not open within 4s".to_owned()));
    assert_eq!(rig.seconds(), 4);
}

#[tokio::test(start_paused = true)]
async fn the_next_stream_opens_before_the_end_of_the_one_in_use() {
    let mut rig = Rig::<true>::new([AT_ONCE, (secs(3), true), AT_ONCE]);
    assert_eq!(rig.next().await, Ok(Turn::Opened(1)));
    assert_eq!(rig.next().await, Ok(Turn::Replaced(2)));
    assert_eq!(rig.seconds(), 99);
    assert_eq!(rig.next().await, Ok(Turn::Replaced(3)));
    assert_eq!(rig.attempted.iter().map(Duration::as_secs).collect::<Vec<_>>(), [0, 96, 195]);
}

#[tokio::test(start_paused = true)]
async fn a_next_stream_is_not_begun_twice_by_a_caller_who_stops_waiting() {
    let mut rig = Rig::<true>::new([AT_ONCE, (secs(3), true)]);
    rig.next().await.unwrap();
    assert!(rig.is_quiet(secs(97)).await);
    assert!(rig.is_quiet(secs(1)).await);
    assert_eq!(rig.next().await, Ok(Turn::Replaced(2)));
}

#[tokio::test(start_paused = true)]
async fn a_next_stream_that_fails_leaves_the_one_in_use_to_its_end() {
    let mut rig = Rig::<true>::new([AT_ONCE, FAILS, AT_ONCE]);
    rig.next().await.unwrap();
    assert!(rig.is_quiet(secs(99)).await);
    rig.send(1, Ok(11));
    assert_eq!(rig.next().await, Ok(Turn::Item(11)));
    assert_eq!(rig.next().await, Ok(Turn::Opened(2)), "there was a gap");
    assert_eq!(rig.seconds(), 100);
}

#[tokio::test(start_paused = true)]
async fn a_replaced_stream_that_lingers_is_read_until_its_end() {
    let mut rig = Rig::<true>::new([AT_ONCE, AT_ONCE]);
    rig.next().await.unwrap();
    assert_eq!(rig.next().await, Ok(Turn::Replaced(2)));
    rig.send(1, Ok(11));
    rig.send(2, Ok(22));
    assert_eq!(rig.next().await, Ok(Turn::Item(11)));
    assert_eq!(rig.next().await, Ok(Turn::Item(22)));
    assert!(rig.reads(1));
    assert!(rig.is_quiet(secs(5)).await, "its end is no failure");
    assert!(!rig.reads(1));
}

#[tokio::test(start_paused = true)]
async fn a_replaced_stream_that_does_not_linger_is_dropped() {
    let mut rig = Rig::<false>::new([AT_ONCE, AT_ONCE]);
    rig.next().await.unwrap();
    assert_eq!(rig.next().await, Ok(Turn::Replaced(2)));
    assert!(!rig.reads(1));
}

#[tokio::test(start_paused = true)]
async fn a_planned_end_is_followed_by_the_next_stream() {
    let mut rig = Rig::<true>::new([AT_ONCE, AT_ONCE]);
    rig.next().await.unwrap();
    assert!(rig.is_quiet(secs(1)).await);
    rig.send(1, Err(End::Planned));
    assert_eq!(rig.next().await, Ok(Turn::Opened(2)));
}

#[tokio::test(start_paused = true)]
async fn a_planned_end_does_not_interrupt_what_is_being_opened() {
    let mut rig = Rig::<true>::new([AT_ONCE, (secs(3), true)]);
    rig.next().await.unwrap();
    assert!(rig.is_quiet(secs(97)).await);
    rig.send(1, Err(End::Planned));
    assert_eq!(rig.next().await, Ok(Turn::Opened(2)), "there was a gap");
    assert_eq!(rig.seconds(), 99);
}

#[tokio::test(start_paused = true)]
async fn a_planned_end_too_early_is_a_failure() {
    let mut rig = Rig::<true>::new([AT_ONCE]);
    rig.next().await.unwrap();
    rig.send(1, Err(End::Planned));
    assert_eq!(rig.next().await, Err("it ends its streams at once".to_owned()));
}

#[test]
fn a_shutdown_too_early_is_a_failure_like_any_other() {
    let end = || End::Failed(Failure { message: String::new(), cause: Cause::Shutdown });
    assert!(matches!(failure(end(), true).unwrap().cause, Cause::Stream));
    assert!(matches!(failure(end(), false).unwrap().cause, Cause::Shutdown));
}

#[tokio::test(start_paused = true)]
async fn a_failure_of_the_stream_in_use_is_reported() {
    let mut rig = Rig::<true>::new([AT_ONCE]);
    rig.next().await.unwrap();
    rig.send(1, Err(End::Failed(Failure::stream("it broke"))));
    assert_eq!(rig.next().await, Err("it broke".to_owned()));
}
