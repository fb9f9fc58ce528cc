//! HTTP as everything in this crate uses it: TLS, one client, and hardened serving of any tower
//! service.
//!
//! # Serving
//!
//! [`Server`] accepts connections over TCP and unix sockets, encrypted or not, in HTTP/1.1 and HTTP/2,
//! and serves each of them with a service of its own: an `axum::Router` is one, and so is any
//! `tower::Service` of requests with a [`Body`]. It bounds what a client can cost: how long it may
//! take for the head and the body of a request, and for reading the response, how long both may be,
//! and how many connections and streams it may have. In a [shutdown](Server::shutdown), requests that
//! have begun are finished.
//!
//! A response without an end, such as an event stream, must end when the server drains. [`Draining`]
//! is an extension of each request, and so is [`Peer`], who sent it:
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
//! For TLS, give the builder [`Certificates`], which follow their files.
//!
//! # Requests
//!
//! [`Client`] sends requests whose responses are bounded in length and time, and keeps secrets from
//! other origins that a server redirects to.

#[cfg(feature = "http")]
pub(crate) mod client;
#[cfg(feature = "http")]
mod name;
#[cfg(feature = "http")]
mod serve;
pub mod tls;

#[cfg(feature = "http")]
pub use self::{
    client::{Client, ClientBody, ClientBuilder, ClientError},
    name::public_name,
    serve::{
        BindError, Body, BodyError, Bound, Certificates, Draining, Listen, Peer, Server,
        ServerBuilder,
    },
};
