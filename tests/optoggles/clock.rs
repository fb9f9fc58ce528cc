//! Timers go by the monotonic clock: a jump of the wall clock neither fires nor starves them.
//!
//! The clock of tokio is paused, so that it and the wall clock go apart: hours pass while the wall clock
//! stands still, and the wall clock goes on while no time passes.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::Duration,
};

use async_trait::async_trait;
use flagstaff::optoggles::{
    Engine, Failure, Held, Prepared, Removal, Running, Toggle, ToggleTarget, Users,
};
use tokio::time::{Instant, sleep};

use crate::{
    engine::{in_step, toggle},
    policy::Policy,
};

/// A target in memory.
#[derive(Default)]
struct Memory {
    users: Mutex<Users>,
    /// Why it rejects every write, if it does.
    failure: Mutex<Option<Failure>>,
    reads: AtomicUsize,
    writes: AtomicUsize,
}

impl Memory {
    fn fails(&self, failure: Option<Failure>) {
        *self.failure.lock().unwrap() = failure;
    }

    fn reads(&self) -> usize {
        self.reads.load(Ordering::Relaxed)
    }

    fn writes(&self) -> usize {
        self.writes.load(Ordering::Relaxed)
    }
}

#[async_trait]
impl ToggleTarget for Memory {
    async fn prepare(&self, _: &Toggle) -> Result<Prepared, Failure> {
        self.reads.fetch_add(1, Ordering::Relaxed);
        Ok(Prepared::found(Held::users(self.users.lock().unwrap().clone())))
    }

    async fn write(&self, _: &Toggle, users: &Users) -> Result<(), Failure> {
        self.writes.fetch_add(1, Ordering::Relaxed);
        if let Some(failure) = &*self.failure.lock().unwrap() {
            return Err(failure.clone());
        }
        *self.users.lock().unwrap() = users.clone();
        Ok(())
    }

    async fn read(&self, _: &Toggle) -> Result<Held, Failure> {
        Ok(Held::Unknown)
    }

    async fn remove(&self, _: &Toggle, _: Removal) -> Result<(), Failure> {
        Ok(())
    }

    async fn check(&self) -> Result<(), Failure> {
        Ok(())
    }
}

/// Starts an engine with one toggle, and waits until that is in step.
async fn run(policy: &Policy, memory: &Arc<Memory>, resync: Duration) -> Running {
    let builder = Engine::builder().source("policy", policy.source());
    let builder = builder.shared_target("target", memory.clone()).resync_interval(resync);
    let running = builder.toggle("policy", toggle("a")).build().unwrap().start().await.unwrap();
    in_step(&running, "a").await;
    running
}

/// Lets the wall clock go on while no time passes: the runtime has something to do until it has, and
/// the engine looks at all its timers afterwards.
async fn jump(running: &Running, time: Duration) {
    let before = Instant::now();
    // The wall clock cannot be set, but it goes on while the paused clock stands still.
    thread::sleep(time);
    for _ in 0..100 {
        running.status().await.unwrap();
        tokio::task::yield_now().await;
    }
    assert_eq!(before.elapsed(), Duration::ZERO, "the clock stands still");
}

#[tokio::test(start_paused = true)]
async fn a_jump_of_the_wall_clock_fires_neither_a_resync_nor_a_retry() {
    let (policy, memory) = (Policy::new([("a", "bob")]), Arc::new(Memory::default()));
    let running = run(&policy, &memory, Duration::from_millis(50)).await;
    let reads = memory.reads();
    jump(&running, Duration::from_millis(200)).await;
    assert_eq!(memory.reads(), reads);
    running.shutdown().await;

    let running = run(&policy, &memory, Duration::ZERO).await;
    memory.fails(Some(Failure::temporary("lost")));
    policy.set("a", "al");
    let writes = memory.writes();
    while memory.writes() == writes {
        // On the paused clock; it ends when the first write has failed.
        sleep(Duration::from_millis(1)).await;
    }
    // The first retry is after half a second at most.
    jump(&running, Duration::from_millis(600)).await;
    assert_eq!(memory.writes(), writes + 1);
    memory.fails(None);
    in_step(&running, "a").await;
    running.shutdown().await;
}

#[tokio::test(start_paused = true)]
async fn a_wall_clock_that_stands_still_starves_neither_resyncs_nor_retries() {
    let (policy, memory) = (Policy::new([("a", "bob")]), Arc::new(Memory::default()));
    let running = run(&policy, &memory, Duration::from_secs(5 * 60)).await;
    let reads = memory.reads();
    // An hour of the paused clock.
    sleep(Duration::from_secs(3600)).await;
    assert_eq!(memory.reads() - reads, 12);
    running.shutdown().await;

    for (failure, longest, least) in [
        (Failure::temporary("lost"), 16, 225),
        (Failure::permanent("no"), 300, 12),
        (Failure::temporary("busy").retry_after(Duration::from_secs(600)), 600, 6),
    ] {
        let policy = Policy::new([("a", "bob")]);
        let running = run(&policy, &memory, Duration::ZERO).await;
        memory.fails(Some(failure));
        let writes = memory.writes();
        policy.set("a", "al");
        // An hour of the paused clock.
        sleep(Duration::from_secs(3600 + 1)).await;
        let attempts = memory.writes() - writes;
        assert!((least..3 * least).contains(&attempts), "{attempts} of {least} or more");
        memory.fails(None);
        // As long as the longest pause, on the paused clock.
        sleep(Duration::from_secs(longest)).await;
        in_step(&running, "a").await;
        assert_eq!(memory.writes() - writes, attempts + 1);
        running.shutdown().await;
    }
}
