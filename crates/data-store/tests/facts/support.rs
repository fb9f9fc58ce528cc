//! What the tests of this program share.

use std::{
    fmt::Debug,
    time::{Duration, Instant},
};

use flagstaff::{
    ContextSource as _, Subject,
    flagops::{Facts, FactsClient},
    open_feature::EvaluationContext,
};
use serde_json::Value;
use testing::Process;

use crate::{
    http::LONG,
    program::{Program, Server},
};

/// A client that may do everything.
pub(crate) fn client(server: &Server) -> FactsClient {
    FactsClient::builder(&server.url).token(server.token.as_str()).build().unwrap()
}

/// Starts the server again where it was, after its end.
pub(crate) fn restart(program: &Program, server: &mut Server) {
    let port = port(server);
    let listen = format!("--listen=127.0.0.1:{port}");
    server.process = Process::start(&program.command(&["serve", &listen]));
    server.process.wait_for_port(port);
}

fn port(server: &Server) -> u16 {
    server.url.rsplit_once(':').unwrap().1.parse().unwrap()
}

/// Waits until a state is as expected. Returns how long that took since `begun`.
pub(crate) async fn becomes<T: PartialEq + Debug>(
    what: &str,
    begun: Instant,
    expected: T,
    state: impl AsyncFn() -> T,
) -> Duration {
    loop {
        let seen = state().await;
        let passed = begun.elapsed();
        if seen == expected {
            return passed;
        }
        assert!(passed < LONG, "{what} is {seen:?} and not {expected:?} after {passed:?}");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

/// The fields that the facts of an identity add to the evaluation context.
pub(crate) async fn fields(facts: &Facts, identity: &str) -> Value {
    let context = EvaluationContext::default().with_targeting_key(identity);
    Value::Object((*facts.fields(Subject::new(&context)).await.unwrap()).clone())
}
