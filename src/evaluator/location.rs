//! Places in a text.
//!
//! The parsers count in bytes, and people in lines and characters. [`Lines`]
//! converts between them in any order, by a table of where lines begin;
//! [`Cursor`] goes through the text once, and needs no table, for places that are
//! asked for from the beginning to the end. A character is a Unicode scalar
//! value, and only `\n` ends a line.

/// A position in a file: line and column, both counted from 1. Columns are counted
/// in characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Position {
    /// The line, counted from 1.
    pub(crate) line: usize,
    /// The column in characters, counted from 1.
    pub(crate) column: usize,
}

/// The content of a file, with the offsets at which its lines begin.
pub(crate) struct Lines<'t> {
    text: &'t str,
    /// The offset of the first byte of each line, in ascending order. The first
    /// is 0.
    starts: Vec<usize>,
}

impl<'t> Lines<'t> {
    /// Goes through the text once for its lines.
    pub(crate) fn new(text: &'t str) -> Self {
        let breaks = text.match_indices('\n').map(|(offset, _)| offset + 1);
        Self { text, starts: std::iter::once(0).chain(breaks).collect() }
    }

    /// The place of a byte of the text; beyond the end, that of the end.
    pub(crate) fn position(&self, offset: usize) -> Position {
        let line = self.starts.partition_point(|start| *start <= offset);
        let before = &self.text.as_bytes()[self.starts[line - 1]..offset.min(self.text.len())];
        // In UTF-8, each character has exactly one byte that is not a continuation byte.
        let characters = before.iter().filter(|byte| **byte & 0xc0 != 0x80).count();
        Position { line, column: characters + 1 }
    }

    /// The byte at a place whose column is counted in bytes, from 1, as
    /// `serde_json` does.
    ///
    /// A column within a character is that of the character, and one beyond the
    /// end of the text is the end. A line that does not exist counts as the
    /// first.
    pub(crate) fn offset(&self, line: usize, column: usize) -> usize {
        let start = self.starts.get(line.saturating_sub(1)).copied().unwrap_or_default();
        let mut offset = (start + column.saturating_sub(1)).min(self.text.len());
        while !self.text.is_char_boundary(offset) {
            offset -= 1;
        }
        offset
    }
}

/// A place that moves through a text.
pub(crate) struct Cursor<'t> {
    text: &'t str,
    /// How far the text was read, in bytes.
    offset: usize,
    /// The place of that byte.
    at: Position,
}

impl<'t> Cursor<'t> {
    /// Begins at the beginning of the text.
    pub(crate) fn new(text: &'t str) -> Self {
        Self::starting(text, 0, Position { line: 1, column: 1 })
    }

    /// Begins at a byte whose place is known.
    pub(crate) fn starting(text: &'t str, offset: usize, at: Position) -> Self {
        Self { text, offset, at }
    }

    /// The place of a byte of the text; beyond the end, that of the end.
    ///
    /// It takes time in proportion to the text since the place before. A place
    /// behind it is found from the beginning.
    pub(crate) fn position(&mut self, offset: usize) -> Position {
        if offset < self.offset {
            *self = Self::new(self.text);
        }
        let end = offset.min(self.text.len()).max(self.offset);
        for byte in &self.text.as_bytes()[self.offset..end] {
            match byte {
                b'\n' => self.at = Position { line: self.at.line + 1, column: 1 },
                byte => self.at.column += usize::from(byte & 0xc0 != 0x80),
            }
        }
        self.offset = end;
        self.at
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
        assert_eq!(lines.offset(2, 7), text.find('x').unwrap());
        assert_eq!(lines.offset(2, 4), lines.offset(2, 3));
        assert_eq!(lines.offset(9, 9), 6);
    }
    #[test]
    fn a_cursor_gives_the_same_places() {
        let text = "ab\r\n\u{17e}\u{1f44d}x\n";
        let (lines, mut cursor) = (Lines::new(text), Cursor::new(text));
        let offsets = (0..=text.len()).filter(|offset| text.is_char_boundary(*offset));
        for offset in offsets.chain([0, text.len() + 1, 4]) {
            assert_eq!(cursor.position(offset), lines.position(offset), "{offset}");
        }
    }
}
