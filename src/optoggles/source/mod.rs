//! Where toggles get their users from: [`PolicySource`], and its kinds.

mod opa;
mod opal;
mod policy_source;

pub use self::{
    opa::{OpaSource, OpaSourceBuilder},
    opal::{OpalSource, OpalSourceBuilder},
    policy_source::{Answer, PolicySource},
};
