//! Flag definitions from a file, which is read at intervals and as soon as the
//! operating system reports a change.
//!
//! The interval is what makes it correct; the [watch](Watch) only makes it fast.
//! Notifications are lost on network file systems, when their queue overflows, and
//! for a symbolic link to a file in another directory. Reading at intervals
//! notices every change in the end, and the content is compared rather than the
//! time of modification, which tools set as they like.
//!
//! ```text
//!             +--------- interval ----------+
//! read        |                             read (nothing new: wait again)
//! notification      |-SETTLE-| read, and the interval begins again
//! ```
//!
//! Only the hash of the last content is kept, since definitions are large.

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

/// The size of the largest file that is read, in MiB. A larger one is an error.
const MAX_MIB: u64 = 64;

/// How long after a notification the file is read. Most files are written in
/// several steps, and one that is read in between is often invalid.
const SETTLE: Duration = Duration::from_millis(20);

/// A file with flag definitions: YAML if its name ends in `.yaml` or `.yml`,
/// otherwise JSON.
///
/// The file is read at an interval and its content is compared, so a definition is
/// delivered only if it has changed. The operating system also reports changes in
/// the directory of the file, upon which it is read immediately. This includes a
/// file that is replaced with `rename`, and the swap of symbolic links in a volume
/// of Kubernetes. Where the system reports nothing, as on many network file
/// systems, a change is noticed at the next interval.
///
/// A file that cannot be read, is larger than 64 MiB or is not UTF-8 is an error,
/// which is returned once. The source then keeps reading, and delivers the flags
/// when the file is back. "Files" in `docs/resolvers.md` says how to deploy one.
///
/// A provider uses this source with the resolver `file`, so most programs do not
/// need it directly.
///
/// ```
/// use std::time::Duration;
///
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
    /// The path as a string, which is the name of the source.
    name: String,
    /// From a millisecond to a year; see [`bounded`].
    interval: Duration,
    /// Whether notifications are wanted.
    watching: bool,
    /// `None` until the first read, and while the directory cannot be watched.
    watch: Option<Watch>,
    /// When to read the file next; `None` means immediately.
    due: Option<Instant>,
    /// The result of the last read, to deliver only what differs from it.
    last: Option<Seen>,
    hasher: RandomState,
}

/// The result of a read, as far as it must be compared with the next one.
#[derive(Debug, PartialEq, Eq)]
enum Seen {
    /// The hash of the content.
    Content(u64),
    /// The message of the error. The same error is not returned twice in a row.
    Failure(String),
}

/// Why a file cannot be read.
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
    /// Creates a source that reads the file every `interval`, and sooner when the
    /// operating system reports a change.
    ///
    /// An interval below a millisecond becomes one, and one above a year becomes a
    /// year. The file is read by the first [`next`](FlagSource::next) and need not
    /// exist yet.
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

    /// Reads the file at intervals only.
    ///
    /// Use it where notifications are known not to work, or where there are too
    /// few watches.
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// use flagstaff::source::FileSource;
    ///
    /// let source = FileSource::new("/mnt/nfs/flags.yaml", Duration::from_secs(1)).without_watch();
    /// ```
    #[must_use]
    pub fn without_watch(self) -> Self {
        Self { watching: false, ..self }
    }

    /// Waits until it is time to read the file. A notification brings that time
    /// forward, but never puts it off, so a file that is written to without end is
    /// still read.
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

    /// Reads the file. Returns `None` if the result is that of the last read.
    async fn read(&mut self) -> Option<Result<String, SourceError>> {
        // The directory may have been missing, or may have been replaced together with the file.
        let lost = self.watch.is_none() || matches!(self.last, Some(Seen::Failure(_)));
        let (path, watches) = (self.path.clone(), self.watching && lost);
        let read = spawn_blocking(move || {
            // The watch begins before the read, so that no change between the two is missed.
            let watch = watches.then(|| Watch::new(&path));
            (watch, read(&path))
        });
        let (watch, read) = match read.await {
            Ok(read) => read,
            // The runtime is shutting down.
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

/// Reads a regular file of at most [`MAX_MIB`].
fn read(path: &Path) -> Result<String, ReadError> {
    let io = |error| ReadError::Io(path.to_owned(), error);
    // Opening a pipe would wait for its other end.
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
