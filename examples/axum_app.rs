//! A web service that evaluates a flag for each request: `GET /?user=NAME` greets with the flag
//! `greeting`, and `GET /readyz` reports the state of the provider.
//!
//! `cargo run --features server --example axum_app`, then `curl 127.0.0.1:3000`.

mod stand_in;
use stand_in::Flags;

use std::{collections::HashMap, env, error::Error};

use axum::{
    Router,
    extract::{Query, State},
    http::StatusCode,
    routing::get,
};
use flagstaff::FlagdProvider;
use open_feature::{Client, EvaluationContext, OpenFeature};
use tokio::net::TcpListener;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let Flags { provider, server: _server } = Flags::connect().await?;
    OpenFeature::singleton_mut().await.set_provider(provider.clone()).await;

    let address = env::var("ADDRESS").unwrap_or_else(|_| "127.0.0.1:3000".to_owned());
    let listener =
        TcpListener::bind(&address).await.map_err(|error| format!("{address}: {error}"))?;
    println!("listening on http://{}", listener.local_addr()?);
    axum::serve(listener, app(provider.clone()).await)
        .with_graceful_shutdown(async { tokio::signal::ctrl_c().await.unwrap_or_default() })
        .await?;
    provider.shutdown().await;
    Ok(())
}

async fn app(provider: FlagdProvider) -> Router {
    let client = std::sync::Arc::new(OpenFeature::singleton().await.create_client());
    let ready = Router::new().route("/readyz", get(readyz)).with_state(provider);
    Router::new().route("/", get(greet)).with_state(client).merge(ready)
}

/// Each request has a context of its own. Flags that do not depend on it come from the cache.
async fn greet(
    State(client): State<std::sync::Arc<Client>>,
    Query(query): Query<HashMap<String, String>>,
) -> String {
    let user = query.get("user").map_or("anonymous", String::as_str);
    let context = EvaluationContext::default().with_targeting_key(user);
    let greeting = client.get_string_value("greeting", Some(&context), None).await;
    format!("{}, {user}\n", greeting.unwrap_or_else(|_| "hello".to_owned()))
}

/// The provider reconnects without traffic, so a service that receives none until it is ready recovers
/// too.
async fn readyz(State(provider): State<FlagdProvider>) -> (StatusCode, String) {
    let state = provider.state();
    let status = match state {
        flagstaff::State::Ready | flagstaff::State::Stale => StatusCode::OK,
        _ => StatusCode::SERVICE_UNAVAILABLE,
    };
    (status, format!("{state:?}\n"))
}
