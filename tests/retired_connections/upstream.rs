//! The server behind a proxy: a flagd, if available, otherwise a scripted server.

use serde_json::json;

use crate::{
    KEY,
    support::{
        flagd::{self, FlagdProcess},
        scripted::{Flag, ScriptedServer},
    },
};

pub(crate) enum Upstream {
    Flagd(FlagdProcess),
    Scripted(ScriptedServer),
}

impl Upstream {
    pub(crate) async fn start() -> Self {
        if flagd::find().is_err() {
            return Self::Scripted(scripted());
        }
        let flags = json!({"flags": {KEY: {
            "state": "ENABLED", "variants": {"on": true, "off": false}, "defaultVariant": "off",
            "targeting": {"if": [{"==": [{"var": "targetingKey"}, "user"]}, "on", "off"]},
        }}});
        Self::Flagd(FlagdProcess::with(&flags).start().await.unwrap())
    }

    pub(crate) fn port(&self) -> u16 {
        match self {
            Self::Flagd(flagd) => flagd.port(),
            Self::Scripted(server) => server.port(),
        }
    }
}

/// A scripted server with the flag.
pub(crate) fn scripted() -> ScriptedServer {
    let server = ScriptedServer::builder().without_log().start();
    server.set(KEY, Flag::new(true).reason("TARGETING_MATCH").variant("on"));
    server
}
