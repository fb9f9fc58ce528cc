//! Warnings about flag definitions: what flagd accepts although its published
//! schema rejects it, what can never work, and what was probably not meant.
//!
//! The linter works on a tree of the text, and not on the compiled flags, for two
//! reasons: a warning needs line and column, and much of what it warns about is
//! no longer visible in a flag, such as a name that occurs twice. It does not
//! read a schema either. The rules of the schema are written down as checks, so
//! that their messages say what is wrong in the words of the author.
//!
//! The tree of a definition is walked once, and each check is in the file for its
//! subject:
//!
//! | file | subject |
//! |---|---|
//! | `definition` | sections, flags, variants, metadata, numbers |
//! | `targeting` | the walk over a rule, and the number and types of arguments |
//! | `variables`, `versions`, `buckets` | arguments of `var`, `sem_ver` and `fractional` |
//! | `constants` | what is the same in every context |
//! | `results` | what a rule may return, compared with the variants of its flag |
//! | `operators`, `read`, `near` | what is known of operators, of parts of rules, and of misspelled names |
//! | `linter` | the state of the walk |
//!
//! A warning that says "always" or "never" must be true in every context. Where
//! the linter cannot know, it is silent.

mod buckets;
mod constants;
mod definition;
mod linter;
mod near;
mod operators;
mod read;
mod results;
mod targeting;
#[cfg(test)]
mod tests;
mod variables;
mod versions;

use self::linter::Linter;
use super::diagnostic::{DefinitionError, Diagnostic};
use crate::evaluator::load::{
    surrogates,
    text::without_bom,
    tree::{Tree, Unread},
    yaml,
};

/// Finds what is wrong in a flag definition in JSON although flagd, and
/// [`FlagSet::parse`](super::FlagSet::parse), accept it. The warnings are in the
/// order of the text.
///
/// ```
/// use flagstaff::evaluator::lint;
///
/// let warnings = lint(
///     r#"{"flags": {"f": {
///         "state": "ENABLED",
///         "variants": {"on": true, "off": false},
///         "targeting": {"if": [{"endswith": [{"var": "email"}, "@corp.example"]}, "on"]}
///     }}}"#,
/// )?;
/// assert_eq!(
///     warnings[0].message,
///     "`endswith` is not an operator: it fails (PARSE_ERROR) where it is evaluated; \
///      did you mean `ends_with`?",
/// );
/// assert_eq!((warnings[0].line, warnings[0].flag.as_deref()), (4, Some("f")));
/// # Ok::<(), flagstaff::evaluator::DefinitionError>(())
/// ```
///
/// It warns about everything that flagd's schema rejects, and about the
/// following, which can be seen to be wrong without a context:
///
/// | warning | because |
/// |---|---|
/// | a reference within an evaluator, even in a circle; a reference to an evaluator that does not exist | `PARSE_ERROR` where it is evaluated |
/// | an unknown operator (`endswith`, `ref`), with the nearest that is known | `PARSE_ERROR` where it is evaluated |
/// | arguments that an operator fails with (`{"+": [true, 1]}`), or too few of them; a divisor of 0, where its result is that of the rule | always `PARSE_ERROR` |
/// | a result of the rule that is not a variant of the flag: a value, a branch of `if`, a bucket of `fractional`, `true` and `false` of a comparison; an array, an object (`{"var": ""}`) or a number, where no variant has such a name; a variant whose name needs an escape in JSON | always `GENERAL` |
/// | `starts_with`, `ends_with` and `sem_ver` with another number of arguments, another type, an unknown operator or an invalid version | always null |
/// | comparisons of values that are written there, or of types that are never equal (`{"===": [{"cat": [1]}, 1]}`); conditions of `if`, `and` and `or` that are neither rules nor booleans; `!` and `!!` of a value; bounds that nothing lies between (`{"<": [5, {"var": "x"}, 3]}`); `missing_some` of 0 variables, or of more than it names | always true or always false, or without effect |
/// | `in` with an array as the first argument, or with neither a string nor an array as the second, or with an empty array; in an array, ranges that contain nothing, and arrays that are not ranges of two numbers | never holds, or fails |
/// | weights of `fractional` whose sum is 0 or above 2^31 - 1, that are below 0, or not whole numbers; a single bucket; all of the weight on one variant; one bucketing value for everybody, such as the key of the flag | everybody or nobody is chosen |
/// | objects with several names where one operator is expected | never evaluated |
/// | names of variables that differ from `targetingKey`, `$flagd`, `$flagd.flagKey` and `$flagd.timestamp` in case; unknown fields of `$flagd`; fields of its fields and of `targetingKey`, which is a string; other variables than `current`, `accumulator` and `valueType` in the body of `reduce`, and the first two in the body of another operator on an array of scalars | always null |
/// | numbers that a 64-bit float does not represent and that are printed differently (`9007199254740993`); in YAML, those that become strings (`1e400`) | other values than are written |
/// | names of fields that are misspelled (`defaultvariant`, `targetting`), or occur twice, also in another case; two flags with the same key in an array | ignored, by flagd or by other providers |
/// | an empty `flagSetId` | the flags are left out |
///
/// What depends on the context is not checked, and neither is
/// `{"if": [true, ...]}`.
///
/// # Errors
///
/// When the text is not JSON, or is nested too deeply. What else `parse` rejects
/// is not checked.
pub fn lint(text: &str) -> Result<Vec<Diagnostic>, DefinitionError> {
    let text = surrogates::mended(without_bom(text));
    let (outline, unread) = Tree::outline(&text)?;
    warnings(&outline, Some(&unread))
}

/// Finds what is wrong in a flag definition in YAML, as [`lint`](lint()) does for
/// JSON.
///
/// ```
/// use flagstaff::evaluator::lint_yaml;
///
/// let warnings = lint_yaml("flags:\n  f:\n    state: On\n    variants: {a: 1}\n")?;
/// assert_eq!((warnings[0].line, warnings[0].column), (3, 12));
/// # Ok::<(), flagstaff::evaluator::DefinitionError>(())
/// ```
///
/// # Errors
///
/// When the text is not YAML, or
/// [`FlagSet::parse_yaml`](super::FlagSet::parse_yaml) would reject it because of
/// its form: a name that occurs twice, or what JSON cannot represent.
pub fn lint_yaml(text: &str) -> Result<Vec<Diagnostic>, DefinitionError> {
    warnings(&*yaml::parse(without_bom(text))?, None)
}

/// The warnings about a definition, in the order of the text. `unread` has the
/// flags that are left out of the tree.
fn warnings(
    definition: &Tree,
    unread: Option<&Unread<'_>>,
) -> Result<Vec<Diagnostic>, DefinitionError> {
    let mut linter = Linter::default();
    linter.definition(definition, unread)?;
    let mut warnings = linter.warnings;
    warnings.sort_by(|a, b| (a.line, a.column, &a.message).cmp(&(b.line, b.column, &b.message)));
    // A place may be reached twice, such as one that an alias of YAML stands for.
    warnings.dedup();
    Ok(warnings)
}
