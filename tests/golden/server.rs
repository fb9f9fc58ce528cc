//! The embedded server's responses to the cases: over both versions of the protocol, and over
//! OFREP.
// A server or a client that fails panics.
#![allow(clippy::unwrap_used)]

use flagstaff::server::Server;
use http::StatusCode;
use serde_json::{Value, json};
use tokio::runtime::Runtime;

use crate::{
    Verdict,
    answer::{same, tidy},
    case::{Case, Expected, zero},
    evaluator::LOWEST,
    support::ask::Asker,
};

/// A server in this process, and a client for each protocol.
pub(crate) struct Served {
    runtime: Runtime,
    clients: Clients,
    /// The definition that it serves.
    definition: String,
}

struct Clients {
    server: Server,
    asker: Asker,
}

impl Served {
    pub(crate) fn start() -> Self {
        let runtime = Runtime::new().unwrap();
        let clients = runtime.block_on(Clients::connect());
        Self { runtime, clients, definition: String::new() }
    }

    /// Sends the request of the case.
    pub(crate) fn judge(&mut self, case: &Case) -> Verdict {
        let flags = self.clients.server.flags();
        if self.definition != case.definition {
            self.definition.clone_from(&case.definition);
            if let Err(error) = flags.replace(&case.definition) {
                self.definition.clear();
                return match case.expected {
                    Expected::Rejected(_) => Verdict::Agrees,
                    Expected::Answers { .. } => Verdict::Differs(format!("{}: {error}", case.key)),
                };
            }
        }
        self.runtime.block_on(self.clients.judge(case))
    }
}

impl Clients {
    async fn connect() -> Self {
        let server = Server::builder().ephemeral().bind().await.unwrap();
        let (evaluation, ofrep) = (server.evaluation_addr().unwrap(), server.ofrep_addr().unwrap());
        let asker = Asker::connect(evaluation, ofrep).await;
        Self { server, asker }
    }

    async fn judge(&mut self, case: &Case) -> Verdict {
        let context = Value::from(case.context.clone());
        let v2_answer = self.asker.v2(&case.key, case.kind, &context).await;
        let Expected::Answers { v1, v2, ofrep } = &case.expected else {
            // The evaluator decides whether the definition must be rejected or the flag left out.
            return match v2_answer["error"].as_str() {
                Some("NOT_FOUND") => Verdict::Agrees,
                _ => Verdict::Differs(format!("{}: neither rejected nor left out", case.key)),
            };
        };
        let v1_answer = self.asker.v1(&case.key, case.kind, &context).await;
        let zero = zero(case.kind);
        let mut verdict = Verdict::Agrees;
        for (way, expected, given, zero) in [
            ("v1", v1, v1_answer, Some(&zero)),
            ("v2", v2, v2_answer, None),
            ("ofrep", ofrep, self.ofrep(case, &context).await, None),
        ] {
            if same(&tidy(expected, zero), &tidy(&given, zero)) {
                continue;
            }
            if !by_rule(case, way, expected, &given) {
                let key = &case.key;
                return Verdict::Differs(format!(
                    "{key} over {way}: {given} in place of {expected}"
                ));
            }
            verdict = Verdict::ByRule;
        }
        verdict
    }

    async fn ofrep(&mut self, case: &Case, context: &Value) -> Value {
        let (status, mut answer) = self.asker.ofrep(&case.key, context).await;
        assert_eq!(answer.remove("key"), Some(case.key.as_str().into()));
        if status == StatusCode::OK {
            return answer.into();
        }
        json!({
            "status": status.as_u16(), "error": answer["errorCode"], "message": answer["errorDetails"],
        })
    }
}

/// The ways in which the server differs from flagd on purpose.
fn by_rule(case: &Case, way: &str, expected: &Value, given: &Value) -> bool {
    if way == "ofrep" {
        // flagd does not find a flag whose key contains a slash or names a folder: it responds with
        // a page.
        let no_path = case.key.contains('/') || matches!(&*case.key, "." | "..");
        return no_path && expected["error"] == "UNREADABLE";
    }
    let as_flagd = expected["value"].as_f64() == Some(LOWEST);
    case.is_beyond_64_bits() && as_flagd && given["error"] == "INVALID_ARGUMENT"
}
