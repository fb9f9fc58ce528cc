//! A definition as a tree whose parts know their place in the text: for YAML, for telling where a
//! problem is, and for warnings. The evaluator itself reads JSON text without it.

use std::{collections::HashMap, rc::Rc};

use serde::Deserialize;
use serde_json::{Value as Json, value::RawValue};

use super::{
    definition::Entries,
    json_text,
    location::{Cursor, Lines, Position},
    problem::DefinitionError,
};

/// How deep a tree may be, counted in lists and objects: as deep as JSON may be.
pub(super) const MAX_DEPTH: usize = 127;

/// A value and where it begins.
#[derive(Debug)]
pub(super) struct Tree {
    pub(super) at: Position,
    pub(super) kind: Kind,
}

#[derive(Debug)]
pub(super) enum Kind {
    /// Neither list nor object.
    Scalar(Json),
    List(Vec<Rc<Tree>>),
    Object(Vec<Entry>),
}

/// A name of an object and its value.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub(super) name: String,
    pub(super) at: Position,
    pub(super) value: Rc<Tree>,
}

/// A step from a list or an object to what it holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Step {
    Name(String),
    Index(usize),
}

impl Tree {
    /// Parses JSON.
    pub(super) fn of_json(text: &str) -> Result<Self, DefinitionError> {
        let whole: &RawValue =
            serde_json::from_str(text).map_err(|error| DefinitionError::in_text(&error, text))?;
        // Each level is looked through again, so that text without bound in depth must not begin.
        if let Some(offset) = too_deep(text) {
            let Position { line, column } = Lines::new(text).position(offset);
            let message = "nested too deeply".to_owned();
            return Err(DefinitionError::Syntax { message, line, column });
        }
        Source { text, cursor: Cursor::new(text) }.tree(whole)
    }

    /// The value of a name: of two the later.
    pub(super) fn get(&self, name: &str) -> Option<&Self> {
        match &self.kind {
            Kind::Object(entries) => {
                let entry = entries.iter().rev().find(|entry| entry.name == name);
                entry.map(|entry| &*entry.value)
            }
            _ => None,
        }
    }

    /// Appends the JSON text.
    pub(super) fn write_json(&self, out: &mut String) {
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

/// Finds the places that paths lead to; the names of an object are gone through once.
#[derive(Default)]
pub(super) struct Places<'t> {
    /// What the names of an object stand for, of two the later.
    names: HashMap<*const Tree, HashMap<&'t str, &'t Tree>>,
}

impl<'t> Places<'t> {
    /// Where the path leads, or the last place on it that there is.
    pub(super) fn place(&mut self, tree: &'t Tree, path: &[Step]) -> Position {
        let mut tree = tree;
        for step in path {
            let Some(part) = self.step(tree, step) else { break };
            tree = part;
        }
        tree.at
    }

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

/// A text in JSON.
struct Source<'t> {
    text: &'t str,
    /// The parts are gone through in the order of the text.
    cursor: Cursor<'t>,
}

impl<'t> Source<'t> {
    fn tree(&mut self, part: &'t RawValue) -> Result<Tree, DefinitionError> {
        let at = self.place(part);
        let text = part.get();
        let kind = if text.starts_with('{') {
            let mut entries = Vec::new();
            for (name, value) in self.parse::<Entries<'_>>(part)?.0 {
                let at = self.place(name);
                let name = self.parse(name)?;
                entries.push(Entry { name, at, value: self.tree(value)?.into() });
            }
            Kind::Object(entries)
        } else if text.starts_with('[') {
            let items = self.parse::<Vec<&RawValue>>(part)?.into_iter();
            Kind::List(items.map(|item| self.tree(item).map(Rc::new)).collect::<Result<_, _>>()?)
        } else {
            Kind::Scalar(self.parse(part)?)
        };
        Ok(Tree { at, kind })
    }

    fn parse<T: Deserialize<'t>>(&self, part: &'t RawValue) -> Result<T, DefinitionError> {
        serde_json::from_str(part.get())
            .map_err(|error| DefinitionError::in_part(&error, self.text, part))
    }

    fn place(&mut self, part: &RawValue) -> Position {
        self.cursor.position(part.get().as_ptr().addr() - self.text.as_ptr().addr())
    }
}

/// Where valid JSON is nested deeper than [`MAX_DEPTH`].
fn too_deep(text: &str) -> Option<usize> {
    let (mut depth, mut quoted, mut escaped) = (0, false, false);
    for (offset, byte) in text.bytes().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'"' => quoted = !quoted,
            b'[' | b'{' if !quoted => depth += 1,
            b']' | b'}' if !quoted => depth -= 1,
            _ => {}
        }
        if depth > MAX_DEPTH {
            return Some(offset);
        }
    }
    None
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
