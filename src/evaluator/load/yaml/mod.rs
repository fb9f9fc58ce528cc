//! Flag definitions in YAML, read as flagd reads them: the first document of the text, YAML 1.2 with
//! what flagd's library keeps of 1.1 (merge keys, `0777`, `1_000`, dates), no name twice.

mod scalar;

use std::{
    collections::{HashMap, HashSet},
    rc::Rc,
};

use saphyr_parser::{Event, Marker, Parser, ScalarStyle, Tag};
use serde_json::Value as Json;

use super::{
    location::Position,
    tree::{Entry, Kind, MAX_DEPTH, Tree},
};
use crate::evaluator::{diagnostic::DefinitionError, json_text, number};

/// How many times its own size a text may grow by aliases, and how many bytes it may in any case.
const GROWTH: usize = 16;
const FREE_GROWTH: usize = 1 << 20;

/// Parses the first document of a text; an empty text is null.
pub(crate) fn parse(text: &str) -> Result<Rc<Tree>, DefinitionError> {
    let mut parser = Parser::new_from_str(text);
    let room = text.len().saturating_mul(GROWTH).saturating_add(FREE_GROWTH);
    let mut builder = Builder { room, ..Builder::default() };
    while let Some(event) = parser.next_event() {
        let (event, span) = event.map_err(|e| refused(place(*e.marker()), e.info()))?;
        if event == Event::DocumentEnd {
            break;
        }
        builder.take(event, place(span.start))?;
    }
    let nothing = || Rc::new(Tree { at: START, kind: Kind::Scalar(Json::Null), exact: true });
    Ok(builder.root.map_or_else(nothing, |part| part.tree))
}

const START: Position = Position { line: 1, column: 1 };

fn place(marker: Marker) -> Position {
    Position { line: marker.line().max(1), column: marker.col() + 1 }
}

fn refused(at: Position, message: impl Into<String>) -> DefinitionError {
    DefinitionError::Syntax { message: message.into(), line: at.line, column: at.column }
}

/// A value that is complete. Height and size count what aliases stand for.
#[derive(Clone)]
struct Part {
    tree: Rc<Tree>,
    /// The text, if it is a scalar: a name is compared by it.
    text: Option<Rc<str>>,
    height: usize,
    size: usize,
    /// Whether it is the name `<<`.
    merges: bool,
}

/// A list or an object that is not complete.
struct Open {
    at: Position,
    anchor: usize,
    height: usize,
    size: usize,
    items: Items,
}

enum Items {
    List(Vec<Rc<Tree>>),
    Object { name: Option<Part>, seen: HashSet<Rc<str>>, entries: Vec<Entry>, merged: Vec<Entry> },
}

#[derive(Default)]
struct Builder {
    open: Vec<Open>,
    anchors: HashMap<usize, Part>,
    root: Option<Part>,
    /// How many bytes the values may have.
    room: usize,
}

impl Builder {
    fn take(&mut self, event: Event<'_>, at: Position) -> Result<(), DefinitionError> {
        match event {
            Event::Scalar(text, style, anchor, tag) => {
                let part = scalar_part(&text, style, tag.as_deref(), at)?;
                self.complete(anchor, part, at)
            }
            Event::Alias(anchor) => {
                let part = self.anchors.get(&anchor).cloned();
                let part = part.ok_or_else(|| refused(at, "an alias within its own anchor"))?;
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

    fn open(&mut self, at: Position, anchor: usize, items: Items) -> Result<(), DefinitionError> {
        if self.open.len() >= MAX_DEPTH {
            return Err(refused(at, "nested too deeply"));
        }
        self.open.push(Open { at, anchor, height: 0, size: 2, items });
        Ok(())
    }

    fn close(&mut self, at: Position) -> Result<(), DefinitionError> {
        let Some(open) = self.open.pop() else { return Ok(()) };
        let kind = match open.items {
            Items::List(items) => Kind::List(items),
            Items::Object { seen, mut entries, merged, .. } => {
                // What is written here goes before what is merged, and of that the first.
                let mut known: HashSet<_> = seen.iter().map(ToString::to_string).collect();
                entries.extend(merged.into_iter().filter(|e| known.insert(e.name.clone())));
                Kind::Object(entries)
            }
        };
        let tree = Rc::new(Tree { at: open.at, kind, exact: true });
        let (height, size) = (open.height + 1, open.size);
        self.complete(open.anchor, Part { tree, text: None, height, size, merges: false }, at)
    }

    /// A value that may bear an anchor.
    fn complete(&mut self, anchor: usize, part: Part, at: Position) -> Result<(), DefinitionError> {
        if anchor > 0 {
            self.anchors.insert(anchor, part.clone());
        }
        self.add(part, at)
    }

    fn add(&mut self, part: Part, at: Position) -> Result<(), DefinitionError> {
        let depth = self.open.len();
        let Some(open) = self.open.last_mut() else {
            self.root = Some(part);
            return Ok(());
        };
        open.height = open.height.max(part.height);
        open.size = open.size.saturating_add(part.size);
        if depth + part.height > MAX_DEPTH {
            return Err(refused(at, "nested too deeply"));
        }
        if open.size > self.room {
            return Err(refused(at, "aliases make the document too large"));
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

fn scalar_part(
    text: &str,
    style: ScalarStyle,
    tag: Option<&Tag>,
    at: Position,
) -> Result<Part, DefinitionError> {
    let plain = style == ScalarStyle::Plain;
    // `!` alone says nothing.
    let tag = tag
        .filter(|tag| tag.suffix != "!")
        .map(|tag| if tag.is_yaml_core_schema() { &*tag.suffix } else { "" });
    let value = scalar::resolve(text, plain, tag).map_err(|message| refused(at, message))?;
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

/// A value that is to be a name.
fn name_part(
    part: Part,
    seen: &mut HashSet<Rc<str>>,
    at: Position,
) -> Result<Part, DefinitionError> {
    let text = part.text.clone().ok_or_else(|| refused(at, "a name must be a string"))?;
    if !seen.insert(text.clone()) {
        return Err(refused(at, format!("the name `{text}` occurs twice")));
    }
    Ok(part)
}

/// flagd takes names at the top as they are written, and others by their value.
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

/// Takes over the entries of what `<<` stands for: an object, or a list of them.
fn merge(tree: &Tree, merged: &mut Vec<Entry>, at: Position) -> Result<(), DefinitionError> {
    match &tree.kind {
        Kind::Object(entries) => merged.extend(entries.iter().cloned()),
        Kind::List(items) => {
            for item in items {
                match &item.kind {
                    Kind::Object(entries) => merged.extend(entries.iter().cloned()),
                    _ => return Err(refused(at, "only objects can be merged")),
                }
            }
        }
        Kind::Scalar(_) => return Err(refused(at, "only objects can be merged")),
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
