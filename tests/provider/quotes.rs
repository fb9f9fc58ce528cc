//! The provider cuts what it quotes: keys of flags, messages of servers, names of variables and
//! files. A message of hundreds of kilobytes fits neither a log nor a header.

use std::time::Duration;

use crate::support::{
    provider::{boolean, error, initialize, near, next, provider, ready, started},
    scripted::{Flag, ScriptedServer},
    wait::bounded,
};
use flagstaff::{FlagdError, FlagdOptions, FlagdProvider, ProviderEvent};
use open_feature::{EvaluationContext, provider::FeatureProvider as _};
use serde_json::json;
use tonic::Status;

/// Two quotations of 200 characters, and the message around them.
const LONGEST: usize = 1000;

/// Strings with one, two and four bytes per character; longer than [`LONGEST`], and short enough
/// for a header.
fn long_texts() -> [String; 3] {
    ["x", "é", "👍"].map(|character| character.repeat(1200))
}

#[track_caller]
fn is_cut(message: &str) {
    assert!(message.chars().count() <= LONGEST, "{} characters", message.chars().count());
    assert!(message.contains('…'), "{message}");
}

#[tokio::test]
async fn the_key_of_a_flag() {
    let server = ScriptedServer::start();
    let provider = ready(near(server.port())).await;
    for key in long_texts() {
        let check = async |flag: Option<Flag>| {
            if let Some(flag) = flag {
                server.set(&key, flag);
            }
            is_cut(&error(&provider, &key).await.message.unwrap());
        };
        check(None).await;
        check(Some(Flag::disabled())).await;
        check(Some(Flag::no_default())).await;
        check(Some(Flag::from("of another type"))).await;
        server.set(&key, json!({ "list": [null] }));
        let context = EvaluationContext::default();
        let null = provider.resolve_struct_value(&key, &context);
        let null = bounded("an evaluation", null).await.unwrap_err().message.unwrap();
        assert!(null.contains("`$.list[0]` is null"), "{null}");
        is_cut(&null);
        server.set(&key, true);
        assert!(boolean(&provider, &key).await.unwrap().value, "the key itself is whole");
    }
}

#[tokio::test]
async fn the_message_of_a_server() {
    let server = ScriptedServer::start();
    let provider = ready(near(server.port())).await;
    for text in long_texts() {
        for status in [
            Status::not_found(&text),
            Status::invalid_argument(format!("invalid selector {text}")),
            Status::data_loss(&text),
            Status::unknown(&text),
            Status::unavailable(&text),
            Status::permission_denied(&text),
        ] {
            server.fail("flag", status);
            is_cut(&error(&provider, "flag").await.message.unwrap());
        }
    }
}

#[tokio::test]
async fn the_message_of_a_server_for_the_event_stream() {
    for text in long_texts() {
        for fatal in [false, true] {
            let server = ScriptedServer::start();
            server.fail_all(Status::permission_denied(&text));
            let codes: &[&str] = if fatal { &["PERMISSION_DENIED"] } else { &[] };
            let provider =
                started(near(server.port()).fatal_status_codes(codes.iter().copied())).await;
            assert_eq!(provider.is_fatal(), fatal);
            let ProviderEvent::Error { message, .. } = next(&mut provider.events()).await else {
                panic!("no error")
            };
            is_cut(&message);
            is_cut(&error(&provider, "flag").await.message.unwrap());
            is_cut(&provider.wait_ready(Duration::ZERO).await.unwrap_err().to_string());
        }
    }
}

/// Each variable in turn: an error when the options are built or when the provider is initialized.
#[tokio::test]
async fn the_value_of_a_variable() {
    let mut refused = Vec::new();
    for option in FlagdOptions::TABLE {
        for text in long_texts() {
            let variables = |name: &str| match name {
                "FLAGD_TLS" if option.variable != name => Some("true".into()),
                "FLAGD_PORT" if option.variable != name => Some("1".into()),
                _ if name == option.variable => Some(text.clone().into()),
                _ => None,
            };
            let message = match FlagdOptions::builder().build_with_env(variables) {
                Err(error) => error.to_string(),
                Ok(options) => of_initialization(FlagdProvider::new(options)).await,
            };
            assert!(message.chars().count() <= LONGEST, "{}: {message}", option.variable);
            if message.contains(option.variable) && message.contains('…') {
                refused.push(option.variable);
            }
        }
    }
    refused.dedup();
    for variable in ["FLAGD_TLS", "FLAGD_DEADLINE_MS", "FLAGD_PORT", "FLAGD_SERVER_CERT_PATH"] {
        assert!(refused.contains(&variable), "{variable} is not in {refused:?}");
    }
}

async fn of_initialization(provider: FlagdProvider) -> String {
    initialize(&provider).await;
    provider.wait_ready(Duration::ZERO).await.unwrap_err().to_string()
}

#[tokio::test]
async fn where_flagd_is() {
    let host = format!("{}.invalid", "x".repeat(1200));
    for options in [
        near(1).target_uri(format!("bogus://{host}")),
        near(1).target_uri(format!("unix:///{host}")),
        near(1).host(host),
    ] {
        is_cut(&of_initialization(provider(options)).await);
    }
}

/// Errors that cut their message still expose all of it to a program.
#[tokio::test]
async fn a_program_sees_the_whole_path() {
    let path = format!("/{}", "x".repeat(1200));
    let options = near(1).tls(true).cert_path(&path).build_with_env(|_| None).unwrap();
    is_cut(&of_initialization(FlagdProvider::new(options)).await);
    let error = FlagdError::File {
        option: "certPath",
        variable: "FLAGD_SERVER_CERT_PATH",
        path: path.clone().into(),
        source: std::io::Error::other("text"),
    };
    is_cut(&error.to_string());
    assert!(matches!(error, FlagdError::File { path: whole, .. } if whole.as_os_str() == &*path));
}

#[cfg(feature = "in-process")]
mod in_process {
    use crate::support::{provider::swift, servers::sync_server::SyncServer};
    use flagstaff::{
        async_trait,
        flagd::Resolver,
        source::{Definition, FlagSource, SourceError},
    };

    use super::*;

    #[tokio::test]
    async fn the_key_of_a_flag() {
        for key in long_texts() {
            let definition = json!({ "flags": {
                &key: { "state": "ENABLED", "variants": { "v": "of another type" }, "defaultVariant": "v" },
            } });
            let server = SyncServer::start(&definition);
            let provider = ready(near(server.port()).resolver(Resolver::InProcess)).await;
            for key in [key.clone(), format!("{key} absent")] {
                is_cut(&error(&provider, &key).await.message.unwrap());
            }
        }
    }

    #[tokio::test]
    async fn where_flagd_is() {
        let host = format!("{}.invalid", "x".repeat(1200));
        let options = near(1).resolver(Resolver::InProcess).host(host);
        is_cut(&of_initialization(provider(options)).await);
    }

    /// Returns one definition, which is invalid.
    struct Long(String);

    #[async_trait]
    impl FlagSource for Long {
        fn name(&self) -> &str {
            &self.0
        }

        async fn next(&mut self) -> Result<Definition, SourceError> {
            Ok(Definition::json("{"))
        }
    }

    #[tokio::test]
    async fn the_name_of_a_source() {
        for name in long_texts() {
            let options = swift().build_with_env(|_| None).unwrap();
            let provider = FlagdProvider::with_source(options, Long(name));
            is_cut(&of_initialization(provider).await);
        }
    }
}
