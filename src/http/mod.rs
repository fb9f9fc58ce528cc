//! HTTP for the whole crate: TLS, one client, and a server for any tower service
//! that limits what a client can cost.
//!
//! None of it knows flags, so programs can use it for their own services as well.
//! The feature `http` adds everything but [`tls`].
//!
//! # Serving
//!
//! [`Server`] accepts connections over TCP and unix sockets, encrypted or not, with
//! HTTP/1.1 and HTTP/2. Each connection is served with a service of its own: an
//! `axum::Router`, or any other `tower::Service` of requests with a [`Body`].
//!
//! A client that is slow, malicious or broken must not exhaust the server. Every
//! phase of a connection therefore has a limit, which is on by default:
//!
//! | phase | limits of [`ServerBuilder`] |
//! |---|---|
//! | connect | [`max_connections`](ServerBuilder::max_connections), [`first_request_timeout`](ServerBuilder::first_request_timeout) |
//! | TLS handshake, head of a request | [`head_timeout`](ServerBuilder::head_timeout), [`max_head`](ServerBuilder::max_head) |
//! | body of a request | [`body_timeout`](ServerBuilder::body_timeout), [`max_body`](ServerBuilder::max_body) |
//! | response | [`write_timeout`](ServerBuilder::write_timeout) |
//! | HTTP/2 | [`max_streams`](ServerBuilder::max_streams); a ping every 30 s must be acknowledged within 20 s |
//!
//! There is no limit on the time that a service takes to respond: a tower layer
//! does that, and only the service knows what is long.
//!
//! In a [shutdown](Server::shutdown), requests that have begun are finished. A
//! response without an end, such as an event stream, must therefore end when the
//! server drains. Each request has two extensions: [`Draining`], the signal for
//! that, and [`Peer`], the client that sent it:
//!
#![cfg_attr(feature = "http", doc = "```")]
#![cfg_attr(not(feature = "http"), doc = "```ignore")]
//! use std::convert::Infallible;
//!
//! use axum::{
//!     Extension, Router,
//!     response::sse::{Event, Sse},
//!     routing::get,
//! };
//! use flagstaff::http::{Draining, Peer, Server};
//! use tokio_stream::{Stream, StreamExt as _, wrappers::ReceiverStream};
//!
//! async fn whoami(Extension(peer): Extension<Peer>) -> String {
//!     format!("{:?}", peer.address())
//! }
//!
//! async fn events(
//!     Extension(draining): Extension<Draining>,
//! ) -> Sse<impl Stream<Item = Result<Event, Infallible>>> {
//!     let (sender, events) = tokio::sync::mpsc::channel(1);
//!     tokio::spawn(async move {
//!         let _ = sender.send(Ok(Event::default().data("hello"))).await;
//!         // The stream ends with its sender.
//!         tokio::select! {
//!             () = draining.begun() => {}
//!             () = sender.closed() => {}
//!         }
//!     });
//!     Sse::new(ReceiverStream::new(events))
//! }
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let router = Router::new().route("/whoami", get(whoami)).route("/events", get(events));
//! let server = Server::builder()
//!     .listen(([127, 0, 0, 1], 0))
//!     .max_body(100_000)
//!     .bind()
//!     .await?
//!     .serve(move |_peer| router.clone());
//! println!("http://{}/whoami", server.addresses()[0]);
//! // On SIGTERM:
//! server.shutdown().await;
//! # Ok(()) }
//! ```
//!
//! For TLS, pass [`Certificates`] to [`ServerBuilder::tls`]. They are read again
//! when their files change.
//!
//! # Requests
//!
//! [`Client`] sends requests whose responses are limited in length and time, and
//! does not send secrets to other origins to which a server redirects.

#[cfg(feature = "http")]
pub(crate) mod client;
#[cfg(any(feature = "optoggles", feature = "flagops"))]
pub(crate) mod endpoint;
#[cfg(feature = "http")]
mod name;
#[cfg(any(feature = "optoggles", feature = "flagops"))]
pub(crate) mod secret;
#[cfg(feature = "http")]
mod serve;
pub mod tls;

#[cfg(any(feature = "optoggles", feature = "flagops"))]
pub use self::secret::Secret;
#[cfg(feature = "http")]
pub use self::{
    client::{Client, ClientBody, ClientBuilder, ClientError},
    name::public_name,
    serve::{
        BindError, Body, BodyError, Bound, Certificates, Draining, Listen, Peer, Server,
        ServerBuilder,
    },
};
