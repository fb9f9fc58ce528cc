//! Evaluation in this process: the rules in force, and what an evaluation by them gives.

use std::sync::{Arc, Mutex as SyncMutex};

use arc_swap::ArcSwapOption;
use open_feature::{
    EvaluationContext, EvaluationErrorCode, EvaluationReason, EvaluationResult,
    provider::ResolutionDetails,
};
use serde_json::{Map, Value as Json};
use tokio::sync::Mutex;

use crate::{
    evaluator::{ErrorCode, FlagSet, Outcome, Reason},
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

/// Flags, and the sync context that their rules may read.
#[derive(Debug, Default)]
pub(crate) struct Rules {
    pub(crate) flags: FlagSet,
    pub(crate) sync_context: Map<String, Json>,
}

/// Where the definitions come from, and what has become of them.
pub(crate) struct Local {
    /// The rules to evaluate by. None before the first, and when the provider is shut down.
    pub(crate) in_force: ArcSwapOption<Rules>,
    pub(crate) origin: Origin,
    pub(crate) warned: SyncMutex<Warned>,
}

pub(crate) enum Origin {
    /// Made of the options, anew for each initialization.
    Options,
    /// The program's own.
    Custom(Arc<Mutex<Custom>>),
}

/// A source that is pulled by one initialization after the other.
pub(crate) struct Custom {
    pub(crate) source: Box<dyn FlagSource>,
    /// What the source gave last, if it will not give it again.
    pub(crate) last: Option<Given>,
}

pub(crate) enum Given {
    Definition(Arc<Definition>),
    /// What has become of it: rules, or a message.
    Compiled(Result<Arc<Rules>, String>),
}

impl Local {
    /// What these options ask for, if they do not ask for RPC.
    pub(crate) fn of_options(options: &FlagdOptions) -> Option<Arc<Self>> {
        (options.resolver() != Resolver::Rpc).then(|| Self::new(Origin::Options))
    }

    pub(crate) fn of_source(source: impl FlagSource) -> Arc<Self> {
        let custom = Custom { source: Box::new(source), last: None };
        Self::new(Origin::Custom(Arc::new(Mutex::new(custom))))
    }

    fn new(origin: Origin) -> Arc<Self> {
        let in_force = ArcSwapOption::empty();
        Arc::new(Self { in_force, origin, warned: SyncMutex::default() })
    }

    /// Evaluations are refused until there are rules again.
    pub(crate) fn clear(&self) {
        self.in_force.store(None);
    }

    /// Never waits: an update is swapped in when it is complete.
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
        match context.refused() {
            Some(error) => Err(error.clone()),
            None => details(&outcome, flag_key),
        }
    }
}

/// The source that the options ask for.
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

/// What the SDK gets for an outcome.
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
        // As over the wire, a name that is empty is none.
        variant: outcome.variant.filter(|name| !name.is_empty()).map(str::to_owned),
        reason: Some(reason(outcome.reason)),
        flag_metadata: (!metadata.values.is_empty()).then_some(metadata),
    })
}

fn reason(reason: Reason) -> EvaluationReason {
    match reason {
        Reason::Static => EvaluationReason::Static,
        Reason::TargetingMatch => EvaluationReason::TargetingMatch,
        Reason::Default => EvaluationReason::Default,
        Reason::Disabled => EvaluationReason::Disabled,
        Reason::Error => EvaluationReason::Error,
    }
}

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
