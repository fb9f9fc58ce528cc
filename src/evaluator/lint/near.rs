//! What a misspelled name was to be.

/// `; did you mean ...?` with the candidate that is nearest to a name, if one is near. Of two as near
/// the first counts.
pub(crate) fn suggestion<'c>(name: &str, candidates: impl IntoIterator<Item = &'c str>) -> String {
    let near = near(name, candidates);
    near.map_or_else(String::new, |near| format!("; did you mean `{near}`?"))
}

/// The candidate that is nearest to a name, if one is near.
pub(crate) fn near<'c>(
    name: &str,
    candidates: impl IntoIterator<Item = &'c str>,
) -> Option<&'c str> {
    /// Nobody misspells a longer name.
    const LONGEST: usize = 64;
    /// So many candidates are looked at.
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

/// The characters of a name, without regard to case and to how its words are joined.
fn folded(name: &str) -> impl Iterator<Item = char> {
    let joins = |c: &char| matches!(c, '_' | '-' | ' ');
    // `-` alone is an operator.
    let all = name.chars().all(|c| joins(&c));
    name.chars().filter(move |c| all || !joins(c)).flat_map(char::to_lowercase)
}

/// How many characters must be added, removed or swapped with their neighbour; another character is
/// two steps.
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
