//! Options of `flagd start` that are not supported.
//!
//! They are parsed, so that the error can say what to do instead: "unexpected argument" would
//! look like a mistake in spelling. Ignoring them would be worse, because the user relies on
//! the metrics that they configure. `--help` does not list them.

use std::ffi::OsString;

/// Generates the struct `Unsupported`, with a hidden option for each row: field, short form, long
/// form, variable, and what to do instead. `--config` has no row, since it has neither a short
/// form nor a variable.
macro_rules! unsupported {
    ($($field:ident, $short:tt, $name:literal, $variable:literal, $instead:literal;)+) => {
        #[derive(Debug, clap::Args)]
        pub(super) struct Unsupported {
            $(
                #[arg(short = $short, long = $name, env = $variable, hide = true)]
                $field: Option<OsString>,
            )+
            #[arg(long, hide = true)]
            config: Option<OsString>,
        }

        impl Unsupported {
            /// Fails if one of the options or variables was given. An empty one does not count.
            pub(super) fn check(&self) -> Result<(), String> {
                $(
                    if self.$field.as_ref().is_some_and(|value| !value.is_empty()) {
                        return Err(format!(
                            "--{} ({}) is not supported: {}", $name, $variable, $instead
                        ));
                    }
                )+
                match self.config {
                    Some(_) => Err("--config is not supported: use options or variables".to_owned()),
                    None => Ok(()),
                }
            }
        }
    };
}

unsupported! {
    metrics_exporter, 't', "metrics-exporter", "FLAGD_METRICS_EXPORTER",
        "Prometheus reads metrics at /metrics on the management port";
    otel_collector_uri, 'o', "otel-collector-uri", "FLAGD_OTEL_COLLECTOR_URI",
        "telemetry is not exported; metrics are at /metrics on the management port";
    otel_ca_path, 'A', "otel-ca-path", "FLAGD_OTEL_CA_PATH", "telemetry is not exported";
    otel_cert_path, 'D', "otel-cert-path", "FLAGD_OTEL_CERT_PATH", "telemetry is not exported";
    otel_key_path, 'K', "otel-key-path", "FLAGD_OTEL_KEY_PATH", "telemetry is not exported";
    otel_reload_interval, 'I', "otel-reload-interval", "FLAGD_OTEL_RELOAD_INTERVAL",
        "telemetry is not exported";
}
