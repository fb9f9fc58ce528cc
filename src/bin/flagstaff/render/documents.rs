//! Rendered files as one stream of YAML documents.

/// Joins the files. Between two of them is a line `---`, unless the second begins with one; a
/// file without content is left out.
pub(super) fn join<'t>(files: impl IntoIterator<Item = &'t str>) -> String {
    let mut out = String::new();
    for file in files {
        if file.trim().is_empty() {
            continue;
        }
        if !out.is_empty() {
            if !out.ends_with('\n') {
                out.push('\n');
            }
            if !begins_document(file) {
                out += "---\n";
            }
        }
        out += file;
    }
    if !out.is_empty() && !out.ends_with('\n') {
        out.push('\n');
    }
    out
}

/// Whether the first line that is not a comment begins a document.
fn begins_document(file: &str) -> bool {
    let mut lines = file.lines().filter(|line| !line.trim().is_empty() && !line.starts_with('#'));
    lines.next().is_some_and(|line| {
        line.strip_prefix("---")
            .is_some_and(|rest| rest.is_empty() || rest.starts_with([' ', '\t']))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn f10_documents_are_separated() {
        for (files, expected) in [
            (&["a: 1\n", "b: 2\n"][..], "a: 1\n---\nb: 2\n"),
            (&["a: 1", "b: 2"], "a: 1\n---\nb: 2\n"),
            (&["a: 1\n", "---\nb: 2\n"], "a: 1\n---\nb: 2\n"),
            (&["---\na: 1\n", "# x\n\n--- # y\nb: 2\n"], "---\na: 1\n# x\n\n--- # y\nb: 2\n"),
            (&["a: 1\n", "---b: 2\n"], "a: 1\n---\n---b: 2\n"),
            (&["", "a: 1\n", " \n", "b: 2\n", "\n"], "a: 1\n---\nb: 2\n"),
            (&[], ""),
            (&["\n"], ""),
        ] {
            assert_eq!(join(files.iter().copied()), expected, "{files:?}");
        }
    }
}
