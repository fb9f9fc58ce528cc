//! Where toggles get their users from: the trait [`PolicySource`], and its
//! implementations.
//!
//! | source | queries | notices changes |
//! |---|---|---|
//! | [`OpaSource`] | OPA | by polling |
//! | [`OpalSource`] | the OPA beside an OPAL client | by callbacks of the OPAL client |
//!
//! Both read rules with the same code, `Opa` in `opa.rs`, and differ in how they find
//! OPA and when they query it. Neither retries: the engine does.

mod callback_url;
mod opa;
mod opal;
mod policy_source;

pub(crate) use self::callback_url::CallbackUrl;
pub use self::{
    opa::{OpaSource, OpaSourceBuilder},
    opal::{OpalSource, OpalSourceBuilder},
    policy_source::{Answer, PolicySource},
};
