//! A client process: makes the calls that its input asks for, and prints what they cost.

use std::{
    fmt::Display,
    future::Future,
    io::{BufRead, stdin},
    time::{Duration, Instant},
};

use open_feature::EvaluationContext;
use tokio::runtime::Runtime;

/// The flag that all clients evaluate.
pub(crate) const KEY: &str = "targeted";
pub(crate) const DEADLINE: Duration = Duration::from_secs(10);

/// One evaluation of [`KEY`], which is true.
pub(crate) trait Client: Clone + Send + 'static {
    fn call(&self, context: &EvaluationContext) -> impl Future<Output = bool> + Send;
}

/// What a process has spent so far: microseconds of CPU time, or allocations.
pub(crate) type Spent = fn() -> f64;

/// Reads lines `fields tasks calls`, and prints `spent` and microseconds, each for one call.
pub(crate) fn run<C: Client>(runtime: &Runtime, client: &C, spent: Spent) {
    say("ready");
    for line in stdin().lock().lines() {
        let line = line.unwrap();
        let mut numbers = line.split(' ').map(|number| number.parse::<u32>().unwrap());
        let [fields, tasks, calls] = [(); 3].map(|()| numbers.next().unwrap());
        let context = context(fields);
        let (before, begin) = (spent(), Instant::now());
        runtime.block_on(repeat(client, &context, tasks, calls / tasks));
        let (spent, elapsed) = (spent() - before, begin.elapsed().as_secs_f64() * 1e6);
        let per_call = |total: f64| total / f64::from(calls / tasks * tasks);
        say(format_args!("{} {}", per_call(spent), per_call(elapsed)));
    }
}

/// A line for the parent.
pub(crate) fn say(line: impl Display) {
    println!("{line}");
}

async fn repeat<C: Client>(client: &C, context: &EvaluationContext, tasks: u32, calls: u32) {
    let running: Vec<_> = (0..tasks)
        .map(|_| {
            let (client, context) = (client.clone(), context.clone());
            tokio::spawn(async move {
                for _ in 0..calls {
                    assert!(client.call(&context).await);
                }
            })
        })
        .collect();
    for task in running {
        task.await.unwrap();
    }
}

fn context(fields: u32) -> EvaluationContext {
    (0..fields).fold(EvaluationContext::default().with_targeting_key("user-1"), |context, n| {
        context.with_custom_field(format!("field-{n}"), format!("value {n}"))
    })
}
