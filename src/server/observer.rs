//! What a program that embeds the server learns about its clients: which flags they evaluate, and
//! which flag sets they follow.

use std::sync::Arc;

use serde_json::Value;

use super::store::selector::Selector;
use crate::evaluator::Outcome;

/// Is notified of what clients do, for instance to find flags that nobody uses.
///
/// Clients that cache evaluations or evaluate flags themselves do not send a request for each
/// evaluation. As long as one of them [follows](Self::subscribed) a flag set, any of its flags may
/// be in use.
///
/// The methods are called while a request is handled, possibly by several threads at once, so they
/// should only count.
///
/// ```
/// use std::sync::{Arc, atomic::{AtomicU64, Ordering}};
///
/// use flagstaff::server::{Evaluated, Observer, Server};
///
/// #[derive(Clone, Default)]
/// struct Evaluations(Arc<AtomicU64>);
///
/// impl Observer for Evaluations {
///     fn evaluated(&self, _: &Evaluated<'_>) {
///         self.0.fetch_add(1, Ordering::Relaxed);
///     }
/// }
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let evaluations = Evaluations::default();
/// let server = Server::builder().ephemeral().observer(evaluations.clone()).bind().await?;
/// # Ok(()) }
/// ```
pub trait Observer: Send + Sync + 'static {
    /// A flag was evaluated for a client, whether or not that returned a value. A request for all
    /// flags calls this for each of them. A flag that does not exist is not reported.
    fn evaluated(&self, evaluated: &Evaluated<'_>) {
        let _ = evaluated;
    }

    /// A client has begun to follow a flag set: it has opened an event stream or a sync stream.
    ///
    /// Without a flag set, the client follows all flags, those of one source, or those without a
    /// flag set. A client that fetches definitions once begins and ends at the same time.
    fn subscribed(&self, flag_set: Option<&str>) {
        let _ = flag_set;
    }

    /// A client has ceased to follow a flag set: its stream has ended. This is called once for each
    /// call of [`subscribed`](Self::subscribed).
    fn unsubscribed(&self, flag_set: Option<&str>) {
        let _ = flag_set;
    }
}

/// An evaluation that a server has made for a client, for an [`Observer`].
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Evaluated<'a> {
    /// The flag set to which the flag belongs, if any.
    pub flag_set: Option<&'a str>,
    /// The key of the flag.
    pub key: &'a str,
    /// Whether the client requested all flags, which does not show that it uses this one.
    pub in_bulk: bool,
}

impl<'a> Evaluated<'a> {
    pub(crate) fn new(key: &'a str, outcome: &Outcome<'a>, in_bulk: bool) -> Self {
        let flag_set = outcome.metadata.get("flagSetId").and_then(Value::as_str);
        Self { flag_set, key, in_bulk }
    }
}

/// A client that follows flags, until this is dropped.
pub(crate) struct Subscription<'s> {
    observer: Arc<dyn Observer>,
    flag_set: Option<&'s str>,
}

impl<'s> Subscription<'s> {
    pub(crate) fn new(observer: Arc<dyn Observer>, selector: &'s Selector) -> Self {
        let flag_set = match selector {
            Selector::FlagSet(flag_set) => flag_set.as_deref(),
            Selector::All | Selector::Source(_) => None,
        };
        observer.subscribed(flag_set);
        Self { observer, flag_set }
    }
}

impl Drop for Subscription<'_> {
    fn drop(&mut self) {
        self.observer.unsubscribed(self.flag_set);
    }
}
