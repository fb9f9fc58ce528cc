//! What a misspelled name was probably meant to be.
//!
//! The suggestions are for names that people type: operators, evaluators, fields,
//! variants. Case and the way in which words are joined do not count, so that
//! `endsWith` is as good as `ends_with`. Beyond that, the distance is that of the
//! usual slips: a character too many or too few, or two that are swapped.
//!
//! ```text
//! semver    -> sem_ver      0 steps: `_` is ignored
//! ends_wiht -> ends_with    1 step: swapped
//! =>        -> >=           1 step: swapped
//! contains  -> nothing      too far from every operator
//! ```
//!
//! A wrong suggestion is worse than none. So a short name allows one step, and
//! only a longer one allows two.

/// `; did you mean ...?` with the candidate that is nearest to a name, or the
/// empty string if none is near. Of two that are equally near, the first is
/// suggested.
pub(crate) fn suggestion<'c>(name: &str, candidates: impl IntoIterator<Item = &'c str>) -> String {
    let near = near(name, candidates);
    near.map_or_else(String::new, |near| format!("; did you mean `{near}`?"))
}

/// The candidate that is nearest to a name, if one is near.
///
/// The time is bounded: long names and late candidates are ignored.
pub(crate) fn near<'c>(
    name: &str,
    candidates: impl IntoIterator<Item = &'c str>,
) -> Option<&'c str> {
    /// The longest name, in characters, for which a suggestion is looked for.
    /// Nobody misspells a longer one.
    const LONGEST: usize = 64;
    /// How many candidates are compared.
    const MOST: usize = 256;
    let name: Vec<char> = folded(name).take(LONGEST + 1).collect();
    if name.is_empty() || name.len() > LONGEST {
        return None;
    }
    let distances = candidates.into_iter().take(MOST).filter_map(|candidate| {
        let known: Vec<char> = folded(candidate).take(LONGEST + 1).collect();
        let limit = (name.len().max(known.len()) / 3).clamp(1, 2);
        let near = name.len().abs_diff(known.len()) <= limit;
        let distance = if near { distance(&name, &known) } else { usize::MAX };
        (distance <= limit).then_some((distance, candidate))
    });
    distances.min_by_key(|(distance, _)| *distance).map(|(_, candidate)| candidate)
}

/// The characters of a name that are compared: in lower case, without what joins
/// words.
fn folded(name: &str) -> impl Iterator<Item = char> {
    let joins = |c: &char| matches!(c, '_' | '-' | ' ');
    // The operator `-` consists of what joins words.
    let all = name.chars().all(|c| joins(&c));
    name.chars().filter(move |c| all || !joins(c)).flat_map(char::to_lowercase)
}

/// The number of steps between two names: to add or remove a character, or to
/// swap two neighbors, is one step, and to replace a character is two.
///
/// It is the restricted Damerau-Levenshtein distance, computed row by row of its
/// table. A swap refers to the row before the last, and so two rows are kept.
fn distance(a: &[char], b: &[char]) -> usize {
    let mut rows = [Vec::new(), (0..=b.len()).collect::<Vec<_>>()];
    for (i, x) in a.iter().enumerate() {
        let [before, last] = &rows;
        let mut row = vec![i + 1];
        for (j, y) in b.iter().enumerate() {
            let mut best = last[j] + if x == y { 0 } else { 2 };
            best = best.min(last[j + 1] + 1).min(row[j] + 1);
            if i > 0 && j > 0 && *x == b[j - 1] && a[i - 1] == *y {
                best = best.min(before[j - 1] + 1);
            }
            row.push(best);
        }
        let [_, last] = rows;
        rows = [last, row];
    }
    rows[1][b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_are_near() {
        let known = ["var", "if", "==", "<=", ">=", "and", "or", "!", "-", "ends_with", "sem_ver"];
        for (name, expected) in [
            ("endswith", Some("ends_with")),
            ("endsWith", Some("ends_with")),
            ("end_with", Some("ends_with")),
            ("ends_wiht", Some("ends_with")),
            ("semver", Some("sem_ver")),
            ("AND", Some("and")),
            ("iff", Some("if")),
            ("=", Some("==")),
            ("=>", Some(">=")),
            ("=<", Some("<=")),
            ("contains", None),
            ("xor", Some("or")),
            ("eq", None),
            ("", None),
            ("_", None),
        ] {
            assert_eq!(near(name, known), expected, "{name}");
        }
        assert_eq!(near(&"ends_with".repeat(100_000), known), None);
        assert_eq!(suggestion("semver", known), "; did you mean `sem_ver`?");
        assert_eq!(suggestion("eq", known), "");
    }
}
