//! The provider under test, its events, and its results.

use std::{future::Future, time::Duration};

use flagstaff::{
    FlagdOptions, FlagdProvider, ProviderEvent, State,
    flagd::{ChangedFlags, Events, FlagdOptionsBuilder},
};
use open_feature::{
    EvaluationContext, EvaluationError, EvaluationReason, EvaluationResult, FlagMetadata, Value,
    provider::{FeatureProvider, ResolutionDetails},
};
use serde_json::{Value as Json, json};
use tokio::time::timeout;

use crate::{
    support::{
        flagd::FlagdProcess,
        wait::{PATIENCE, becomes_true, bounded},
    },
    trial::until_no_task,
};

/// Options that reconnect soon, have a long grace period, and do not time out on a busy machine.
pub(crate) fn options() -> FlagdOptionsBuilder {
    FlagdOptions::builder()
        .host("127.0.0.1")
        .deadline(Duration::from_secs(4))
        .retry_backoff(Duration::from_millis(50))
        .retry_backoff_max(Duration::from_millis(200))
        .max_event_stream_retries(None::<u32>)
        .retry_grace_period(Duration::from_secs(60))
}

/// The options for this flagd.
pub(crate) fn options_for(flagd: &FlagdProcess) -> FlagdOptionsBuilder {
    options().port(flagd.port())
}

/// A string flag with this value for everybody.
pub(crate) fn plain(value: &str) -> Json {
    json!({ "state": "ENABLED", "variants": { "v": value }, "defaultVariant": "v" })
}

/// A definition with one such flag, `flag`.
pub(crate) fn flags(value: &str) -> Json {
    json!({ "flags": { "flag": plain(value) } })
}

/// An initialized provider and its events from the beginning.
pub(crate) struct Subject {
    pub(crate) provider: FlagdProvider,
    events: Events,
}

impl Subject {
    /// Initializes a provider, whether or not it becomes ready.
    pub(crate) async fn start(options: FlagdOptionsBuilder) -> Self {
        let provider = FlagdProvider::new(options.build_with_env(|_| None).unwrap());
        let events = provider.events();
        let mut subject = Self { provider, events };
        subject.initialize().await;
        subject
    }

    /// Initializes the provider, again after a shutdown.
    pub(crate) async fn initialize(&mut self) {
        let context = EvaluationContext::default();
        bounded("initialization", self.provider.initialize(&context)).await;
    }

    /// Initializes a provider, which becomes ready.
    pub(crate) async fn ready(options: FlagdOptionsBuilder) -> Self {
        let mut subject = Self::start(options).await;
        assert_eq!(subject.provider.state(), State::Ready);
        assert_eq!(subject.event().await, ProviderEvent::Ready);
        subject
    }

    pub(crate) fn state(&self) -> State {
        self.provider.state()
    }

    /// The next event.
    pub(crate) async fn event(&mut self) -> ProviderEvent {
        self.event_within(PATIENCE).await
    }

    pub(crate) async fn event_within(&mut self, patience: Duration) -> ProviderEvent {
        let event = timeout(patience, self.events.next()).await;
        event.unwrap_or_else(|_| panic!("waited {patience:?} for an event")).unwrap()
    }

    /// The next event that is not a change of flags.
    pub(crate) async fn state_event(&mut self) -> ProviderEvent {
        loop {
            match self.event().await {
                ProviderEvent::ConfigurationChanged(_) => {}
                event => return event,
            }
        }
    }

    /// The next event, which is a change of flags.
    pub(crate) async fn change(&mut self) -> ChangedFlags {
        match self.event().await {
            ProviderEvent::ConfigurationChanged(flags) => flags,
            event => panic!("{event:?} is not a change of flags"),
        }
    }

    /// Events that have arrived already.
    pub(crate) async fn events_so_far(&mut self) -> Vec<ProviderEvent> {
        let mut events = Vec::new();
        while let Ok(Some(event)) = timeout(Duration::from_millis(1), self.events.next()).await {
            events.push(event);
        }
        events
    }

    /// Waits for READY, which follows a loss; after that all flags may have changed.
    pub(crate) async fn recovered(&mut self) {
        assert_eq!(self.state_event().await, ProviderEvent::Ready);
        assert_eq!(self.change().await, ChangedFlags::All);
        assert_eq!(self.state(), State::Ready);
    }

    /// Waits for an ERROR that is not fatal; returns its message.
    pub(crate) async fn error(&mut self) -> String {
        match self.state_event().await {
            ProviderEvent::Error { message, fatal: false } => message,
            event => panic!("{event:?} is not a recoverable error"),
        }
    }

    /// Kills flagd, and waits for STALE.
    pub(crate) async fn loses(&mut self, flagd: &mut FlagdProcess) {
        flagd.kill();
        assert_eq!(self.event().await, ProviderEvent::Stale);
    }

    /// Restarts flagd with this value of `flag`, and waits for the recovery and the value.
    pub(crate) async fn returns(&mut self, flagd: &mut FlagdProcess, value: &str) {
        flagd.write_flags(&flags(value));
        flagd.spawn();
        self.recovered().await;
        self.until("flag", value).await;
    }

    /// The value of a string flag, and the reason.
    pub(crate) async fn text(&self, key: &str) -> EvaluationResult<(String, EvaluationReason)> {
        text(&self.provider, key).await
    }

    /// Evaluates twice, so that the second result comes from the cache.
    pub(crate) async fn cache(&self, key: &str, value: &str) {
        self.until(key, value).await;
        assert_eq!(self.text(key).await.unwrap(), (value.to_owned(), EvaluationReason::Cached));
    }

    /// Waits until a flag has this value; meanwhile it may be missing, as after a restart, when
    /// flagd is ready before its flags are.
    pub(crate) async fn until(&self, key: &str, value: &str) {
        becomes_true(&format!("`{key}` to be `{value}`"), async || {
            self.text(key).await.is_ok_and(|(now, _)| now == value)
        })
        .await;
    }

    /// Shuts down: no task is left, although there are handles.
    pub(crate) async fn shut_down(mut self) {
        bounded("shutdown", self.provider.shutdown()).await;
        assert_eq!(self.state(), State::NotReady);
        assert_eq!(self.provider.stats().cache_entries, 0);
        while bounded("the end of the events", self.events.next()).await.is_some() {}
        until_no_task("the shutdown").await;
    }
}

/// Leaves providers in each of these states, by a shutdown and by dropping the last handle: no task
/// is left.
pub(crate) async fn nothing_is_left(
    flagd: &mut FlagdProcess,
    options: impl Fn(&FlagdProcess) -> FlagdOptionsBuilder,
    states: &[State],
) {
    for shut_down in [true, false] {
        for &state in states {
            let grace = Duration::from_secs(if state == State::Error { 0 } else { 60 });
            let subject = Subject::ready(options(flagd).retry_grace_period(grace)).await;
            subject.until("flag", "on").await;
            match state {
                State::Ready => {}
                State::NotReady => subject.provider.shutdown().await,
                _ => flagd.kill(),
            }
            becomes_true(&format!("{state:?}"), async || subject.state() == state).await;
            if shut_down {
                subject.shut_down().await;
            } else {
                drop(subject);
            }
            until_no_task(&format!("{state:?} was left, shut down: {shut_down}")).await;
            if matches!(state, State::Stale | State::Error) {
                flagd.restart().await.unwrap();
            }
        }
    }
}

/// The value of a string flag, and the reason.
pub(crate) async fn text(
    provider: &FlagdProvider,
    key: &str,
) -> EvaluationResult<(String, EvaluationReason)> {
    let details = provider.resolve_string_value(key, &EvaluationContext::default()).await?;
    Ok((details.value, details.reason.unwrap()))
}

/// The requested type.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Type {
    Bool,
    Int,
    Float,
    Text,
    Object,
}

impl Type {
    pub(crate) const ALL: [Self; 5] =
        [Self::Bool, Self::Int, Self::Float, Self::Text, Self::Object];
}

/// A result of any type.
#[derive(Debug, PartialEq)]
pub(crate) struct Answer {
    pub(crate) value: Value,
    pub(crate) variant: Option<String>,
    pub(crate) reason: Option<EvaluationReason>,
    pub(crate) metadata: Option<FlagMetadata>,
}

/// Evaluates a flag as a value of a type.
pub(crate) async fn ask(
    provider: &FlagdProvider,
    as_type: Type,
    key: &str,
    context: &EvaluationContext,
) -> Result<Answer, EvaluationError> {
    fn answer<T: Into<Value>>(details: ResolutionDetails<T>) -> Answer {
        Answer {
            value: details.value.into(),
            variant: details.variant,
            reason: details.reason,
            metadata: details.flag_metadata,
        }
    }
    async fn asked<T: Into<Value>>(
        resolved: impl Future<Output = EvaluationResult<ResolutionDetails<T>>>,
    ) -> Result<Answer, EvaluationError> {
        Ok(answer(bounded("an evaluation", resolved).await?))
    }
    match as_type {
        Type::Bool => asked(provider.resolve_bool_value(key, context)).await,
        Type::Int => asked(provider.resolve_int_value(key, context)).await,
        Type::Float => asked(provider.resolve_float_value(key, context)).await,
        Type::Text => asked(provider.resolve_string_value(key, context)).await,
        Type::Object => asked(provider.resolve_struct_value(key, context)).await,
    }
}
