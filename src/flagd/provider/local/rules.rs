//! The rules in force, and evaluation by them.
//!
//! A definition goes through these stages. Up to the swap they are the work of the
//! [supervisor](super::supervisor), in the background; the rest is an evaluation:
//!
//! ```text
//! FlagSource::next -> Definition (text) -> FlagSet (compiled) + sync context
//!     = Rules -> Local::in_force (swapped) -> Outcome -> ResolutionDetails
//! ```
//!
//! The evaluator knows neither the SDK nor its types. This module translates its
//! [`Outcome`] to what the resolver `rpc` returns for the same flag: same reasons,
//! same error codes, and a disabled flag or one without a default variant as an
//! error that [`reason`](crate::reason) recognizes.

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex as SyncMutex, OnceLock},
};

use arc_swap::ArcSwapOption;
use open_feature::{
    EvaluationContext, EvaluationErrorCode, EvaluationReason, EvaluationResult,
    provider::ResolutionDetails,
};
use serde_json::{Map, Value as Json};
use tokio::sync::Mutex;

use crate::{
    context_change::ChangedFields,
    evaluator::{ErrorCode, FlagSet, Outcome, Reason, readers::Readers},
    excerpt::excerpt,
    flagd::{
        convert::{self, local::LocalContext},
        evaluation_error as error,
        options::{kind::Resolver, table::FlagdOptions},
        provider::{lifecycle::State, shared::Shared},
        sync::SyncSource,
        value_type::{FlagType, Unfit},
    },
    source::{Definition, FileSource, FlagSource, warned::Warned},
};

/// Compiled flags, and the sync context that their rules may read. They arrive
/// together and are replaced together.
#[derive(Debug, Default)]
pub(crate) struct Rules {
    pub(crate) flags: FlagSet,
    /// What the context enricher made of the sync context. It overrides the
    /// fields of the caller.
    pub(crate) sync_context: Map<String, Json>,
    /// Which flags read which fields, once a context source reports a change.
    readers: OnceLock<Readers>,
}

impl Rules {
    pub(crate) fn new(flags: FlagSet, sync_context: Map<String, Json>) -> Self {
        Self { flags, sync_context, readers: OnceLock::new() }
    }

    /// The keys of the flags whose rules read one of these fields.
    pub(crate) fn readers(&self, fields: &ChangedFields) -> BTreeSet<&Arc<str>> {
        self.readers.get_or_init(|| self.flags.readers()).of(fields.names())
    }
}

/// Evaluation in this process: where definitions come from, and the rules in
/// force.
pub(crate) struct Local {
    /// The last valid configuration. `None` before the first valid definition and
    /// after a shutdown.
    pub(crate) in_force: ArcSwapOption<Rules>,
    pub(crate) origin: Origin,
    /// The warnings that were logged, to log each of them once.
    pub(crate) warned: SyncMutex<Warned>,
}

/// Which source a provider pulls.
pub(crate) enum Origin {
    /// The source that the options describe, created for each initialization.
    Options,
    /// The program's own, which exists once. The lock passes it from one task to
    /// the next.
    Custom(Arc<Mutex<Custom>>),
}

/// A source that one initialization after the other pulls.
pub(crate) struct Custom {
    pub(crate) source: Box<dyn FlagSource>,
    /// The definition that the source delivered last, because it will not deliver
    /// it again. `None` before the first, and after an error, when the source
    /// delivers its current definition.
    pub(crate) last: Option<Delivered>,
}

/// A definition that a source delivered, before or after it was compiled.
pub(crate) enum Delivered {
    /// Not compiled yet. A shutdown in the meantime leaves it to the next task.
    Definition(Arc<Definition>),
    /// Compiled to rules, or invalid, with the message.
    Compiled(Result<Arc<Rules>, String>),
}

impl Local {
    /// Evaluation as the options describe it; `None` with the resolver `rpc`.
    pub(crate) fn of_options(options: &FlagdOptions) -> Option<Arc<Self>> {
        (options.resolver() != Resolver::Rpc).then(|| Self::new(Origin::Options))
    }

    /// Evaluation with the definitions of the program's own source.
    pub(crate) fn of_source(source: impl FlagSource) -> Arc<Self> {
        let custom = Custom { source: Box::new(source), last: None };
        Self::new(Origin::Custom(Arc::new(Mutex::new(custom))))
    }

    fn new(origin: Origin) -> Arc<Self> {
        let in_force = ArcSwapOption::empty();
        Arc::new(Self { in_force, origin, warned: SyncMutex::default() })
    }

    /// Removes the rules. Evaluations fail with `PROVIDER_NOT_READY` until there
    /// are rules again.
    pub(crate) fn clear(&self) {
        self.in_force.store(None);
    }

    /// Evaluates a flag. It takes no lock and never waits for an update.
    ///
    /// The fields of the caller, of a context source (`added`) and of the sync
    /// context are layered, the later ones over the earlier ones.
    ///
    /// # Errors
    ///
    /// `PROVIDER_NOT_READY` if there are no rules; an error of the context if a
    /// rule reads a value that JSON cannot hold; otherwise the error of the
    /// evaluation.
    pub(crate) fn evaluate<T: FlagType>(
        &self,
        shared: &Shared,
        flag_key: &str,
        context: &EvaluationContext,
        added: Option<&Map<String, Json>>,
    ) -> EvaluationResult<ResolutionDetails<T>> {
        let rules = self.in_force.load();
        let Some(rules) = &*rules else {
            let snapshot = shared.snapshot();
            let fatal = if snapshot.state == State::Fatal { "fatal: " } else { "" };
            return Err(error::not_ready(format!("{fatal}{}", snapshot.message())));
        };
        let mut context = LocalContext::new(context).with_sync_context(&rules.sync_context);
        if let Some(added) = added {
            context = context.with_fields(added);
        }
        let outcome = rules.flags.evaluate(flag_key, &context);
        match context.rejected() {
            Some(error) => Err(error.clone()),
            None => details(&outcome, flag_key),
        }
    }
}

/// Creates the source that the options describe: the file, or flagd's sync
/// service.
pub(crate) fn source(
    options: &FlagdOptions,
) -> Result<Box<dyn FlagSource>, crate::flagd::error::FlagdError> {
    match options.offline_flag_source_path() {
        Some(path) if options.resolver() == Resolver::File => {
            Ok(Box::new(FileSource::new(path, options.offline_poll_interval())))
        }
        _ => Ok(Box::new(SyncSource::new(options.clone())?)),
    }
}

/// Converts an outcome to what the SDK receives.
fn details<T: FlagType>(
    outcome: &Outcome<'_>,
    flag_key: &str,
) -> EvaluationResult<ResolutionDetails<T>> {
    let value = match T::from_outcome(outcome) {
        Ok(Some(value)) => value,
        Ok(None) if outcome.reason == Reason::Disabled => return Err(error::disabled(flag_key)),
        Ok(None) => return Err(error::no_default_variant(flag_key)),
        Err(Unfit::Error(code)) => return Err(failure(code, flag_key)),
        Err(Unfit::Null(null)) => return Err(error::null_in_list(flag_key, &null)),
    };
    let metadata = convert::json_to_metadata(outcome.metadata);
    Ok(ResolutionDetails {
        value,
        // As over gRPC, an empty name means that there is no variant.
        variant: outcome.variant.filter(|name| !name.is_empty()).map(str::to_owned),
        reason: Some(reason(outcome.reason)),
        flag_metadata: (!metadata.values.is_empty()).then_some(metadata),
    })
}

/// The SDK's name of a reason.
fn reason(reason: Reason) -> EvaluationReason {
    match reason {
        Reason::Static => EvaluationReason::Static,
        Reason::TargetingMatch => EvaluationReason::TargetingMatch,
        Reason::Default => EvaluationReason::Default,
        Reason::Disabled => EvaluationReason::Disabled,
        Reason::Error => EvaluationReason::Error,
    }
}

/// The SDK's error for an error code of the evaluator.
fn failure(code: ErrorCode, flag_key: &str) -> open_feature::EvaluationError {
    let message = format!("flag `{}`: {code}", excerpt(flag_key));
    let code = match code {
        ErrorCode::FlagNotFound => EvaluationErrorCode::FlagNotFound,
        ErrorCode::ParseError => EvaluationErrorCode::ParseError,
        ErrorCode::TypeMismatch => EvaluationErrorCode::TypeMismatch,
        ErrorCode::General => EvaluationErrorCode::General("GENERAL".to_owned()),
    };
    error::evaluation_error(code, message)
}
