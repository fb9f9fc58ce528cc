//! A definition as a tree whose parts know their places in the text.
//!
//! The evaluator reads JSON text without it. It is needed for what is about the
//! text: the places of problems, warnings, and YAML, of which it is the parsed
//! form.
//!
//! JSON is parsed in two steps. `serde_json` checks that the text is valid. Then
//! [`Source`] goes over it once more, and may be simple, because it knows that
//! every bracket has its counterpart and every string its end; strings and
//! numbers are again left to `serde_json`. A parser that reports positions would
//! be one more dependency.
//!
//! An entry remembers the place of its name, and its value the place where that
//! begins:
//!
//! ```text
//! {"a": [1, {"b": 2}]}
//!  ^name ^value
//! ```
//!
//! Linting a large definition as one tree takes much memory. [`Tree::outline`]
//! leaves out the flags, and [`Unread`] parses one at a time.

use std::{collections::HashMap, rc::Rc};

use serde::Deserialize;
use serde_json::{Value as Json, value::RawValue};

use super::text::folded;
use crate::evaluator::{
    diagnostic::DefinitionError,
    json_text,
    location::{Cursor, Position},
    number,
};

/// How many arrays and objects may be nested in each other. That is also the
/// limit of `serde_json`, so that YAML and JSON have the same.
pub(crate) const MAX_DEPTH: usize = 127;

/// A value and the place where it begins.
#[derive(Debug)]
pub(crate) struct Tree {
    /// The place of its first character. With an alias of YAML, that of the value
    /// that it stands for.
    pub(crate) at: Position,
    /// The value itself.
    pub(crate) kind: Kind,
    /// False for a number that is read as another one than is written.
    pub(crate) exact: bool,
}

/// A value: a scalar, or what contains others.
#[derive(Debug)]
pub(crate) enum Kind {
    /// Neither an array nor an object.
    Scalar(Json),
    /// An array. Its items are shared with the aliases of a document in YAML.
    List(Vec<Rc<Tree>>),
    /// An object, with entries of the same name in the order of the text.
    Object(Vec<Entry>),
}

/// A name in an object and its value.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    /// The name, with its escapes replaced.
    pub(crate) name: String,
    /// The place of the name.
    pub(crate) at: Position,
    /// The value.
    pub(crate) value: Rc<Tree>,
}

/// A step from an array or an object to a value in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// To the value of this name.
    Name(String),
    /// To the item at this place, counted from 0.
    Index(usize),
}

impl Tree {
    /// Parses JSON.
    ///
    /// # Errors
    ///
    /// When the text is not JSON, or is nested too deeply.
    pub(crate) fn of_json(text: &str) -> Result<Self, DefinitionError> {
        let whole: &RawValue =
            serde_json::from_str(text).map_err(|error| DefinitionError::in_text(&error, text))?;
        Source::of(text, whole).value(0)
    }

    /// Parses JSON except for the flags, which are null in the tree, and are
    /// parsed one by one with the second result.
    ///
    /// # Errors
    ///
    /// When the text is not JSON, the flags included, or is nested too deeply
    /// outside of the flags.
    pub(crate) fn outline(text: &str) -> Result<(Self, Unread<'_>), DefinitionError> {
        let whole: &RawValue =
            serde_json::from_str(text).map_err(|error| DefinitionError::in_text(&error, text))?;
        let mut source = Source { unread: Some(HashMap::new()), ..Source::of(text, whole) };
        let outline = source.value(0)?;
        Ok((outline, Unread { text, offsets: source.unread.unwrap_or_default() }))
    }

    /// The value of a name, the later one if there are two; `None` also if this
    /// is not an object.
    pub(crate) fn get(&self, name: &str) -> Option<&Self> {
        match &self.kind {
            Kind::Object(entries) => {
                let entry = entries.iter().rev().find(|entry| entry.name == name);
                entry.map(|entry| &*entry.value)
            }
            _ => None,
        }
    }

    /// Appends the JSON text, with entries in their order in the tree.
    pub(crate) fn write_json(&self, out: &mut String) {
        match &self.kind {
            Kind::Scalar(scalar) => json_text::write(scalar, out),
            Kind::List(items) => {
                out.push('[');
                for (index, item) in items.iter().enumerate() {
                    out.push_str(if index > 0 { "," } else { "" });
                    item.write_json(out);
                }
                out.push(']');
            }
            Kind::Object(entries) => {
                out.push('{');
                for (index, entry) in entries.iter().enumerate() {
                    out.push_str(if index > 0 { "," } else { "" });
                    json_text::write_text(&entry.name, out);
                    out.push(':');
                    entry.value.write_json(out);
                }
                out.push('}');
            }
        }
    }
}

/// Finds the places that paths lead to.
///
/// Many problems of one definition lead through the same large object `flags`.
/// Its names are put into a map once, so that the time does not grow with the
/// product of flags and problems.
#[derive(Default)]
pub(crate) struct Places<'t> {
    /// The values of each object that a path led through, by their names; of two
    /// the later one. Objects are known by their addresses.
    names: HashMap<*const Tree, HashMap<&'t str, &'t Tree>>,
}

impl<'t> Places<'t> {
    /// The place that the path leads to. If the path ends early, as with a field
    /// that is missing, it is the last place on it.
    pub(crate) fn place(&mut self, tree: &'t Tree, path: &[Step]) -> Position {
        let mut tree = tree;
        for step in path {
            let Some(part) = self.step(tree, step) else { break };
            tree = part;
        }
        tree.at
    }

    /// The value that a step leads to.
    fn step(&mut self, tree: &'t Tree, step: &Step) -> Option<&'t Tree> {
        match (&tree.kind, step) {
            (Kind::List(items), Step::Index(index)) => items.get(*index).map(|item| &**item),
            (Kind::Object(entries), Step::Name(name)) => {
                let named = || entries.iter().map(|entry| (&*entry.name, &*entry.value)).collect();
                self.names.entry(tree).or_insert_with(named).get(&**name).copied()
            }
            _ => None,
        }
    }
}

/// The flags of a definition that are not parsed yet: one after the other takes
/// less memory than all at once.
pub(crate) struct Unread<'t> {
    text: &'t str,
    /// The byte at which each flag begins, by its place.
    offsets: HashMap<Position, usize>,
}

impl Unread<'_> {
    /// How many objects or arrays a flag is in: the definition and `flags`.
    const DEPTH: usize = 2;

    /// Parses the flag that begins at a place; `None` if none does.
    ///
    /// # Errors
    ///
    /// When the flag is nested too deeply, or contains a number that is out of
    /// range.
    pub(crate) fn read(&self, at: Position) -> Option<Result<Tree, DefinitionError>> {
        let (text, offset) = (self.text, *self.offsets.get(&at)?);
        let cursor = Cursor::starting(text, offset, at);
        Some(Source { text, offset, cursor, unread: None, of_flags: false }.value(Self::DEPTH))
    }
}

/// A text that is known to be JSON, and how far it was read.
struct Source<'t> {
    text: &'t str,
    /// The byte at which the next token begins, or spaces before it.
    offset: usize,
    /// The place of the value or name that was read last.
    cursor: Cursor<'t>,
    /// Where the flags begin, if they are left out.
    unread: Option<HashMap<Position, usize>>,
    /// Whether the value of `flags` is being read.
    of_flags: bool,
}

impl<'t> Source<'t> {
    /// Begins at the value, after the spaces before it.
    fn of(text: &'t str, whole: &RawValue) -> Self {
        let offset = whole.get().as_ptr().addr() - text.as_ptr().addr();
        Self { text, offset, cursor: Cursor::new(text), unread: None, of_flags: false }
    }

    /// Reads the value that begins here. `depth` is how many arrays and objects it
    /// is in.
    fn value(&mut self, depth: usize) -> Result<Tree, DefinitionError> {
        let at = self.cursor.position(self.offset);
        if let Some(unread) =
            self.unread.as_mut().filter(|_| self.of_flags && depth == Unread::DEPTH)
        {
            unread.insert(at, self.offset);
            self.skip_value();
            return Ok(Tree { at, kind: Kind::Scalar(Json::Null), exact: true });
        }
        let mut exact = true;
        let kind = match self.text.as_bytes().get(self.offset) {
            Some(b'[' | b'{') if depth == MAX_DEPTH => {
                let Position { line, column } = at;
                let message = "nested too deeply".to_owned();
                return Err(DefinitionError::Syntax { message, line, column });
            }
            Some(b'{') => {
                let mut entries = Vec::new();
                while self.next_item(b'}') {
                    let at = self.cursor.position(self.offset);
                    let name = self.token();
                    let name: String = self.parse(name)?;
                    if depth == 0 {
                        self.of_flags = folded(&name) == "flags";
                    }
                    // Goes over the colon to the value. It cannot meet the end of the object here.
                    self.next_item(b'}');
                    entries.push(Entry { name, at, value: self.value(depth + 1)?.into() });
                }
                Kind::Object(entries)
            }
            Some(b'[') => {
                let mut items = Vec::new();
                while self.next_item(b']') {
                    items.push(self.value(depth + 1)?.into());
                }
                Kind::List(items)
            }
            _ => {
                let token = self.token();
                let scalar = self.parse(token)?;
                exact =
                    !matches!(&scalar, Json::Number(number) if !number::is_exact(token, number));
                Kind::Scalar(scalar)
            }
        };
        Ok(Tree { at, kind, exact })
    }

    /// Goes to the next item of an array or an object, or to the value of a name,
    /// and returns true. Where there is none, it goes behind `end`, and returns
    /// false.
    fn next_item(&mut self, end: u8) -> bool {
        self.skip_spaces();
        // One of these may precede an item or the value of a name. There is at most one, because
        // the text is valid JSON.
        self.skip(|byte| matches!(byte, b'[' | b'{' | b',' | b':'));
        self.skip_spaces();
        !self.skip(|byte| byte == end)
    }

    /// Goes behind the value that begins here, without parsing it.
    fn skip_value(&mut self) {
        let mut depth = 0;
        loop {
            match self.text.as_bytes().get(self.offset) {
                Some(b'[' | b'{') => depth += 1,
                Some(b']' | b'}') => depth -= 1,
                Some(b',' | b':') => {}
                Some(byte) if byte.is_ascii_whitespace() => {}
                Some(_) => {
                    self.token();
                    // The last byte of the token is skipped below.
                    self.offset -= 1;
                }
                None => return,
            }
            self.offset += 1;
            if depth == 0 {
                return;
            }
        }
    }

    /// Goes to the next byte that is not a space.
    fn skip_spaces(&mut self) {
        while self.skip(|byte| byte.is_ascii_whitespace()) {}
    }

    /// Goes over one byte if `skips` accepts it, and returns whether it did.
    fn skip(&mut self, skips: impl Fn(u8) -> bool) -> bool {
        let skipped = self.text.as_bytes().get(self.offset).is_some_and(|byte| skips(*byte));
        self.offset += usize::from(skipped);
        skipped
    }

    /// Goes behind the string, number or literal that begins here, and returns
    /// its text.
    fn token(&mut self) -> &'t str {
        let rest = &self.text[self.offset..];
        let mut bytes = rest.bytes();
        let length = if bytes.next() == Some(b'"') {
            let mut escaped = false;
            let end = bytes.position(|byte| {
                let ends = byte == b'"' && !escaped;
                escaped = byte == b'\\' && !escaped;
                ends
            });
            end.map(|end| end + 2)
        } else {
            rest.find(|c: char| matches!(c, ',' | ']' | '}') || c.is_ascii_whitespace())
        };
        let token = &rest[..length.unwrap_or(rest.len())];
        self.offset += token.len();
        token
    }

    /// Parses a token. An error has its place in the whole text.
    fn parse<T: Deserialize<'t>>(&self, token: &'t str) -> Result<T, DefinitionError> {
        serde_json::from_str(token)
            .map_err(|error| DefinitionError::in_part(&error, self.text, token))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(tree: &Tree, path: &[&str]) -> (usize, usize) {
        let steps = path.iter().map(|step| match step.parse() {
            Ok(index) => Step::Index(index),
            Err(_) => Step::Name((*step).to_owned()),
        });
        let place = Places::default().place(tree, &steps.collect::<Vec<_>>());
        (place.line, place.column)
    }

    #[test]
    fn places_of_values() {
        let text = "{\r\n  \"a\": [1,\r\n    {\"\\u0062\": \"ž\", \"c\": 1}],\r\n \"a2\": 1}";
        let tree = Tree::of_json(text).unwrap();
        assert_eq!(at(&tree, &[]), (1, 1));
        assert_eq!(at(&tree, &["a"]), (2, 8));
        assert_eq!(at(&tree, &["a", "1", "b"]), (3, 16));
        assert_eq!(at(&tree, &["a", "1", "c"]), (3, 26));
        assert_eq!(at(&tree, &["a", "1", "none"]), (3, 5));
        assert_eq!(at(&tree, &["a2"]), (4, 8));
        assert_eq!(at(&Tree::of_json(r#"{"a": 1, "a": 2}"#).unwrap(), &["a"]), (1, 15));
    }

    #[test]
    fn flags_are_parsed_one_by_one() {
        let text = "{\"a\": [1],\n \"Flags\": {\"f\": {\"x\": [\"}\\\"\", 1]} , \"g\": 1},\n\
            \"flags\" : [ [], {\"y\":\n [{}]}], \"z\": {\"b\": {}}}";
        let (outline, unread) = Tree::outline(text).unwrap();
        let mut json = String::new();
        outline.write_json(&mut json);
        assert_eq!(
            json,
            r#"{"a":[1],"Flags":{"f":null,"g":null},"flags":[null,null],"z":{"b":{}}}"#
        );
        let whole = Tree::of_json(text).unwrap();
        let flags = [("Flags", "f"), ("Flags", "g"), ("flags", "0"), ("flags", "1")];
        for (section, flag) in flags {
            let (line, column) = at(&outline, &[section, flag]);
            assert_eq!((line, column), at(&whole, &[section, flag]));
            let read = unread.read(Position { line, column }).unwrap().unwrap();
            assert_eq!((read.at.line, read.at.column), (line, column));
            if flag == "1" {
                assert_eq!(at(&read, &["y", "0"]), at(&whole, &[section, flag, "y", "0"]));
            }
        }
        assert!(unread.read(outline.at).is_none());
    }

    #[test]
    fn the_text_is_the_same_again() {
        let text = r#"{"a":[1,-0.5,null,true,"x\n"],"b":{},"c":[]}"#;
        let mut again = String::new();
        Tree::of_json(text).unwrap().write_json(&mut again);
        assert_eq!(again, text);
    }

    #[test]
    fn too_deep() {
        let deep = format!("{}1{}", "[".repeat(100_000), "]".repeat(100_000));
        let error = Tree::of_json(&deep).unwrap_err();
        assert!(error.to_string().ends_with("(line 1, column 128)"), "{error}");
        let quoted = format!(r#"["\"{}"]"#, "[".repeat(1000));
        assert!(Tree::of_json(&quoted).is_ok());
    }
}
