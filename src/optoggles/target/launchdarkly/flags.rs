//! The target: creates, reads, writes and removes the flags of toggles.

use std::fmt;

use async_trait::async_trait;
use serde_json::Value;

use super::{
    account::{Account, Patched},
    error::FlagError,
    flag::{Environment, Flag, Variations},
    instructions,
    known::{Known, KnownFlags, nothing},
    merge::{Additions, List, merge},
    spec::Spec,
};
use crate::optoggles::target::toggle_target::{Held, Prepared, Removal, ToggleTarget};
use crate::optoggles::{
    failure::{Failure, FailureKind},
    toggle::Toggle,
    users::Users,
};

/// LaunchDarkly advises against more individual targets than this in one environment.
const MANY_TARGETS: usize = 10_000;

/// A LaunchDarkly account. A toggle is a boolean flag of the project `projKey` in its spec, whose
/// users are targeted individually in each of the `environments`.
///
/// Everybody else is served `false`. Rules of a flag are left alone, though they may serve `true` to
/// others: a warning says so.
pub struct LaunchDarklyTarget {
    pub(super) account: Account,
    pub(super) merges: Option<Additions>,
    pub(super) flags: KnownFlags,
}

impl fmt::Debug for LaunchDarklyTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let url = self.account.name();
        f.debug_struct("LaunchDarklyTarget").field("url", &url).finish_non_exhaustive()
    }
}

impl LaunchDarklyTarget {
    /// Notes what a flag holds.
    fn note(&self, key: &str, spec: &Spec, flag: &Flag) -> Result<Known, Failure> {
        let variations = flag.variations().ok_or_else(|| FlagError::Kind(key.to_owned()))?;
        let mut known = Known::new(variations);
        for name in &spec.environments {
            // One that the project does not have keeps none of the others from being written.
            if let Some(environment) = flag.environment(name) {
                let list = List { project: &spec.proj_key, flag: key, environment: name };
                let held = self.held(&list, &spec.context_kind, environment, &known.variations);
                known.environments.insert(name.clone(), held);
                if environment.has_rules() {
                    known.ruled.insert(name.clone());
                }
            }
        }
        self.flags.note(key, known.clone());
        Ok(known)
    }

    /// What is known of a flag, which is read if that is nothing.
    async fn known(&self, key: &str, spec: &Spec) -> Result<Known, Failure> {
        if let Some(known) = self.flags.get(key) {
            return Ok(known);
        }
        let flag = self.account.get(key, spec).await?;
        self.note(key, spec, &flag.ok_or_else(|| FlagError::Gone(key.to_owned()))?)
    }

    /// Notes what a flag holds that was created just now. If something is wrong with it, the first
    /// write finds out: that the flag was created here must not be forgotten.
    fn created(&self, key: &str, spec: &Spec, flag: &Flag) -> Held {
        let is_complete = spec.environments.iter().all(|name| flag.environment(name).is_some());
        let known = if is_complete { self.note(key, spec, flag).ok() } else { None };
        known.map_or_else(nothing, |known| known.folded(spec))
    }

    /// What one environment holds.
    fn held(
        &self,
        list: &List<'_>,
        kind: &str,
        environment: &Environment,
        variations: &Variations,
    ) -> Held {
        let users = environment.users(kind, variations);
        let in_force = environment.is_in_force(variations);
        match &self.merges {
            None => {
                let in_force = in_force && environment.is_only(kind, variations);
                Held::Users { everywhere: users.clone(), anywhere: users, in_force }
            }
            // Whoever is served `false` by hand counts as written: there is nothing to be done.
            Some(additions) => Held::Users {
                everywhere: users.with(&environment.barred(kind, variations)),
                anywhere: additions.get(list),
                in_force,
            },
        }
    }

    /// Makes these the users of one environment.
    async fn write_environment(
        &self,
        key: &str,
        spec: &Spec,
        name: &str,
        variations: &Variations,
        users: &Users,
    ) -> Result<(), Failure> {
        let kind = &*spec.context_kind;
        let Some(additions) = &self.merges else {
            warn_of_many(key, name, users);
            return self.apply(key, spec, name, &instructions::own(kind, variations, users)).await;
        };
        let gone = || FlagError::Gone(key.to_owned());
        let flag = self.account.get(key, spec).await?.ok_or_else(gone)?;
        let environment = flag.environment(name).ok_or_else(gone)?;
        let list = List { project: &spec.proj_key, flag: key, environment: name };
        let former = environment.users(kind, variations);
        let barred = environment.barred(kind, variations);
        let recorded = additions.get(&list);
        let merged = merge(users, &former, &recorded, &barred);
        if merged.list != former || !environment.is_in_force(variations) {
            // After a crash the record names them all, whether or not the patch was applied.
            additions.set(&list, &recorded.with(&merged.added)).await?;
            warn_of_many(key, name, &merged.list);
            let patch = instructions::merged(kind, variations, &merged.list, environment);
            self.apply(key, spec, name, &patch).await?;
        }
        additions.set(&list, &merged.added).await
    }

    /// Patches one environment, or asks for approval where LaunchDarkly wants that.
    async fn apply(
        &self,
        key: &str,
        spec: &Spec,
        environment: &str,
        patch: &[Value],
    ) -> Result<(), Failure> {
        if self.account.patch(key, spec, environment, patch).await? == Patched::Applied {
            return Ok(());
        }
        let state = self.account.request_approval(key, spec, environment, patch).await?;
        Err(FlagError::Approval(key.to_owned(), environment.to_owned(), state).into())
    }

    /// Updates the name of the flag if it is another. What a flag is called is not worth that its
    /// users stay as they are.
    async fn rename(&self, key: &str, spec: &Spec, flag: &Flag) -> Result<(), Failure> {
        let Some(name) = spec.name.as_deref().filter(|name| *name != flag.name) else {
            return Ok(());
        };
        match self.account.rename(key, spec, name).await {
            Err(failure) if failure.kind() == FailureKind::Permanent => {
                tracing::warn!(toggle = key, error = failure.line(), "cannot rename the flag");
                Ok(())
            }
            renamed => renamed,
        }
    }
}

fn warn_of_many(toggle: &str, environment: &str, users: &Users) {
    if users.len() > MANY_TARGETS {
        tracing::warn!(
            toggle,
            environment,
            users = users.len(),
            "LaunchDarkly advises against more than 10,000 individual targets in an environment"
        );
    }
}

/// Of two results, the one that is to be acted on first: what can pass is to be retried soon.
fn first(one: Result<(), Failure>, other: Result<(), Failure>) -> Result<(), Failure> {
    match one {
        Err(failure) if failure.kind() == FailureKind::Permanent && other.is_err() => other,
        one => one.and(other),
    }
}

#[async_trait]
impl ToggleTarget for LaunchDarklyTarget {
    async fn prepare(&self, toggle: &Toggle) -> Result<Prepared, Failure> {
        let (key, spec) = (&*toggle.key, Spec::of(toggle)?);
        let mut flag = self.account.get(key, &spec).await?;
        if flag.is_none() {
            if let Some(flag) = self.account.create(toggle, &spec).await? {
                return Ok(Prepared::created(self.created(key, &spec, &flag)));
            }
            // Somebody else was faster, or a lock is held.
            flag = self.account.get(key, &spec).await?;
        }
        let flag = flag.ok_or_else(|| FlagError::Taken(key.to_owned()))?;
        let known = self.note(key, &spec, &flag)?;
        self.rename(key, &spec, &flag).await?;
        Ok(Prepared { held: known.folded(&spec), created: flag.is_marked(toggle) })
    }

    async fn write(&self, toggle: &Toggle, users: &Users) -> Result<(), Failure> {
        let (key, spec) = (&*toggle.key, Spec::of(toggle)?);
        let known = self.known(key, &spec).await?;
        let mut result = Ok(());
        for name in &spec.environments {
            let written = match known.environments.get(name) {
                None => Err(FlagError::Environment(key.to_owned(), name.clone()).into()),
                Some(held) if held.is(users) => continue,
                Some(_) => self.write_environment(key, &spec, name, &known.variations, users).await,
            };
            if written.is_ok() {
                self.flags.wrote(key, name, users);
            }
            result = first(result, written);
        }
        if result.is_err() {
            // A request without a response may have taken effect: the flag is read before the retry.
            self.flags.forget(key);
        }
        result
    }

    async fn is_marked(&self, toggle: &Toggle) -> Result<bool, Failure> {
        let flag = self.account.get(&toggle.key, &Spec::of(toggle)?).await?;
        Ok(flag.is_some_and(|flag| flag.is_marked(toggle)))
    }

    async fn remove(&self, toggle: &Toggle, removal: Removal) -> Result<(), Failure> {
        let (key, spec) = (&*toggle.key, Spec::of(toggle)?);
        self.flags.forget(key);
        if removal == Removal::Delete {
            self.account.delete(key, &spec).await?;
            return match &self.merges {
                Some(additions) => additions.forget(key, &spec).await,
                None => Ok(()),
            };
        }
        let Some(flag) = self.account.get(key, &spec).await? else { return Ok(()) };
        let variations = flag.variations().ok_or_else(|| FlagError::Kind(key.to_owned()))?;
        let mut result = Ok(());
        for name in &spec.environments {
            if flag.environment(name).is_some_and(|found| !found.is_off(&variations)) {
                let patch = instructions::off(&variations);
                result = first(result, self.apply(key, &spec, name, &patch).await);
            }
        }
        result
    }

    async fn read(&self, toggle: &Toggle) -> Result<Held, Failure> {
        let (key, spec) = (&*toggle.key, Spec::of(toggle)?);
        let Some(flag) = self.account.get(key, &spec).await? else { return Ok(nothing()) };
        let known = self.note(key, &spec, &flag)?;
        match known.missing(&spec) {
            Some(name) => Err(FlagError::Environment(key.to_owned(), name.to_owned()).into()),
            None => Ok(known.folded(&spec)),
        }
    }

    fn validate(&self, toggle: &Toggle) -> Result<(), Failure> {
        Spec::of(toggle)?;
        Ok(())
    }

    async fn check(&self) -> Result<(), Failure> {
        self.account.check().await
    }
}
