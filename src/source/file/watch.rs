//! Notifications about a file, through a watch on its directory.
//!
//! The file itself cannot be watched: most tools replace a file rather than write
//! to it, and the watch would stay with the old one. So the directory is watched,
//! and events about other files are filtered out. A volume of Kubernetes looks
//! like this, and an update swaps the link `..data` without an event about
//! `flags.json`:
//!
//! ```text
//! flags.json -> ..data/flags.json
//! ..data     -> ..2025_01_01_12_00_00.123
//! ```
//!
//! An event says only that the file may have changed. Several that arrive before
//! they are awaited count as one.

use std::{ffi::OsStr, path::Path, sync::Arc};

use notify::{
    Event, EventKind, RecommendedWatcher, RecursiveMode, Watcher,
    event::{AccessKind, AccessMode},
};
use tokio::sync::Notify;

/// The symbolic link that Kubernetes swaps to replace all files of a volume at once.
const VOLUME_LINK: &str = "..data";

/// A watch on the directory of a file. It ends when it is dropped.
#[derive(Debug)]
pub(crate) struct Watch {
    /// Notified by the thread of the watcher. It stores one notification, so none
    /// is lost while nobody waits.
    changed: Arc<Notify>,
    _watcher: RecommendedWatcher,
}

impl Watch {
    /// Watches the directory of this path.
    ///
    /// Returns `None` if the system has no watches, or none left, or if the
    /// directory does not exist. The file is then only read at intervals.
    pub(crate) fn new(path: &Path) -> Option<Self> {
        Self::begin(path)
            .inspect_err(|error| {
                let path = path.display();
                tracing::debug!(%error, %path, "changes of the file are only noticed by polling");
            })
            .ok()
    }

    /// Registers the watch; see the [module](self) for why it is on the directory.
    fn begin(path: &Path) -> notify::Result<Self> {
        let directory = match path.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent,
            _ => Path::new("."),
        };
        let changed = Arc::new(Notify::new());
        let (name, bell) = (path.file_name().map(OsStr::to_owned), changed.clone());
        let mut watcher = notify::recommended_watcher(move |event: notify::Result<Event>| {
            // An error may stand for lost events, so it counts as a change.
            if event.is_ok_and(|event| !concerns(&event, name.as_deref())) {
                return;
            }
            bell.notify_one();
        })?;
        watcher.watch(directory, RecursiveMode::NonRecursive)?;
        Ok(Self { changed, _watcher: watcher })
    }
}

/// Whether the file may have changed.
///
/// Reading the file causes events as well; without the filter on the kind, each
/// read would lead to the next one.
fn concerns(event: &Event, name: Option<&OsStr>) -> bool {
    match event.kind {
        EventKind::Access(AccessKind::Close(AccessMode::Write)) => {}
        EventKind::Access(_) => return false,
        _ => {}
    }
    let is_ours = |path: &Path| {
        let changed = path.file_name();
        changed.is_none() || changed == name || changed == Some(OsStr::new(VOLUME_LINK))
    };
    event.need_rescan() || event.paths.is_empty() || event.paths.iter().any(|path| is_ours(path))
}

/// Waits for a notification; without a watch, forever.
pub(crate) async fn changed(watch: Option<&Watch>) {
    match watch {
        Some(watch) => watch.changed.notified().await,
        None => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests {
    use notify::event::{CreateKind, Flag, ModifyKind, RenameMode};

    use super::*;

    #[test]
    fn only_what_may_change_the_file_is_news() {
        let name = Some(OsStr::new("flags.json"));
        let written = EventKind::Access(AccessKind::Close(AccessMode::Write));
        let read = EventKind::Access(AccessKind::Close(AccessMode::Read));
        let renamed = EventKind::Modify(ModifyKind::Name(RenameMode::To));
        for (kind, path, expected) in [
            (written, "/d/flags.json", true),
            (EventKind::Create(CreateKind::File), "/d/flags.json", true),
            (renamed, "/d/..data", true),
            (read, "/d/flags.json", false),
            (EventKind::Access(AccessKind::Open(AccessMode::Any)), "/d/flags.json", false),
            (written, "/d/other.json", false),
        ] {
            let event = Event::new(kind).add_path(path.into());
            assert_eq!(concerns(&event, name), expected, "{event:?}");
        }
        assert!(concerns(&Event::new(EventKind::Other), name));
        let missed = Event::new(EventKind::Other).add_path("/d/x".into()).set_flag(Flag::Rescan);
        assert!(concerns(&missed, name));
    }
}
