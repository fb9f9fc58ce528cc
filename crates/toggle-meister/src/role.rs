//! Roles and what they may do: one table.

use crate::model::PRODUCTION;

/// A role. One that is listed earlier may do more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    /// `admin`
    Admin,
    /// `qa`
    Qa,
    /// `dev`
    Dev,
    /// `read_only`
    ReadOnly,
}

impl Role {
    /// All roles.
    pub const ALL: [Self; 4] = [Self::Admin, Self::Qa, Self::Dev, Self::ReadOnly];

    /// Its name in the API.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Admin => "admin",
            Self::Qa => "qa",
            Self::Dev => "dev",
            Self::ReadOnly => "read_only",
        }
    }

    /// Its number in the original, which answers with it in one place.
    #[must_use]
    pub fn number(self) -> i64 {
        self as i64 + 1
    }

    /// The role with a name.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|it| it.name() == name)
    }

    /// Whether the role may do something, where `production` is the role with the least rights that
    /// may switch toggles in production.
    #[must_use]
    pub fn may(self, action: Action, production: Self) -> bool {
        self <= action.least(production)
    }
}

/// Something that not every role may do. Everybody who is signed in may read everything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Change a toggle in production, or delete a feature that is not off there.
    ToggleProduction,
    /// Change a toggle elsewhere.
    Toggle,
    /// Create an environment.
    CreateEnvironment,
    /// Delete an environment.
    DeleteEnvironment,
    /// Create a feature.
    CreateFeature,
    /// Delete a feature softly: programs get the same results as before for 14 days.
    DeleteFeature,
    /// Delete a feature for good.
    HardDeleteFeature,
    /// Write release notes.
    ManageReleaseNotes,
    /// Manage tokens for machines.
    ManageTokens,
}

impl Action {
    /// Changing a toggle of an environment.
    #[must_use]
    pub fn toggle(env: &str) -> Self {
        if env == PRODUCTION { Self::ToggleProduction } else { Self::Toggle }
    }

    /// All actions.
    pub const ALL: [Self; 9] = [
        Self::ToggleProduction,
        Self::Toggle,
        Self::CreateEnvironment,
        Self::DeleteEnvironment,
        Self::CreateFeature,
        Self::DeleteFeature,
        Self::HardDeleteFeature,
        Self::ManageReleaseNotes,
        Self::ManageTokens,
    ];

    /// Its name, as the original has it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::ToggleProduction => "toggle_prod",
            Self::Toggle => "toggle",
            Self::CreateEnvironment => "create_env",
            Self::DeleteEnvironment => "delete_env",
            Self::CreateFeature => "create_feature",
            Self::DeleteFeature => "delete_feature",
            Self::HardDeleteFeature => "hard_delete_feature",
            Self::ManageReleaseNotes => "manage_release_notes",
            Self::ManageTokens => "manage_tokens",
        }
    }

    /// The role with the least rights that may do it. The original declares `toggle_prod` and never
    /// checks it; here it is an option.
    fn least(self, production: Role) -> Role {
        match self {
            Self::ToggleProduction => production,
            Self::Toggle | Self::CreateFeature | Self::DeleteFeature | Self::ManageReleaseNotes => {
                Role::Dev
            }
            Self::CreateEnvironment
            | Self::DeleteEnvironment
            | Self::HardDeleteFeature
            | Self::ManageTokens => Role::Admin,
        }
    }
}
