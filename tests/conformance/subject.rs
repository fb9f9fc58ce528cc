//! The provider under test, as a program has it: given to the SDK, and evaluated through a client.

use std::sync::atomic::{AtomicUsize, Ordering};

use flagstaff::{FlagdOptions, FlagdProvider};
use open_feature::{Client, OpenFeature, provider::NoOpProvider};

use crate::events::EventLog;

/// A provider under a name of its own: the SDK is one for all scenarios.
pub(crate) struct Subject {
    name: String,
    pub(crate) provider: FlagdProvider,
    pub(crate) client: Client,
}

impl Subject {
    /// Initializes it; the events show whether it becomes ready.
    pub(crate) async fn start(options: FlagdOptions, events: &EventLog) -> Self {
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        let name = format!("scenario-{}", NEXT.fetch_add(1, Ordering::Relaxed));
        let provider = FlagdProvider::new(options);
        events.follow(provider.events());
        let mut api = OpenFeature::singleton_mut().await;
        api.set_named_provider(&name, provider.clone()).await;
        let client = api.create_named_client(&name);
        Self { name, provider, client }
    }

    /// Shuts it down, and makes the SDK drop it.
    pub(crate) async fn stop(self) {
        self.provider.shutdown().await;
        let mut api = OpenFeature::singleton_mut().await;
        api.set_named_provider(&self.name, NoOpProvider::default()).await;
    }
}
