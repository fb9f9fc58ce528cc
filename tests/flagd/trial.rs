//! One test, on a runtime of its own, on which no task and no panic may be left at the end.

use std::{env, future::Future, panic, sync::Mutex, thread};

use libtest_mimic::{Completion, Failed, Trial};
use tokio::runtime::{Builder, Handle};

use crate::support::{
    flagd::{self, FlagdCommand},
    wait::eventually,
};

/// Lists the tests of a module.
macro_rules! trials {
    ($($test:ident),+ $(,)?) => {
        pub(crate) fn trials() -> Vec<libtest_mimic::Trial> {
            vec![$(
                crate::trial::trial(concat!(module_path!(), "::", stringify!($test)), $test)
            ),+]
        }
    };
}
pub(crate) use trials;

pub(crate) fn trial<F: Future<Output = ()>>(
    name: &'static str,
    test: impl FnOnce() -> F + Send + 'static,
) -> Trial {
    trial_unless(|_| None, name, test)
}

/// Like [`trial`], but ignored if `unfit` returns the reason why it would prove nothing with the
/// flagd found.
pub(crate) fn trial_unless<F: Future<Output = ()>>(
    unfit: fn(&FlagdCommand) -> Option<&'static str>,
    name: &'static str,
    test: impl FnOnce() -> F + Send + 'static,
) -> Trial {
    let name = name.strip_prefix("flagd::").unwrap_or(name);
    Trial::ignorable_test(name, move || match flagd::find() {
        Ok(command) => match unfit(&command) {
            Some(reason) => Ok(Completion::ignored_with(reason)),
            None => run(name, test()).map(|()| Completion::Completed),
        },
        Err(reason) if is_required() => Err(reason.into()),
        Err(reason) => Ok(Completion::ignored_with(reason)),
    })
}

fn is_required() -> bool {
    env::var_os("FLAGSTAFF_REQUIRE_FLAGD").is_some_and(|value| value == "1")
}

fn run(name: &'static str, test: impl Future<Output = ()>) -> Result<(), Failed> {
    let runtime =
        Builder::new_multi_thread().worker_threads(2).thread_name(name).enable_all().build()?;
    runtime.block_on(async {
        test.await;
        until_no_task("the provider and all of its handles were dropped").await;
    });
    drop(runtime);
    let panics = PANICS.lock().unwrap();
    let own: Vec<&str> =
        panics.iter().filter(|(thread, _)| thread == name).map(|(_, text)| text.as_str()).collect();
    if own.is_empty() { Ok(()) } else { Err(format!("a task panicked: {own:?}").into()) }
}

/// Waits until no task is left on this runtime.
pub(crate) async fn until_no_task(since: &str) {
    let metrics = Handle::current().metrics();
    eventually(&format!("the end of all tasks, since {since}"), || metrics.num_alive_tasks() == 0)
        .await;
}

/// Thread and message of each panic: a runtime does not propagate those of its tasks.
static PANICS: Mutex<Vec<(String, String)>> = Mutex::new(Vec::new());

pub(crate) fn note_panics() {
    let usual = panic::take_hook();
    panic::set_hook(Box::new(move |info| {
        let thread = thread::current().name().unwrap_or_default().to_owned();
        PANICS.lock().unwrap().push((thread, info.to_string()));
        usual(info);
    }));
}
