//! Places in a text.

/// A place in a text: line and column, in characters, counted from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Position {
    pub(super) line: usize,
    pub(super) column: usize,
}

impl Position {
    /// The place in the whole text of what is at `inner` of a part that starts at `self`.
    pub(super) fn of_inner(self, inner: Self) -> Self {
        let column = if inner.line == 1 { self.column + inner.column - 1 } else { inner.column };
        Self { line: self.line + inner.line - 1, column }
    }
}

/// The lines of a text.
pub(super) struct Lines<'t> {
    text: &'t str,
    /// The offset of each line.
    starts: Vec<usize>,
}

impl<'t> Lines<'t> {
    pub(super) fn new(text: &'t str) -> Self {
        let breaks = text.match_indices('\n').map(|(offset, _)| offset + 1);
        Self { text, starts: std::iter::once(0).chain(breaks).collect() }
    }

    /// The place of a byte of the text.
    pub(super) fn position(&self, offset: usize) -> Position {
        let line = self.starts.partition_point(|start| *start <= offset);
        let before = self.text.get(self.starts[line - 1]..offset).unwrap_or_default();
        Position { line, column: before.chars().count() + 1 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_characters() {
        let text = "ab\r\n\u{17e}\u{1f44d}x\n";
        let lines = Lines::new(text);
        let place = |offset| (lines.position(offset).line, lines.position(offset).column);
        assert_eq!((place(0), place(1), place(4)), ((1, 1), (1, 2), (2, 1)));
        assert_eq!(place(text.find('x').unwrap()), (2, 3));
        assert_eq!(place(text.len()), (3, 1));
    }
}
