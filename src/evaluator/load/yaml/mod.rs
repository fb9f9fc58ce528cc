//! Flag definitions in YAML, read as flagd reads them.
//!
//! That is the first document of the text, in YAML 1.2 with what flagd's library
//! keeps of 1.1: merge keys, octal numbers such as `0777`, `1_000`, and dates. A
//! name that occurs twice in an object is an error.
//!
//! The parser turns the text into events, and [`Builder`] puts these together
//! into a [`Tree`]. It keeps a stack of the arrays and objects that are open:
//!
//! ```text
//! flags: {a: &x {state: ENABLED}, b: *x}
//!
//! MappingStart            open: {
//!   Scalar "flags"        the name of the next entry
//!   MappingStart          open: { {
//!     Scalar "a"
//!     MappingStart &x     open: { { {
//!       Scalar, Scalar    state: ENABLED
//!     MappingEnd          closed, remembered as x, and added to the object around it
//!     Scalar "b"
//!     Alias x             added once more, as the same tree
//!   MappingEnd
//! MappingEnd              the root
//! ```
//!
//! A few lines of YAML can stand for gigabytes, because an alias may stand for an
//! array of aliases, and so on. An alias therefore shares the tree that it stands
//! for, and each value carries the height and the size that it has with aliases
//! written out. Both are limited while the tree is built. The size matters
//! because the tree is written as JSON later, where nothing is shared.

mod scalar;

use std::{
    collections::{HashMap, HashSet},
    rc::Rc,
};

use saphyr_parser::{Event, Marker, Parser, ScalarStyle, Tag};
use serde_json::Value as Json;

use super::tree::{Entry, Kind, MAX_DEPTH, Tree};
use crate::evaluator::{diagnostic::DefinitionError, json_text, location::Position, number};

/// How many times the size of the text its values may have, with aliases written
/// out.
const GROWTH: usize = 16;
/// How many bytes the values may have in addition, so that small documents are
/// not limited in practice.
const FREE_GROWTH: usize = 1 << 20;

/// Parses the first document of a text. An empty text is null.
///
/// # Errors
///
/// When the text is not YAML, or has something that JSON cannot represent, a name
/// twice, or more nesting or larger aliases than is allowed.
pub(crate) fn parse(text: &str) -> Result<Rc<Tree>, DefinitionError> {
    let mut parser = Parser::new_from_str(text);
    let room = text.len().saturating_mul(GROWTH).saturating_add(FREE_GROWTH);
    let mut builder = Builder { room, ..Builder::default() };
    while let Some(event) = parser.next_event() {
        let (event, span) = event.map_err(|e| rejected(place(*e.marker()), e.info()))?;
        if event == Event::DocumentEnd {
            break;
        }
        builder.take(event, place(span.start))?;
    }
    let nothing = || Rc::new(Tree { at: START, kind: Kind::Scalar(Json::Null), exact: true });
    Ok(builder.root.map_or_else(nothing, |part| part.tree))
}

/// The place of a document that is empty.
const START: Position = Position { line: 1, column: 1 };

/// The place of a marker, whose lines count from 1 and columns from 0.
fn place(marker: Marker) -> Position {
    Position { line: marker.line().max(1), column: marker.col() + 1 }
}

/// The error for a part of the text that is rejected.
fn rejected(at: Position, message: impl Into<String>) -> DefinitionError {
    DefinitionError::Syntax { message: message.into(), line: at.line, column: at.column }
}

/// A value that is complete.
#[derive(Clone)]
struct Part {
    /// The value, shared with the aliases that stand for it.
    tree: Rc<Tree>,
    /// The text of a scalar as it is written. Names are compared by it, and an
    /// array or an object, which has none, cannot be a name.
    text: Option<Rc<str>>,
    /// How many arrays and objects are nested within the value, itself included,
    /// with aliases written out. 0 for a scalar.
    height: usize,
    /// The approximate size of the value as JSON, in bytes, with aliases written
    /// out.
    size: usize,
    /// Whether it is `<<` without quotes, which as a name merges its value.
    merges: bool,
}

/// An array or an object whose end was not reached yet.
struct Open {
    at: Position,
    /// The number of its anchor; 0 if it has none.
    anchor: usize,
    /// The greatest height of the values in it so far.
    height: usize,
    /// The size of the values in it so far, and of its own brackets.
    size: usize,
    items: Items,
}

/// What an open array or object contains so far.
enum Items {
    /// The items of an array.
    List(Vec<Rc<Tree>>),
    /// The entries of an object. `name` is that of an entry whose value follows.
    /// `seen` are the texts of all names, and `merged` the entries that `<<`
    /// contributes: they are appended at the end, because what the object has
    /// itself goes first wherever the `<<` is.
    Object { name: Option<Part>, seen: HashSet<Rc<str>>, entries: Vec<Entry>, merged: Vec<Entry> },
}

/// Puts the events of a document together.
#[derive(Default)]
struct Builder {
    /// The arrays and objects that are open, the outermost first.
    open: Vec<Open>,
    /// The values that have an anchor, once they are complete. An alias within
    /// its own anchor finds none.
    anchors: HashMap<usize, Part>,
    /// The document, once it is complete.
    root: Option<Part>,
    /// How many bytes an array or an object may have, with aliases written out.
    room: usize,
}

impl Builder {
    /// Takes the next event of the document.
    fn take(&mut self, event: Event<'_>, at: Position) -> Result<(), DefinitionError> {
        match event {
            Event::Scalar(text, style, anchor, tag) => {
                let part = scalar_part(&text, style, tag.as_deref(), at)?;
                self.complete(anchor, part, at)
            }
            Event::Alias(anchor) => {
                let part = self.anchors.get(&anchor).cloned();
                let part = part.ok_or_else(|| rejected(at, "an alias within its own anchor"))?;
                self.add(part, at)
            }
            Event::SequenceStart(anchor, _) => self.open(at, anchor, Items::List(Vec::new())),
            Event::MappingStart(anchor, _) => {
                let (seen, entries, merged) = (HashSet::new(), Vec::new(), Vec::new());
                self.open(at, anchor, Items::Object { name: None, seen, entries, merged })
            }
            Event::SequenceEnd | Event::MappingEnd => self.close(at),
            _ => Ok(()),
        }
    }

    /// Begins an array or an object.
    fn open(&mut self, at: Position, anchor: usize, items: Items) -> Result<(), DefinitionError> {
        if self.open.len() >= MAX_DEPTH {
            return Err(rejected(at, "nested too deeply"));
        }
        self.open.push(Open { at, anchor, height: 0, size: 2, items });
        Ok(())
    }

    /// Completes the innermost array or object.
    fn close(&mut self, at: Position) -> Result<(), DefinitionError> {
        let Some(open) = self.open.pop() else { return Ok(()) };
        let kind = match open.items {
            Items::List(items) => Kind::List(items),
            Items::Object { seen, mut entries, merged, .. } => {
                // An entry of the object itself hides a merged one, and of those the first hides
                // the others.
                let mut known: HashSet<_> = seen.iter().map(ToString::to_string).collect();
                entries.extend(merged.into_iter().filter(|e| known.insert(e.name.clone())));
                Kind::Object(entries)
            }
        };
        let tree = Rc::new(Tree { at: open.at, kind, exact: true });
        let (height, size) = (open.height + 1, open.size);
        self.complete(open.anchor, Part { tree, text: None, height, size, merges: false }, at)
    }

    /// Adds a value, and remembers it if it has an anchor.
    fn complete(&mut self, anchor: usize, part: Part, at: Position) -> Result<(), DefinitionError> {
        if anchor > 0 {
            self.anchors.insert(anchor, part.clone());
        }
        self.add(part, at)
    }

    /// Adds a value to the innermost array or object, or makes it the root.
    fn add(&mut self, part: Part, at: Position) -> Result<(), DefinitionError> {
        let depth = self.open.len();
        let Some(open) = self.open.last_mut() else {
            self.root = Some(part);
            return Ok(());
        };
        open.height = open.height.max(part.height);
        open.size = open.size.saturating_add(part.size);
        if depth + part.height > MAX_DEPTH {
            return Err(rejected(at, "nested too deeply"));
        }
        if open.size > self.room {
            return Err(rejected(at, "aliases make the document too large"));
        }
        match &mut open.items {
            Items::List(items) => items.push(part.tree),
            Items::Object { name, seen, entries, merged } => match name.take() {
                None => *name = Some(name_part(part, seen, at)?),
                Some(name) if name.merges => merge(&part.tree, merged, at)?,
                Some(name) => entries.push(Entry {
                    name: name_of(&name, depth == 1),
                    at: name.tree.at,
                    value: part.tree,
                }),
            },
        }
        Ok(())
    }
}

/// The value of a scalar.
///
/// Numbers that are too large become strings, as in flagd. They are not exact,
/// and so the linter warns about them.
fn scalar_part(
    text: &str,
    style: ScalarStyle,
    tag: Option<&Tag>,
    at: Position,
) -> Result<Part, DefinitionError> {
    let plain = style == ScalarStyle::Plain;
    // `!` alone is the tag of no type.
    let tag = tag
        .filter(|tag| tag.suffix != "!")
        .map(|tag| if tag.is_yaml_core_schema() { &*tag.suffix } else { "" });
    let value = scalar::resolve(text, plain, tag).map_err(|message| rejected(at, message))?;
    let exact = match &value {
        Json::Number(number) => number::is_exact(text, number),
        // A number that is too large is text.
        Json::String(value) => !(plain && tag.is_none() && scalar::is_too_large(value)),
        _ => true,
    };
    Ok(Part {
        tree: Rc::new(Tree { at, kind: Kind::Scalar(value), exact }),
        text: Some(text.into()),
        height: 0,
        size: text.len() + 8,
        merges: plain && text == "<<" && matches!(tag, None | Some("merge")),
    })
}

/// Checks a value that is to be the name of an entry.
///
/// # Errors
///
/// When the value is not a scalar, or the object already has this name.
fn name_part(
    part: Part,
    seen: &mut HashSet<Rc<str>>,
    at: Position,
) -> Result<Part, DefinitionError> {
    let text = part.text.clone().ok_or_else(|| rejected(at, "a name must be a string"))?;
    if !seen.insert(text.clone()) {
        return Err(rejected(at, format!("the name `{text}` occurs twice")));
    }
    Ok(part)
}

/// The name of an entry, as JSON has it.
///
/// flagd reads the top level with another type than what is within: there a name
/// is its text, and further down it is the text of its value. So `1.0: x` is the
/// entry `1.0` at the top, and `1` further down.
fn name_of(part: &Part, top: bool) -> String {
    let text = part.text.as_deref().unwrap_or_default();
    match &part.tree.kind {
        Kind::Scalar(Json::Null) if !top => "<nil>".to_owned(),
        Kind::Scalar(value @ (Json::Bool(_) | Json::Number(_))) if !top => {
            let mut name = String::new();
            json_text::write(value, &mut name);
            name
        }
        _ => text.to_owned(),
    }
}

/// Adds the entries of the value of `<<`: an object, or an array of them.
///
/// # Errors
///
/// When it is anything else.
fn merge(tree: &Tree, merged: &mut Vec<Entry>, at: Position) -> Result<(), DefinitionError> {
    match &tree.kind {
        Kind::Object(entries) => merged.extend(entries.iter().cloned()),
        Kind::List(items) => {
            for item in items {
                match &item.kind {
                    Kind::Object(entries) => merged.extend(entries.iter().cloned()),
                    _ => return Err(rejected(at, "only objects can be merged")),
                }
            }
        }
        Kind::Scalar(_) => return Err(rejected(at, "only objects can be merged")),
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn json(text: &str) -> String {
        let mut json = String::new();
        match parse(text) {
            Ok(tree) => tree.write_json(&mut json),
            Err(error) => json = error.to_string(),
        }
        json
    }

    #[test]
    fn documents() {
        assert_eq!(json("a: 1\nb: [x, 'y', {c: ~}]\r\n"), r#"{"a":1,"b":["x","y",{"c":null}]}"#);
        assert_eq!(json("--- # first\na: 1\n--- [\n"), r#"{"a":1}"#);
        assert_eq!(json(""), "null");
        assert_eq!(json("# nothing\n"), "null");
        assert_eq!(json("\u{feff}a: 1"), r#"{"a":1}"#);
        assert_eq!(json("a: |\n  x\n  y\nb: >-\n  x\n  y"), r#"{"a":"x\ny\n","b":"x y"}"#);
    }

    #[test]
    fn names() {
        assert_eq!(
            json("1.0: {1.0: 1, true: 2, ~: 3}"),
            r#"{"1.0":{"1":1,"true":2,"\u003cnil\u003e":3}}"#
        );
        assert!(json("a: 1\nb: 2\n\"a\": 3").contains("`a` occurs twice (line 3, column 1)"));
        assert!(json("? [a]\n: 1").contains("a name must be a string"));
    }

    #[test]
    fn aliases_and_merges() {
        assert_eq!(json("a: &x {b: 1}\nc: *x"), r#"{"a":{"b":1},"c":{"b":1}}"#);
        assert_eq!(
            json("x: &x {b: 1, c: 1}\ny: {c: 2, <<: *x}\nz: {<<: [{b: 3}, *x]}\n\"<<\": 1"),
            r#"{"x":{"b":1,"c":1},"y":{"c":2,"b":1},"z":{"b":3,"c":1},"\u003c\u003c":1}"#
        );
        assert!(json("a: {<<: 1}").contains("only objects can be merged (line 1, column 9)"));
        assert!(json("a: &x [*x]").contains("an alias within its own anchor"));
    }

    #[test]
    fn what_would_exhaust_memory_or_stack_is_refused() {
        use std::fmt::Write as _;

        let mut laughs = "a0: &a0 [ha, ha, ha, ha, ha, ha, ha, ha, ha, ha]\n".to_owned();
        let mut chain = "b0: &b0 [x]\n".to_owned();
        for n in 1..1000 {
            let aliases = vec![format!("*a{}", n - 1); 10].join(", ");
            writeln!(laughs, "a{n}: &a{n} [{aliases}]").unwrap();
            writeln!(chain, "b{n}: &b{n} [*b{}]", n - 1).unwrap();
        }
        assert!(json(&laughs).contains("aliases make the document too large"));
        assert!(json(&chain).contains("nested too deeply"));
        for deep in ["[".repeat(100_000), "- ".repeat(100_000), "{a: ".repeat(100_000)] {
            assert!(json(&deep).contains("cannot be read"), "{}", json(&deep));
        }
    }
}
