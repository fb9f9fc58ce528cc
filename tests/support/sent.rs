//! A source of flags for tests.

use flagstaff::{
    async_trait,
    source::{Definition, FlagSource, SourceError},
};
use tokio::sync::mpsc;

/// A source whose definitions the test sends.
pub struct Sent(pub mpsc::UnboundedReceiver<Definition>);

#[async_trait]
impl FlagSource for Sent {
    fn name(&self) -> &'static str {
        "sent"
    }

    async fn next(&mut self) -> Result<Definition, SourceError> {
        match self.0.recv().await {
            Some(definition) => Ok(definition),
            None => std::future::pending().await,
        }
    }
}
