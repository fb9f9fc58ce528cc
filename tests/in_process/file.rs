//! Evaluation with the flags of a file, which is watched, replaced, broken, removed and restored.

use std::{
    fs,
    io::Write as _,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use crate::support::{
    provider::{
        assert_contains, changed, error, expect, expect_error, initialize, message, next, provider,
        started, swift, value, watched,
    },
    wait::{PATIENCE, becomes_true, bounded, eventually},
};
use flagstaff::{
    ProviderEvent, State,
    flagd::{FlagdOptionsBuilder, Resolver},
    source::{FileSource, FlagSource, Format},
};
use open_feature::EvaluationReason;
use tempfile::TempDir;
use tokio::time::sleep;

/// Longer than any test waits: what is noticed sooner was reported by the system.
const NEVER: Duration = Duration::from_secs(3600);

const OFTEN: Duration = Duration::from_millis(20);

fn switch(on: bool) -> String {
    let variant = if on { "on" } else { "off" };
    format!(
        r#""state": "ENABLED", "variants": {{"on": true, "off": false}}, "defaultVariant": "{variant}""#
    )
}

fn json(on: bool) -> String {
    format!("{{\"flags\": {{\"switch\": {{{}}}}}}}", switch(on))
}

/// A directory with a file of flags.
struct Files {
    directory: TempDir,
    path: PathBuf,
}

impl Files {
    fn new(name: &str, text: &str) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join(name);
        fs::write(&path, text).unwrap();
        Self { directory, path }
    }

    /// Replaces the file at once.
    fn replace(&self, text: &str) {
        let beside = self.directory.path().join("beside");
        fs::write(&beside, text).unwrap();
        fs::rename(beside, &self.path).unwrap();
    }

    fn options(&self, interval: Duration) -> FlagdOptionsBuilder {
        of(&self.path, interval)
    }
}

fn of(path: &Path, interval: Duration) -> FlagdOptionsBuilder {
    let options = swift().resolver(Resolver::File);
    options.offline_flag_source_path(path).offline_poll_interval(interval)
}

#[tokio::test]
async fn a_file_that_is_replaced_or_written_over_is_noticed_by_the_watch() {
    let files = Files::new("flags.json", &json(true));
    let (provider, mut events) = watched(files.options(NEVER)).await;
    assert_eq!(value(&provider, "switch").await, (true, EvaluationReason::Static));
    files.replace(&json(false));
    expect(&mut events, [changed(&["switch"])]).await;
    assert!(!value(&provider, "switch").await.0);
    fs::write(&files.path, json(true)).unwrap();
    // It may be read half-written, which is an error at first.
    bounded("the change", async { while next(&mut events).await != changed(&["switch"]) {} }).await;
    assert!(value(&provider, "switch").await.0);
}

/// As some editors write it.
#[tokio::test]
async fn a_byte_order_mark_is_skipped() {
    let files = Files::new("flags.json", &format!("\u{feff}{}", json(true)));
    let (provider, _events) = watched(files.options(NEVER)).await;
    assert_eq!(value(&provider, "switch").await, (true, EvaluationReason::Static));
}

#[tokio::test]
async fn a_relative_path_is_watched_too() {
    let name = format!("target/flagstaff-test-{}.json", std::process::id());
    let _ = fs::create_dir("target");
    fs::write(&name, json(true)).unwrap();
    let (_provider, mut events) = watched(of(Path::new(&name), NEVER)).await;
    fs::remove_file(&name).unwrap();
    expect(&mut events, [ProviderEvent::Stale]).await;
}

/// A volume of Kubernetes: the file is a link into `..data`, which links to the current directory.
#[tokio::test]
async fn the_swap_of_a_config_map_is_noticed() {
    let volume = tempfile::tempdir().unwrap();
    let fill = |name: &str, on| {
        let directory = volume.path().join(name);
        fs::create_dir(&directory).unwrap();
        fs::write(directory.join("flags.json"), json(on)).unwrap();
    };
    fill("..2026_1", true);
    symlink("..2026_1", volume.path().join("..data")).unwrap();
    symlink("..data/flags.json", volume.path().join("flags.json")).unwrap();

    let (provider, mut events) = watched(of(&volume.path().join("flags.json"), NEVER)).await;
    let mut on = true;
    for round in 2..5 {
        on = !on;
        let (new, old) = (format!("..2026_{round}"), format!("..2026_{}", round - 1));
        fill(&new, on);
        symlink(&new, volume.path().join("..data_tmp")).unwrap();
        fs::rename(volume.path().join("..data_tmp"), volume.path().join("..data")).unwrap();
        fs::remove_dir_all(volume.path().join(old)).unwrap();
        expect(&mut events, [changed(&["switch"])]).await;
        assert_eq!(value(&provider, "switch").await.0, on);
    }
}

/// docs/resolvers.md, "Files": STALE, then ERROR after the grace period, and READY again, however
/// late that is.
#[tokio::test]
async fn a_file_that_was_removed_is_found_again() {
    let files = Files::new("flags.json", &json(true));
    let grace = Duration::from_secs(1);
    let (provider, mut events) = watched(files.options(NEVER).retry_grace_period(grace)).await;
    for on in [true, false] {
        fs::remove_file(&files.path).unwrap();
        expect(&mut events, [ProviderEvent::Stale]).await;
        assert!(value(&provider, "switch").await.0, "the last good flags stay");
        let (message, fatal) = expect_error(&mut events).await;
        assert_contains(&message, &["cannot read", &files.path.display().to_string()]);
        assert_eq!((provider.state(), fatal), (State::Error, false));
        assert!(value(&provider, "switch").await.0);
        files.replace(&json(on));
        expect(&mut events, [ProviderEvent::Ready]).await;
    }
    expect(&mut events, [changed(&["switch"])]).await;
    assert!(!value(&provider, "switch").await.0);
}

/// The watch of a directory ends with it; polling continues.
#[tokio::test]
async fn a_directory_that_was_removed_is_found_again() {
    let files = Files::new("x", "");
    let directory = files.directory.path().join("flags");
    let path = directory.join("flags.json");
    let fill = |on| {
        fs::create_dir(&directory).unwrap();
        fs::write(&path, json(on)).unwrap();
    };
    let provider = started(of(&path, OFTEN)).await;
    assert_eq!(provider.state(), State::Error);
    let text = error(&provider, "switch").await.message.unwrap();
    assert_contains(&text, &["cannot read", &path.display().to_string()]);
    for on in [true, false] {
        fill(on);
        bounded("the flags", provider.wait_ready(PATIENCE)).await.unwrap();
        eventually("the new flags", || provider.state() == State::Ready).await;
        becomes_true("the value", async || value(&provider, "switch").await.0 == on).await;
        fs::remove_dir_all(&directory).unwrap();
        eventually("the loss", || provider.state() == State::Stale).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_broken_file_leaves_the_last_valid_configuration() {
    let files = Files::new("flags.json", &json(true));
    let (provider, mut events) = watched(files.options(OFTEN)).await;
    let whole = json(false);
    fs::write(&files.path, &whole[..whole.len() - 10]).unwrap();
    let (message, fatal) = expect_error(&mut events).await;
    assert_contains(&message, &[&files.path.display().to_string(), "line 1", "column"]);
    assert!(!fatal);
    expect(&mut events, [ProviderEvent::Stale]).await;
    assert_eq!(provider.state(), State::Stale);
    assert!(value(&provider, "switch").await.0);

    // It is read many times and reported once. The clock is paused, so this takes no time.
    sleep(5 * OFTEN).await;
    files.replace("{\"flags\": {\n  \"bad\": {\"state\": 7}\n}}");
    let (message, _) = expect_error(&mut events).await;
    assert_contains(&message, &["`bad`", "line 2", "column"]);

    files.replace(&whole);
    expect(&mut events, [ProviderEvent::Ready, changed(&["switch"])]).await;
    assert_eq!(provider.state(), State::Ready);
}

#[tokio::test]
async fn a_file_that_is_broken_at_the_start_is_an_error_until_it_is_repaired() {
    let files = Files::new("flags.json", "");
    let provider = provider(files.options(NEVER));
    let mut events = provider.events();
    initialize(&provider).await;
    assert_eq!(provider.state(), State::Error);
    expect_error(&mut events).await;
    files.replace(&json(true));
    expect(&mut events, [ProviderEvent::Ready, changed(&["switch"])]).await;
}

#[tokio::test]
async fn yaml_is_recognized_by_its_file_name() {
    let yaml = |on| format!("flags:\n  switch: {{{}}}\n", switch(on));
    let files = Files::new("flags.yaml", &yaml(true));
    let (provider, mut events) = watched(files.options(OFTEN)).await;
    assert!(value(&provider, "switch").await.0);
    files.replace(&yaml(false));
    expect(&mut events, [changed(&["switch"])]).await;
    files.replace("flags:\n  bad:\n    state: 7\n");
    let (message, _) = expect_error(&mut events).await;
    assert_contains(&message, &["`bad`", "line 3", "column"]);
}

#[tokio::test(start_paused = true)]
async fn the_same_content_written_again_is_not_a_change() {
    let files = Files::new("flags.json", &json(true));
    let (provider, mut events) = watched(files.options(OFTEN)).await;
    for _ in 0..3 {
        files.replace(&json(true));
        // The clock is paused, so this takes no time.
        sleep(2 * OFTEN).await;
    }
    files.replace(&json(false));
    expect(&mut events, [changed(&["switch"])]).await;
    assert_eq!(provider.stats().reconnections, 0);
}

#[tokio::test]
async fn in_process_with_a_file_is_the_file() {
    let files = Files::new("flags.json", &json(true));
    let provider = crate::support::provider::ready(
        swift().resolver(Resolver::InProcess).offline_flag_source_path(&files.path),
    )
    .await;
    assert_eq!(provider.options().resolver(), Resolver::File);
    assert!(value(&provider, "switch").await.0);
}

#[tokio::test]
async fn a_provider_can_be_initialized_again() {
    let files = Files::new("flags.json", &json(true));
    let provider = crate::support::provider::ready(files.options(NEVER)).await;
    provider.shutdown().await;
    let shut_down = error(&provider, "switch").await;
    let text = message(&shut_down, &open_feature::EvaluationErrorCode::ProviderNotReady);
    assert_contains(&text, &["shut down"]);
    initialize(&provider).await;
    assert!(value(&provider, "switch").await.0);
}

async fn given(source: &mut FileSource) -> String {
    bounded("the file", source.next()).await.unwrap().text
}

/// Where watching is not possible, the file is read at intervals.
#[tokio::test(start_paused = true)]
async fn without_a_watch_changes_wait_for_the_interval() {
    let files = Files::new("flags", "1");
    let mut source = FileSource::new(&files.path, OFTEN).without_watch();
    assert_eq!(given(&mut source).await, "1");
    files.replace("2");
    assert_eq!(given(&mut source).await, "2");
    fs::remove_file(&files.path).unwrap();
    let lost = bounded("the loss", source.next()).await.unwrap_err();
    assert!(!lost.is_fatal());
    // The clock is paused, so this takes no time.
    let more = tokio::time::timeout(10 * OFTEN, source.next()).await;
    assert!(more.is_err(), "it is reported once: {more:?}");
    fs::write(&files.path, "2").unwrap();
    assert_eq!(given(&mut source).await, "2", "what comes back is given, if it is the same");

    let mut source = FileSource::new(&files.path, NEVER).without_watch();
    assert_eq!(given(&mut source).await, "2");
    files.replace("3");
    // The clock is paused, so this takes no time.
    let nothing = tokio::time::timeout(10 * OFTEN, source.next()).await;
    assert!(nothing.is_err(), "{nothing:?}");
}

/// Many programs write a file in several steps: it is given time to settle.
#[tokio::test]
async fn a_file_that_is_written_in_steps_is_read_as_a_whole() {
    let files = Files::new("flags", "1");
    let mut source = FileSource::new(&files.path, NEVER);
    assert_eq!(given(&mut source).await, "1");
    tokio::time::pause();
    let mut file = fs::OpenOptions::new().append(true).open(&files.path).unwrap();
    file.write_all(b"2").unwrap();
    for _ in 0..10 {
        let begun = Instant::now();
        // Time for the system to report the write, for which there is nothing to wait. The paused
        // clock advances only half the time to settle meanwhile.
        while begun.elapsed() < OFTEN {
            tokio::select! {
                biased;
                half = source.next() => panic!("{half:?}"),
                () = tokio::task::yield_now() => {}
            }
        }
        tokio::time::advance(Duration::from_millis(1)).await;
    }
    file.write_all(b"3").unwrap();
    assert_eq!(source.next().await.unwrap().text, "123");
}

/// The watch of a removed directory does not cover the one that takes its place.
#[tokio::test]
async fn a_directory_that_takes_the_place_of_another_is_watched() {
    let root = tempfile::tempdir().unwrap();
    let directory = root.path().join("mount");
    let path = directory.join("flags");
    fs::create_dir(&directory).unwrap();
    fs::write(&path, "1").unwrap();
    let mut source = FileSource::new(&path, NEVER);
    assert_eq!(given(&mut source).await, "1");
    fs::remove_dir_all(&directory).unwrap();
    bounded("the loss", source.next()).await.unwrap_err();
    fs::create_dir(&directory).unwrap();
    fs::write(&path, "2").unwrap();
    // The interval passes at once, and polling finds the file.
    tokio::time::pause();
    assert_eq!(source.next().await.unwrap().text, "2");
    tokio::time::resume();
    fs::write(&path, "3").unwrap();
    assert_eq!(given(&mut source).await, "3");
}

/// `FlagSource::next` is cancel-safe.
#[tokio::test]
async fn waiting_for_a_file_is_cancel_safe() {
    let files = Files::new("flags.yml", "1");
    let mut source = FileSource::new(&files.path, NEVER);
    for round in 1..20 {
        files.replace(&round.to_string());
        let read = bounded("the file", async {
            loop {
                // Shorter than it takes to settle.
                let short = Duration::from_millis(round % 5);
                if let Ok(definition) = tokio::time::timeout(short, source.next()).await {
                    let definition = definition.unwrap();
                    assert_eq!(definition.format, Format::Yaml);
                    if definition.text == round.to_string() {
                        return definition.text;
                    }
                }
            }
        });
        read.await;
    }
}

/// An interval is a year at most.
#[tokio::test(start_paused = true)]
async fn an_interval_without_end() {
    let files = Files::new("flags", "1");
    let mut source = FileSource::new(&files.path, Duration::MAX).without_watch();
    assert_eq!(given(&mut source).await, "1");
    // The clock is paused, so this takes no time.
    let nothing = tokio::time::timeout(10 * OFTEN, source.next()).await;
    assert!(nothing.is_err(), "{nothing:?}");
}
