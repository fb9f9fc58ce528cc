//! Flag definitions from a file: read at intervals, and sooner where the system tells of changes.

mod watch;

use std::{
    fs::File,
    hash::{BuildHasher, RandomState},
    io::{self, Read},
    path::{Path, PathBuf},
    string::FromUtf8Error,
    time::Duration,
};

use tokio::{task::spawn_blocking, time::Instant};

use async_trait::async_trait;

use self::watch::Watch;
use super::flag_source::{Definition, FlagSource, Format, SourceError, bounded};
use crate::excerpt::{chain, shown};

/// The largest file taken, in MiB.
const MAX_MIB: u64 = 64;

/// A file that was written to is read after so long: most are written in several steps.
const SETTLE: Duration = Duration::from_millis(20);

/// A file with flag definitions: YAML if it is called `.yaml` or `.yml`, else JSON.
///
/// It is read again and again, and its content is compared. In between, the system tells of changes
/// to its directory, where it can: also of a file that is replaced, and of the swap of symbolic
/// links in a volume of Kubernetes. Where it cannot (many network file systems), a change waits for
/// the next reading.
///
/// A file that cannot be read is an error, once. Whenever it comes back, its flags are given again.
///
/// ```
/// use std::time::Duration;
/// use flagstaff::source::{FileSource, FlagSource};
///
/// # #[tokio::main(flavor = "current_thread")] async fn main() {
/// let mut source = FileSource::new("examples/flags.json", Duration::from_secs(5));
/// let definition = source.next().await.unwrap();
/// assert!(definition.text.contains("flags"));
/// # }
/// ```
#[derive(Debug)]
pub struct FileSource {
    path: PathBuf,
    name: String,
    interval: Duration,
    watching: bool,
    watch: Option<Watch>,
    /// When the file is to be read; without a time, at once.
    due: Option<Instant>,
    /// What the last reading gave.
    last: Option<Seen>,
    hasher: RandomState,
}

/// A digest of the content, or the text of the failure.
#[derive(Debug, PartialEq, Eq)]
enum Seen {
    Content(u64),
    Failure(String),
}

/// Why a file is of no use.
#[derive(Debug, thiserror::Error)]
enum ReadError {
    #[error("cannot read {path}", path = shown(.0))]
    Io(PathBuf, #[source] io::Error),
    #[error("{path} is not a regular file", path = shown(.0))]
    NoFile(PathBuf),
    #[error("{path} is larger than {MAX_MIB} MiB", path = shown(.0))]
    TooLarge(PathBuf),
    #[error("{path} is not valid UTF-8", path = shown(.0))]
    NoText(PathBuf, #[source] FromUtf8Error),
}

impl FileSource {
    /// Will read the file every `interval` (from a millisecond to a year), or sooner.
    #[must_use]
    pub fn new(path: impl Into<PathBuf>, interval: Duration) -> Self {
        let path = path.into();
        Self {
            name: path.display().to_string(),
            path,
            interval: bounded(interval),
            watching: true,
            watch: None,
            due: None,
            last: None,
            hasher: RandomState::new(),
        }
    }

    /// Reads at intervals only, and asks the system for no news.
    #[must_use]
    pub fn without_watch(self) -> Self {
        Self { watching: false, ..self }
    }

    /// Waits until the file is to be read.
    async fn until_due(&mut self) {
        while let Some(due) = self.due {
            tokio::select! {
                biased;
                () = tokio::time::sleep_until(due) => return,
                () = watch::changed(self.watch.as_ref()) => {
                    self.due = Some(due.min(Instant::now() + SETTLE));
                }
            }
        }
    }

    /// Reads the file; gives what is not what the last reading gave.
    async fn read(&mut self) -> Option<Result<String, SourceError>> {
        // The directory may have been missing, or have been replaced with the file.
        let lost = self.watch.is_none() || matches!(self.last, Some(Seen::Failure(_)));
        let (path, watches) = (self.path.clone(), self.watching && lost);
        let read = spawn_blocking(move || {
            // The watch comes first, so that nothing happens unseen between the two.
            let watch = watches.then(|| Watch::new(&path));
            (watch, read(&path))
        });
        let (watch, read) = match read.await {
            Ok(read) => read,
            // The runtime shuts down.
            Err(error) => return Some(Err(SourceError::new(error))),
        };
        if let Some(watch) = watch {
            self.watch = watch;
        }
        self.due = Some(Instant::now() + self.interval);
        let seen = match &read {
            Ok(text) => Seen::Content(self.hasher.hash_one(text)),
            Err(error) => Seen::Failure(chain(error)),
        };
        if self.last.as_ref() == Some(&seen) {
            return None;
        }
        self.last = Some(seen);
        Some(read.map_err(SourceError::new))
    }
}

#[async_trait]
impl FlagSource for FileSource {
    fn name(&self) -> &str {
        &self.name
    }

    async fn next(&mut self) -> Result<Definition, SourceError> {
        loop {
            self.until_due().await;
            if let Some(found) = self.read().await {
                let format = Format::of_path(&self.path);
                return found.map(|text| Definition { text, format, ..Definition::default() });
            }
        }
    }
}

fn read(path: &Path) -> Result<String, ReadError> {
    let io = |error| ReadError::Io(path.to_owned(), error);
    // To open a pipe would wait for its other end.
    if !path.metadata().map_err(io)?.is_file() {
        return Err(ReadError::NoFile(path.to_owned()));
    }
    let mut bytes = Vec::new();
    let limit = MAX_MIB << 20;
    File::open(path).map_err(io)?.take(limit + 1).read_to_end(&mut bytes).map_err(io)?;
    if bytes.len() as u64 > limit {
        return Err(ReadError::TooLarge(path.to_owned()));
    }
    String::from_utf8(bytes).map_err(|error| ReadError::NoText(path.to_owned(), error))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a panic is how a test fails")]
mod tests {
    use super::*;

    #[test]
    fn the_format_is_that_of_the_name() {
        for (path, expected) in [
            ("flags.yaml", Format::Yaml),
            ("/a.json/flags.YML", Format::Yaml),
            ("flags.json", Format::Json),
            ("flags.yaml.json", Format::Json),
            ("flags", Format::Json),
            ("yaml", Format::Json),
            (".yaml", Format::Json),
        ] {
            assert_eq!(Format::of_path(path), expected, "{path}");
        }
    }

    #[test]
    fn an_interval_of_zero_does_not_keep_a_core_busy() {
        let source = FileSource::new("flags.json", Duration::ZERO);
        assert_eq!(source.interval, Duration::from_millis(1));
    }

    fn error(path: &Path) -> String {
        chain(&read(path).unwrap_err())
    }

    #[test]
    fn what_cannot_be_read_is_named() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("flags.json");
        let shown = path.display();
        assert!(error(&path).starts_with(&format!("cannot read {shown}: ")), "{}", error(&path));
        let no_file = format!("{} is not a regular file", directory.path().display());
        assert_eq!(error(directory.path()), no_file);
        std::fs::write(&path, b"\xff").unwrap();
        assert!(
            error(&path).starts_with(&format!("{shown} is not valid UTF-8: ")),
            "{}",
            error(&path)
        );
        File::create(&path).unwrap().set_len((MAX_MIB << 20) + 1).unwrap();
        assert_eq!(error(&path), format!("{shown} is larger than 64 MiB"));
        File::create(&path).unwrap().set_len(MAX_MIB << 20).unwrap();
        assert_eq!(read(&path).unwrap().len() as u64, MAX_MIB << 20);
    }
}
