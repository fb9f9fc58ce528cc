//! Where an OPAL client sends its callbacks.

use std::{
    io,
    net::{IpAddr, SocketAddr, UdpSocket},
};

use tokio::task::spawn_blocking;

use crate::optoggles::failure::Failure;

/// Where an OPAL client sends its callbacks.
#[derive(Clone)]
pub(crate) enum CallbackUrl {
    /// To this URL.
    Given(String),
    /// To the address of this machine as the OPAL client sees it, at this port.
    Own(u16),
}

/// The address of this machine cannot be found out.
#[derive(Debug, thiserror::Error)]
#[error(
    "cannot find out at which address the OPAL client {0} reaches this program: set `advertisedAddress`"
)]
struct OwnAddressError(String, #[source] io::Error);

impl CallbackUrl {
    /// The URL, for the OPAL client at the URL `opal`.
    ///
    /// An own address is looked up each time: the name of the OPAL client may not be known yet when the
    /// source is created.
    pub(super) async fn resolved(&self, opal: String) -> Result<String, Failure> {
        let port = match self {
            Self::Given(url) => return Ok(url.clone()),
            Self::Own(port) => *port,
        };
        let found = spawn_blocking(move || own_address(&opal).map_err(|error| (opal, error)));
        let found = found.await.map_err(Failure::temporary)?;
        let own =
            found.map_err(|(opal, error)| Failure::temporary(OwnAddressError(opal, error)))?;
        Ok(format!("http://{}/opa_update", SocketAddr::new(own, port)))
    }
}

/// The address of this machine as the host of a URL sees it, whose name is resolved, which blocks.
///
/// Connecting a UDP socket sends nothing: it makes the system choose the route and with it the local
/// address.
fn own_address(url: &str) -> io::Result<IpAddr> {
    let url = reqwest::Url::parse(url).map_err(io::Error::other)?;
    let peers = url.socket_addrs(|| None)?;
    let peer = peers.first().ok_or(io::ErrorKind::HostUnreachable)?;
    let any: IpAddr = if peer.is_ipv4() { [0; 4].into() } else { [0_u8; 16].into() };
    let socket = UdpSocket::bind((any, 0))?;
    socket.connect(peer)?;
    Ok(socket.local_addr()?.ip())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::optoggles::failure::FailureKind;

    #[tokio::test]
    async fn an_own_address_is_that_of_the_route_to_opal() {
        let own = CallbackUrl::Own(8080).resolved("http://127.0.0.1:7000".to_owned()).await;
        assert_eq!(own.unwrap(), "http://127.0.0.1:8080/opa_update");
    }

    #[tokio::test]
    async fn an_opal_client_whose_name_is_not_known_yet_is_looked_up_again() {
        // No name is that long, which is known without asking anybody.
        let opal = format!("http://{}:7000", "x".repeat(64));
        let failure = CallbackUrl::Own(8080).resolved(opal).await.unwrap_err();
        assert_eq!(failure.kind(), FailureKind::Temporary);
        assert!(failure.to_string().ends_with("set `advertisedAddress`"), "{failure}");
    }
}
