//! The options and their environment: docs/options.md, and the configuration section of the flagd
//! provider specification.

mod address;
mod checks;
mod headers;
mod process;
mod resolver;
mod table;

use std::ffi::OsString;

use flagstaff::{FlagdError, FlagdOptions, flagd::FlagdOptionsBuilder};

/// Builds with these variables and no others.
fn build(
    builder: FlagdOptionsBuilder,
    variables: &[(&str, &str)],
) -> Result<FlagdOptions, FlagdError> {
    builder.build_with_env(|name| {
        variables
            .iter()
            .find(|(variable, _)| *variable == name)
            .map(|(_, text)| OsString::from(text))
    })
}

fn from_variables(variables: &[(&str, &str)]) -> Result<FlagdOptions, FlagdError> {
    build(FlagdOptions::builder(), variables)
}

/// The message of the error, which must name this option and variable.
#[track_caller]
fn invalid(result: Result<FlagdOptions, FlagdError>, option: &str, variable: &str) -> String {
    let error = result.map(|options| format!("{options:?}")).expect_err(option);
    let FlagdError::InvalidOption { option: named, variable: of, .. } = &error else {
        panic!("{option}: {error:?}")
    };
    assert_eq!((*named, *of), (option, variable), "{error}");
    let text = error.to_string();
    assert!(text.contains(option) && text.contains(variable), "{text}");
    text
}
