//! Warnings: what is in a flag definition that flagd accepts but that its published schema rejects,
//! that can never work, or that cannot be meant.

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

/// Finds what is wrong in a flag definition in JSON although flagd (and
/// [`FlagSet::parse`](super::FlagSet::parse)) accepts it. The warnings come in the order of the text.
///
/// It warns of all that flagd's schema rejects, and of this, which can be seen to be wrong without a
/// context:
///
/// | warning | because |
/// |---|---|
/// | a reference within an evaluator, also in a circle; a reference to an evaluator that does not exist | `PARSE_ERROR` where it is evaluated |
/// | an unknown operator (`endswith`, `ref`), with the nearest that is known | `PARSE_ERROR` where it is evaluated |
/// | arguments that an operator fails with (`{"+": [true, 1]}`), or too few of them; a divisor of 0, where its result is that of the rule | always `PARSE_ERROR` |
/// | a result of the rule that is not a variant of the flag: a value, a branch of `if`, a bucket of `fractional`, `true` and `false` of a comparison; an array, an object (`{"var": ""}`) or a number, where no variant has such a name; its name needs an escape in JSON | always `GENERAL` |
/// | `starts_with`, `ends_with` and `sem_ver` with another number of arguments, another type, an unknown operator or an invalid version | always null |
/// | comparisons of values that are written there, or of types that are never equal (`{"===": [{"cat": [1]}, 1]}`); conditions of `if`, `and` and `or` that are neither rules nor booleans; `!` and `!!` of a value; bounds that nothing lies between (`{"<": [5, {"var": "x"}, 3]}`); `missing_some` of 0 variables, or of more than it names | always true or always false, or of no effect |
/// | `in` with an array as the first argument, or with neither string nor array as the second, or with an empty array; in an array, ranges that hold nothing, and arrays that are not ranges of two numbers | never holds, or fails |
/// | weights of `fractional` whose sum is 0 or above 2^31-1, that are below 0, or not whole numbers; a single bucket; all of the weight on one variant; one bucketing value for everybody, such as the key of the flag | everybody or nobody is chosen |
/// | objects of several names where one operator is expected | never evaluated |
/// | names of variables that differ from `targetingKey`, `$flagd`, `$flagd.flagKey` and `$flagd.timestamp` in case; unknown fields of `$flagd`; fields of its fields and of `targetingKey`, which is a string; other variables than `current` and `accumulator` in the body of `reduce`, and these two in the body of another operator on an array of scalars | always null |
/// | numbers that a 64-bit float does not hold and that print otherwise (`9007199254740993`); in YAML, those that become strings (`1e400`) | other values than are written |
/// | names of fields that are misspelled (`defaultvariant`, `targetting`), or there twice, also in another case; two flags with one key in a list | ignored, by flagd or by other providers |
/// | an empty `flagSetId` | the flags are left out |
///
/// What depends on the context is not looked for, and neither is `{"if": [true, ...]}`.
///
/// # Errors
///
/// When the text is not JSON. What else `parse` rejects is not looked for.
pub fn lint(text: &str) -> Result<Vec<Diagnostic>, DefinitionError> {
    let text = surrogates::mended(without_bom(text));
    let (outline, unread) = Tree::outline(&text)?;
    warnings(&outline, Some(&unread))
}

/// As [`lint`], for YAML.
///
/// # Errors
///
/// When the text is not YAML.
pub fn lint_yaml(text: &str) -> Result<Vec<Diagnostic>, DefinitionError> {
    warnings(&*yaml::parse(without_bom(text))?, None)
}

fn warnings(
    definition: &Tree,
    unread: Option<&Unread<'_>>,
) -> Result<Vec<Diagnostic>, DefinitionError> {
    let mut linter = Linter::default();
    linter.definition(definition, unread)?;
    let mut warnings = linter.warnings;
    warnings.sort_by(|a, b| (a.line, a.column, &a.message).cmp(&(b.line, b.column, &b.message)));
    // Two ways may lead to one place, an alias of YAML too.
    warnings.dedup();
    Ok(warnings)
}
