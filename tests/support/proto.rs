//! The generated clients and servers of flagd's evaluation API, both versions, and of its sync API.

use tonic::transport::{Channel, Endpoint};

use super::wait::bounded;

pub type V1 = v1::service_client::ServiceClient<Channel>;
pub type V2 = v2::service_client::ServiceClient<Channel>;

/// A connected channel to `http://host:port` or `unix:///path`.
pub async fn connect(uri: String) -> Channel {
    let endpoint = Endpoint::from_shared(uri).unwrap();
    bounded("a connection", endpoint.connect()).await.unwrap()
}

#[allow(clippy::all, clippy::pedantic)]
pub mod v1 {
    include!(concat!(env!("OUT_DIR"), "/services/flagd.evaluation.v1.rs"));
}

#[allow(clippy::all, clippy::pedantic)]
pub mod v2 {
    include!(concat!(env!("OUT_DIR"), "/services/flagd.evaluation.v2.rs"));
}

#[allow(clippy::all, clippy::pedantic)]
pub mod sync_v1 {
    include!(concat!(env!("OUT_DIR"), "/services/flagd.sync.v1.rs"));
}
