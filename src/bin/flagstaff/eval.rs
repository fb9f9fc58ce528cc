//! `flagstaff eval`: evaluates one flag for an evaluation context.
//!
//! It creates a [`FlagdProvider`], initializes it, evaluates the flag and shuts the provider
//! down. So the result, or the error, is the one that a service with the same options sees.
//!
//! ```text
//! $ flagstaff eval new-checkout -c targetingKey=4
//! new-checkout = true
//! reason: TARGETING_MATCH
//! variant: on
//! ```
//!
//! A result goes to standard output, and an error to standard error. With `--json`, both go to
//! standard output as one line, so that a script has one place to read.

use std::{fmt, io};

use clap::ValueEnum;
use flagstaff::{FlagdProvider, flagd::Resolver, reason};
use open_feature::{
    EvaluationContext, EvaluationError, EvaluationErrorCode as Code, EvaluationResult,
    provider::{FeatureProvider, ResolutionDetails},
};
use serde_json::{Map, Value as Json, json};

use crate::{
    connection::Connection,
    context::{self, Fields},
    excerpt::chain,
    exit::{Exit, failed},
    facts::FactsArgs,
    json as convert, output,
};

/// Evaluate a flag in flagd or flagstaff or, with --in-process or --file, in this program.
///
/// Exit code 0: the flag has a value; 1: it has none (it is missing or disabled, has another type, its
/// rule fails, or the file cannot be read), or the value cannot be written; 2: usage error; 3: flagd is
/// unreachable, rejects the call, or cannot be used with these options.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The key of the flag.
    key: String,
    /// The type to evaluate the flag as; by default, the type that it has.
    #[arg(short = 't', long = "type", value_name = "TYPE")]
    as_type: Option<Type>,
    /// Fields of the evaluation context: `name=value`, `name:=json` or a JSON object; can be
    /// repeated, and the last value of a name counts.
    ///
    /// In `name=value`, a value that is valid JSON (`5`, `true`, `[1]`) has its JSON type, and any
    /// other is a string; `targetingKey` is always a string. In `name:=json`, the value must be valid
    /// JSON: `id:="5"` is a string. A dot in a name has no meaning: for `{"var": "user.name"}`, write
    /// `user:={"name": "ann"}`.
    #[arg(short, long = "context", value_name = "CONTEXT", value_parser = context::parse)]
    contexts: Vec<Fields>,
    /// Print one line of JSON: key, value, variant, reason, metadata, error.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    facts: FactsArgs,
    #[command(flatten)]
    connection: Connection,
}

/// What `--type` takes: OpenFeature's types of flags.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum Type {
    Bool,
    String,
    Int,
    Float,
    Object,
}

/// Evaluates the flag and prints the result.
///
/// If the file of `--file` cannot be read, the provider reports that it is not ready, as if
/// flagd were unreachable. That is [`Exit::No`] all the same: there is nothing to reach.
pub(crate) async fn run(args: Args) -> Exit {
    let options = match args.connection.options() {
        Ok(options) => options,
        Err(error) => return failed(Exit::Usage, &chain(&error)),
    };
    let facts = match args.facts.once() {
        Ok(facts) => facts,
        Err(error) => return failed(Exit::Usage, &error),
    };
    let from_file = options.resolver() == Resolver::File;
    let fields: Fields = args.contexts.into_iter().flatten().collect();
    if let Some(name) = context::misspelt(&fields) {
        output::complain(&format!("warning: field `{name}`: did you mean `targetingKey`?"));
    }
    let context = convert::to_context(fields);
    let mut provider = FlagdProvider::new(options);
    if let Some(facts) = facts {
        provider = provider.with_context_source(facts);
    }
    let mut initialized = provider.clone();
    initialized.initialize(&EvaluationContext::default()).await;
    let result = resolve(&provider, args.as_type, &args.key, &context).await;
    provider.shutdown().await;

    let report = Report { key: &args.key, result };
    let written = match (&report.result, args.json) {
        (_, true) => output::line(&report.json()),
        (Ok(_), false) => output::line(&report),
        (Err(_), false) => {
            output::complain(&report.to_string());
            Ok(())
        }
    };
    match written {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            failed(Exit::No, &format!("cannot write the result: {error}"))
        }
        _ if from_file && report.exit() == Exit::Unreachable => Exit::No,
        _ => report.exit(),
    }
}

/// The result of an evaluation, whatever the flag's type.
pub(crate) struct Resolution {
    /// Whole numbers are integers here, even those of flags that were evaluated as floats.
    pub(crate) value: Json,
    /// The name of the variant, if flagd says it.
    variant: Option<String>,
    /// OpenFeature's name, such as `STATIC`.
    reason: String,
    /// The metadata of the flag set and the flag.
    metadata: Map<String, Json>,
}

impl<T: Into<Json>> From<ResolutionDetails<T>> for Resolution {
    fn from(details: ResolutionDetails<T>) -> Self {
        Self {
            value: convert::plain(details.value.into()),
            variant: details.variant,
            reason: details.reason.unwrap_or_default().to_string(),
            metadata: details.flag_metadata.map(convert::from_metadata).unwrap_or_default(),
        }
    }
}

/// Evaluates the flag as a type; or, if none was given, as one type after the other until
/// it is not a type mismatch.
///
/// flagd has no call that evaluates a flag of any type. Integers need no attempt of their
/// own, because flagd has only one type of numbers, and arrays are evaluated as objects.
pub(crate) async fn resolve(
    provider: &FlagdProvider,
    as_type: Option<Type>,
    key: &str,
    context: &EvaluationContext,
) -> EvaluationResult<Resolution> {
    if let Some(as_type) = as_type {
        return resolve_as(provider, as_type, key, context).await;
    }
    for as_type in [Type::Bool, Type::String, Type::Float] {
        let resolution = resolve_as(provider, as_type, key, context).await;
        if !resolution.as_ref().is_err_and(|error| error.code == Code::TypeMismatch) {
            return resolution;
        }
    }
    resolve_as(provider, Type::Object, key, context).await
}

/// Evaluates the flag as a type.
async fn resolve_as(
    provider: &FlagdProvider,
    as_type: Type,
    key: &str,
    context: &EvaluationContext,
) -> EvaluationResult<Resolution> {
    Ok(match as_type {
        Type::Bool => provider.resolve_bool_value(key, context).await?.into(),
        Type::String => provider.resolve_string_value(key, context).await?.into(),
        Type::Int => provider.resolve_int_value(key, context).await?.into(),
        Type::Float => provider.resolve_float_value(key, context).await?.into(),
        // As JSON, because the SDK's values cannot represent null.
        Type::Object => provider.resolve_json(key, context).await?.into(),
    })
}

/// What is printed: [`fmt::Display`] is for people, [`Report::json`] for scripts.
struct Report<'a> {
    /// The key of the flag.
    key: &'a str,
    /// The result, or why there is none.
    result: Result<Resolution, EvaluationError>,
}

impl Report<'_> {
    /// The line of `--json`. It always has the same fields; those that do not apply are null
    /// or empty.
    fn json(&self) -> Json {
        match &self.result {
            Ok(Resolution { value, variant, reason, metadata }) => json!({
                "key": self.key, "value": value, "variant": variant, "reason": reason,
                "metadata": metadata, "error": null,
            }),
            Err(error) => json!({
                "key": self.key, "value": null, "variant": null, "reason": reason(error).to_string(),
                "metadata": {},
                "error": { "code": error.code.to_string(), "message": error.message },
            }),
        }
    }

    /// The exit code for a provider that uses flagd.
    fn exit(&self) -> Exit {
        match &self.result {
            Ok(_) => Exit::Success,
            Err(error) if error.code == Code::ProviderNotReady => Exit::Unreachable,
            Err(_) => Exit::No,
        }
    }
}

impl fmt::Display for Report<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.result {
            Ok(resolution) => {
                write!(f, "{} = {}\nreason: {}", self.key, resolution.value, resolution.reason)?;
                if let Some(variant) = &resolution.variant {
                    write!(f, "\nvariant: {variant}")?;
                }
                for (name, value) in &resolution.metadata {
                    write!(f, "\nmetadata {name}: {value}")?;
                }
                Ok(())
            }
            Err(error) => {
                let message = error.message.as_deref().unwrap_or("no reason was provided");
                write!(f, "{}: {message}", error.code)
            }
        }
    }
}
