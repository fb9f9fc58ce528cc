//! What a context source reports when its fields change, and a record from which it
//! can.

use std::{collections::HashMap, future::pending, sync::Arc};

use tokio::sync::watch;

/// How many names of fields a record holds at most. Names may come from another
/// system, which could make up any number of them.
const MOST: usize = 10_000;

/// A change of the fields of a [`ContextSource`](crate::ContextSource).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ContextChange {
    /// The version of the fields after the change.
    pub version: u64,
    /// The fields that have changed, for whatever subject.
    pub fields: ChangedFields,
}

/// Which fields of the evaluation context have changed.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ChangedFields {
    /// Any field may have changed.
    All,
    /// The fields with these names have changed, were added, or were removed.
    Names(Arc<[String]>),
}

impl ChangedFields {
    /// The names, or none for all fields.
    #[cfg(feature = "in-process")]
    pub(crate) fn names(&self) -> Option<&[String]> {
        match self {
            Self::All => None,
            Self::Names(names) => Some(names),
        }
    }
}

/// The version at which each field changed last, for a source that implements
/// [`ContextSource::changed`](crate::ContextSource::changed).
///
/// It holds up to 10,000 names. When there are more, it forgets them, and those who
/// have not seen them yet learn that any field may have changed.
///
/// ```
/// use std::{error::Error, sync::Arc};
///
/// use flagstaff::{ContextChange, ContextSource, FieldVersions, Subject, async_trait};
/// use serde_json::{Map, Value};
///
/// struct Tiers {
///     versions: FieldVersions,
/// }
///
/// impl Tiers {
///     /// Called when a customer gets another tier.
///     fn tier_changed(&self) {
///         self.versions.changed(["tier"]);
///     }
/// }
///
/// #[async_trait]
/// impl ContextSource for Tiers {
///     fn name(&self) -> &str {
///         "tiers"
///     }
///
///     # async fn fields(
///     #     &self,
///     #     _: Subject<'_>,
///     # ) -> Result<Arc<Map<String, Value>>, Box<dyn Error + Send + Sync>> {
///     #     Ok(Arc::default())
///     # }
///     // ...
///     async fn changed(&self, seen: u64) -> ContextChange {
///         self.versions.since(seen).await
///     }
/// }
/// ```
#[derive(Debug, Default)]
pub struct FieldVersions(watch::Sender<Record>);

#[derive(Debug, Default)]
struct Record {
    version: u64,
    /// The version that changed each field last.
    fields: HashMap<String, u64>,
    /// The fields that changed up to this version are not all known.
    forgotten: u64,
}

impl FieldVersions {
    /// Records that fields with these names have changed, for whatever subject.
    /// Without any name, nothing has.
    pub fn changed(&self, names: impl IntoIterator<Item = impl Into<String>>) {
        self.0.send_if_modified(|record| {
            let version = record.version + 1;
            for name in names {
                record.fields.insert(name.into(), version);
                record.version = version;
            }
            if record.fields.len() > MOST {
                record.forget();
            }
            record.version == version
        });
    }

    /// Records that any field may have changed.
    pub fn all_changed(&self) {
        self.0.send_modify(|record| {
            record.version += 1;
            record.forget();
        });
    }

    /// Waits until a version is newer than `seen`, and returns the newest one with
    /// the fields that have changed since. It is cancel-safe.
    pub async fn since(&self, seen: u64) -> ContextChange {
        let mut versions = self.0.subscribe();
        // The sender lives as long as this future.
        let Ok(record) = versions.wait_for(|record| record.version > seen).await else {
            return pending().await;
        };
        ContextChange { version: record.version, fields: record.since(seen) }
    }
}

impl Record {
    fn forget(&mut self) {
        self.fields.clear();
        self.forgotten = self.version;
    }

    fn since(&self, seen: u64) -> ChangedFields {
        if seen < self.forgotten {
            return ChangedFields::All;
        }
        let later = self.fields.iter().filter(|(_, version)| **version > seen);
        let mut names: Vec<_> = later.map(|(name, _)| name.clone()).collect();
        names.sort_unstable();
        ChangedFields::Names(names.into())
    }
}

#[cfg(test)]
mod tests {
    use std::{
        future::Future,
        pin::pin,
        task::{Context, Poll, Waker},
    };

    use super::*;

    /// What has changed since this version; none if nothing has.
    fn since(versions: &FieldVersions, seen: u64) -> Option<(u64, ChangedFields)> {
        match pin!(versions.since(seen)).poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(ContextChange { version, fields }) => Some((version, fields)),
            Poll::Pending => None,
        }
    }

    fn names<const N: usize>(names: [&str; N]) -> ChangedFields {
        ChangedFields::Names(names.map(str::to_owned).into())
    }

    #[test]
    fn each_caller_learns_of_what_it_has_not_seen() {
        let versions = FieldVersions::default();
        versions.changed([""; 0]);
        assert_eq!(since(&versions, 0), None);
        versions.changed(["tier", "owner"]);
        versions.changed(["tier"]);
        assert_eq!(since(&versions, 0), Some((2, names(["owner", "tier"]))));
        assert_eq!(since(&versions, 1), Some((2, names(["tier"]))));
        assert_eq!(since(&versions, 2), None);
        versions.all_changed();
        versions.changed(["region"]);
        assert_eq!(since(&versions, 2), Some((4, ChangedFields::All)));
        assert_eq!(since(&versions, 3), Some((4, names(["region"]))));
    }

    #[test]
    fn names_without_end_are_forgotten() {
        let versions = FieldVersions::default();
        for n in 0..=MOST {
            versions.changed([n.to_string()]);
        }
        let last = MOST as u64 + 1;
        assert_eq!(since(&versions, 5), Some((last, ChangedFields::All)));
        assert_eq!(since(&versions, last), None);
        versions.changed(["tier"]);
        assert_eq!(since(&versions, last), Some((last + 1, names(["tier"]))));
        assert_eq!(versions.0.borrow().fields.len(), 1);
    }
}
