//! News of a file: of what happens in its directory.

use std::{ffi::OsStr, path::Path, sync::Arc};

use notify::{
    Event, EventKind, RecommendedWatcher, RecursiveMode, Watcher,
    event::{AccessKind, AccessMode},
};
use tokio::sync::Notify;

/// The symbolic link that Kubernetes swaps to replace all files of a volume at once.
const VOLUME_LINK: &str = "..data";

/// It ends when it is dropped.
#[derive(Debug)]
pub(crate) struct Watch {
    changed: Arc<Notify>,
    _watcher: RecommendedWatcher,
}

impl Watch {
    /// The system may have no watches, or none left, or the directory may not be there.
    pub(crate) fn new(path: &Path) -> Option<Self> {
        Self::begin(path)
            .inspect_err(|error| {
                let path = path.display();
                tracing::debug!(%error, %path, "changes of the file are only noticed by polling");
            })
            .ok()
    }

    /// A file that is replaced is another one: its directory stays.
    fn begin(path: &Path) -> notify::Result<Self> {
        let directory = match path.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent,
            _ => Path::new("."),
        };
        let changed = Arc::new(Notify::new());
        let (name, bell) = (path.file_name().map(OsStr::to_owned), changed.clone());
        let mut watcher = notify::recommended_watcher(move |event: notify::Result<Event>| {
            // An error may hide anything.
            if event.is_ok_and(|event| !concerns(&event, name.as_deref())) {
                return;
            }
            bell.notify_one();
        })?;
        watcher.watch(directory, RecursiveMode::NonRecursive)?;
        Ok(Self { changed, _watcher: watcher })
    }
}

/// Whether the file may be another now. Its own reading is news, too.
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

/// Waits for news; for ever without a watch.
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
