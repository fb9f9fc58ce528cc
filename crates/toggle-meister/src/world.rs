//! Everything that an evaluation needs, in memory.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use service::storage::{Sql, StorageError};

use crate::{
    model::{
        change::Changed,
        employee::{self, Employee},
        environment,
        feature::{self, Feature},
        toggle,
    },
    toggle::{State, Toggle},
};

/// The features, environments, toggles and employees.
#[derive(Debug, Default)]
pub struct World {
    /// The features by name, also those that were deleted softly.
    pub features: BTreeMap<String, Known>,
    /// The environments.
    pub environments: BTreeSet<String>,
    /// The employees who have signed in, by the number of the person.
    pub employees: HashMap<i64, Employee>,
}

/// A feature with its toggles.
#[derive(Debug)]
pub struct Known {
    /// The feature.
    pub feature: Feature,
    /// The toggles that are not off, by environment.
    pub toggles: BTreeMap<String, Held>,
}

/// A toggle with what belongs to it.
#[derive(Debug)]
pub struct Held {
    /// The toggle.
    pub toggle: Toggle,
    /// The ids that have the feature whatever their hash says.
    pub enrolled: Vec<String>,
    /// What the flag that is served says.
    pub served: (State, u8),
}

/// What was read from the database, to be put into the world.
pub struct Read {
    /// Which features: those that were asked for, or all of them.
    pub of: Option<BTreeSet<String>>,
    /// The environments that were created or deleted.
    changed: BTreeSet<String>,
    features: Vec<Feature>,
    toggles: Vec<toggle::Placed>,
    enrolments: Vec<toggle::Enrolment>,
    environments: Vec<String>,
    employees: Option<Vec<Employee>>,
}

impl Read {
    /// Reads everything.
    ///
    /// # Errors
    ///
    /// The database fails.
    pub fn all(sql: &mut Sql<'_>) -> Result<Self, StorageError> {
        Ok(Self {
            of: None,
            changed: BTreeSet::new(),
            features: feature::list(sql)?,
            toggles: toggle::list(sql, None)?,
            enrolments: toggle::enrolments(sql, None)?,
            environments: environment::list(sql)?,
            employees: Some(employee::list(sql)?),
        })
    }

    /// Reads what has changed.
    ///
    /// # Errors
    ///
    /// The database fails.
    pub fn changed<'a>(
        sql: &mut Sql<'_>,
        changes: impl IntoIterator<Item = &'a Changed>,
    ) -> Result<Self, StorageError> {
        let (mut of, mut environments, mut has_employees) =
            (BTreeSet::new(), BTreeSet::new(), false);
        for changed in changes {
            match changed {
                Changed::Feature(name) => {
                    of.insert(name.clone());
                }
                Changed::Environment(name) => {
                    environments.insert(name.clone());
                }
                Changed::Employees => has_employees = true,
            }
        }
        let mut read = Self {
            of: None,
            changed: environments,
            features: Vec::new(),
            toggles: Vec::new(),
            enrolments: Vec::new(),
            environments: environment::list(sql)?,
            employees: if has_employees { Some(employee::list(sql)?) } else { None },
        };
        for name in &of {
            read.features.extend(feature::get(sql, name)?);
            read.toggles.extend(toggle::list(sql, Some(name))?);
            read.enrolments.extend(toggle::enrolments(sql, Some(name))?);
        }
        for name in &read.changed {
            read.toggles.extend(toggle::in_environment(sql, name)?);
            read.enrolments.extend(toggle::enrolments_in(sql, name)?);
        }
        // What was read twice is in its place once.
        read.enrolments.sort_unstable();
        read.enrolments.dedup();
        read.of = Some(of);
        Ok(read)
    }
}

impl World {
    /// Takes in what was read, and returns the environments that are gone and those that are
    /// new. The flags that it concerns are to be made for the same time.
    pub fn take(&mut self, read: Read, now: i64) -> (Vec<String>, Vec<String>) {
        match &read.of {
            None => self.features.clear(),
            Some(of) => self.features.retain(|name, _| !of.contains(name)),
        }
        // One that was deleted and created again is new, and the toggles that it had are gone.
        for env in &read.changed {
            for known in self.features.values_mut() {
                known.toggles.remove(env);
            }
        }
        for feature in read.features {
            let known = Known { feature, toggles: BTreeMap::new() };
            self.features.insert(known.feature.name.clone(), known);
        }
        for toggle::Placed { feature, env, toggle } in read.toggles {
            if let Some(known) = self.features.get_mut(&feature) {
                let served = served(toggle, now);
                known.toggles.insert(env, Held { toggle, enrolled: Vec::new(), served });
            }
        }
        for toggle::Enrolment { feature, env, id } in read.enrolments {
            let held = self.features.get_mut(&feature).and_then(|it| it.toggles.get_mut(&env));
            if let Some(held) = held {
                held.enrolled.push(id);
            }
        }
        if let Some(employees) = read.employees {
            let signed_in = employees.into_iter().filter_map(|it| Some((it.person?, it)));
            self.employees = signed_in.collect();
        }
        let all: BTreeSet<String> = read.environments.into_iter().collect();
        let gone: Vec<String> = self.environments.difference(&all).cloned().collect();
        let is_new =
            |env: &&String| !self.environments.contains(*env) || read.changed.contains(*env);
        let new = all.iter().filter(is_new).cloned().collect();
        for env in &gone {
            for known in self.features.values_mut() {
                known.toggles.remove(env);
            }
        }
        self.environments = all;
        (gone, new)
    }

    /// The toggle of a feature in an environment.
    #[must_use]
    pub fn toggle(&self, feature: &str, env: &str) -> Toggle {
        let held = self.features.get(feature).and_then(|it| it.toggles.get(env));
        held.map_or(Toggle::Off, |it| it.toggle)
    }

    /// Notes that the flags of these toggles are made for a time.
    pub fn note_served(&mut self, stepped: &[(String, String)], now: i64) {
        for (feature, env) in stepped {
            let held = self.features.get_mut(feature).and_then(|it| it.toggles.get_mut(env));
            if let Some(held) = held {
                held.served = served(held.toggle, now);
            }
        }
    }

    /// When a toggle next becomes something else by itself.
    #[must_use]
    pub fn next(&self, now: i64) -> Option<i64> {
        let held = self.features.values().flat_map(|it| it.toggles.values());
        held.filter_map(|it| it.toggle.next(now)).min()
    }

    /// The features and environments whose toggles have become something else than what is
    /// served.
    #[must_use]
    pub fn stepped(&self, now: i64) -> Vec<(String, String)> {
        let mut stepped = Vec::new();
        for (feature, known) in &self.features {
            for (env, held) in &known.toggles {
                if held.served != served(held.toggle, now) {
                    stepped.push((feature.clone(), env.clone()));
                }
            }
        }
        stepped
    }
}

/// What the flag of a toggle says at a time.
fn served(toggle: Toggle, now: i64) -> (State, u8) {
    (toggle.at(now).state(), toggle.percent(now))
}
