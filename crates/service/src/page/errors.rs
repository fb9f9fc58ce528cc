//! What is wrong with the fields of a form.

use super::sentence;
use crate::problem::Problem;

/// What is wrong with the fields of a form, for `field.html`.
#[derive(Clone, Debug, Default)]
pub struct Errors(Vec<(&'static str, String)>);

impl Errors {
    /// Notes what is wrong with a field.
    pub fn add(&mut self, field: &'static str, detail: &str) {
        self.0.push((field, sentence(detail)));
    }

    /// Notes the problem of a field, if there is one, and returns the value if there is none.
    /// Only what the visitor can mend stands beside a field.
    ///
    /// # Errors
    ///
    /// The problem is not one of what was sent, such as a database that is unavailable.
    pub fn check<T>(
        &mut self,
        field: &'static str,
        result: Result<T, Problem>,
    ) -> Result<Option<T>, Problem> {
        match result {
            Ok(value) => Ok(Some(value)),
            Err(problem) if matches!(problem.status().as_u16(), 400 | 412) => {
                self.add(field, problem.detail());
                Ok(None)
            }
            Err(problem) => Err(problem),
        }
    }

    /// Whether nothing is wrong.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// What is wrong with a field.
    #[must_use]
    pub fn on(&self, field: &str) -> Option<&str> {
        self.0.iter().find(|it| it.0 == field).map(|it| it.1.as_str())
    }
}
