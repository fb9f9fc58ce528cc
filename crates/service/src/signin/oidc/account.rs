//! Which accounts may sign in.

use openidconnect::EndUserEmail;
use serde_json::{Map, Value};

use crate::signin::options::Claim;

/// What decides whether an account may sign in.
#[derive(Default)]
pub(super) struct Account {
    /// The e-mail address, if it is verified.
    pub(super) email: Option<String>,
    claims: Map<String, Value>,
}

impl Account {
    pub(super) fn new(
        email: Option<&EndUserEmail>,
        verified: Option<bool>,
        claims: &Map<String, Value>,
    ) -> Self {
        let email = email.filter(|_| verified == Some(true)).map(|it| it.to_string());
        Self { email, claims: claims.clone() }
    }

    /// Adds what is missing.
    pub(super) fn add(&mut self, more: Self) {
        self.email = self.email.take().or(more.email);
        for (name, value) in more.claims {
            self.claims.entry(name).or_insert(value);
        }
    }
}

/// Which accounts may sign in.
pub(super) struct Limit {
    pub(super) domains: Vec<String>,
    pub(super) claim: Option<Claim>,
    /// Whether an account belongs to an organization only if the claim `hd` says so: Google also
    /// verifies addresses that people have elsewhere.
    pub(super) demands_hd: bool,
}

impl Limit {
    /// Whether an account has nothing that decides yet.
    pub(super) fn needs_more(&self, account: &Account) -> bool {
        let has_claim = |claim: &Claim| account.claims.contains_key(&claim.name);
        account.email.is_none() || !self.claim.as_ref().is_none_or(has_claim)
    }

    /// Whether an account may sign in.
    pub(super) fn allows(&self, account: &Account) -> bool {
        self.allows_domain(account) || self.claim.as_ref().is_some_and(|it| accepts(it, account))
    }

    fn allows_domain(&self, account: &Account) -> bool {
        let is_ours = |domain: &str| self.domains.iter().any(|it| it.eq_ignore_ascii_case(domain));
        let organization = match account.claims.get("hd") {
            Some(hd) => hd.as_str().is_some_and(is_ours),
            None => !self.demands_hd,
        };
        let domain = account.email.as_deref().and_then(|it| it.rsplit_once('@'));
        organization && domain.is_some_and(|it| is_ours(it.1))
    }
}

/// Whether the claim of an account has one of the values.
fn accepts(claim: &Claim, account: &Account) -> bool {
    let accepted =
        |it: &Value| it.as_str().is_some_and(|it| claim.values.iter().any(|value| value == it));
    match account.claims.get(&claim.name) {
        Some(Value::Array(values)) => values.iter().any(accepted),
        Some(value) => accepted(value),
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn account(email: &str, claims: Value) -> Account {
        let Value::Object(claims) = claims else { panic!("no object") };
        Account::new(Some(&EndUserEmail::new(email.to_owned())), Some(true), &claims)
    }

    #[test]
    fn an_account_of_google_belongs_to_whom_the_claim_hd_names() {
        let domains = vec!["example.com".to_owned()];
        let google = Limit { domains: domains.clone(), claim: None, demands_hd: true };
        let other = Limit { domains, claim: None, demands_hd: false };
        let with = account("anna@example.com", json!({"hd": "Example.com"}));
        // Somebody verified an address that they no longer have.
        let without = account("anna@example.com", json!({}));
        let elsewhere = account("anna@example.com", json!({"hd": "example.org"}));
        let expected = [(&with, true, true), (&without, false, true), (&elsewhere, false, false)];
        for (account, by_google, by_other) in expected {
            assert_eq!(google.allows(account), by_google);
            assert_eq!(other.allows(account), by_other);
        }
    }

    #[test]
    fn a_claim_is_a_string_or_an_array_of_strings() {
        let claim = Claim { name: "groups".to_owned(), values: vec!["ops".to_owned()] };
        let limit = Limit { domains: Vec::new(), claim: Some(claim), demands_hd: false };
        for (value, expected) in [
            (json!("ops"), true),
            (json!(["dev", "ops"]), true),
            (json!("dev ops"), false),
            (json!(["OPS", "dev"]), false),
            (json!([["ops"]]), false),
            (json!({"ops": true}), false),
            (json!(null), false),
        ] {
            let account = account("anna@example.com", json!({"groups": value}));
            assert_eq!(limit.allows(&account), expected, "{value}");
        }
    }
}
