//! Rules: operators and their operands.

use serde_json::{Value, json};

use super::Generator;

/// Operators that evaluate all of their arguments.
pub(super) const EAGER: &[&str] = &[
    "!",
    "!!",
    "==",
    "!=",
    "===",
    "!==",
    "<",
    "<=",
    ">",
    ">=",
    "+",
    "-",
    "*",
    "/",
    "%",
    "abs",
    "max",
    "min",
    "cat",
    "substr",
    "in",
    "merge",
    "missing",
    "missing_some",
    "contains_all",
    "contains_any",
    "contains_none",
    "set",
];

/// Operators that evaluate a body for each item of an array.
const EACH: &[&str] = &["map", "filter", "all", "some", "none", "reduce"];

/// Names of variables: of the context, of items, of `reduce`, and unknown ones.
const NAMES: &[&str] = &[
    "a",
    "b",
    "n",
    "s",
    "t",
    "z",
    "l",
    "o",
    "m",
    "x",
    "r",
    "q",
    "l.0",
    "l.1",
    "l.9",
    "l.-1",
    "l.x",
    "o.a",
    "o.b",
    "o.b.c",
    "m.0.a",
    "m.1.b",
    "nope",
    "nope.a",
    "s.0",
    "",
    ".",
    ".a",
    ".b",
    "a.",
    "..o..a",
    "current",
    "accumulator",
    "valueType",
    "current.a",
    "current.b",
    "0",
    "1",
    "é",
    "$flagd.flagKey",
    "$flagd.timestamp",
    "targetingKey",
];

impl Generator {
    pub(super) fn rule(&mut self, depth: usize) -> Value {
        if depth == 0 {
            return self.leaf();
        }
        match self.below(if self.tame { 17 } else { 20 }) {
            0..=7 => {
                let name = self.one_of(EAGER);
                self.eager(name, depth - 1)
            }
            8..=10 => self.conditional(depth - 1),
            11..=13 => self.each(depth - 1),
            14..=16 => self.variable(depth - 1),
            17 => self.list(depth - 1),
            18 => self.leaf(),
            _ => self.unusual(depth - 1),
        }
    }

    fn leaf(&mut self) -> Value {
        match self.below(if self.tame { 8 } else { 10 }) {
            0..=3 => self.variable(0),
            4..=7 => self.scalar(),
            8 => self.constant(2),
            _ => json!({"var": ""}),
        }
    }

    fn list(&mut self, depth: usize) -> Value {
        (0..self.below(4)).map(|_| self.rule(depth)).collect()
    }

    fn eager(&mut self, name: &str, depth: usize) -> Value {
        let first = if self.tame { 2 } else { 0 };
        let arguments = match (name, first + self.below(12 - first)) {
            (_, 0) => self.rule(depth),
            (_, 1) => self.list(depth),
            ("substr", _) => {
                let text = self.rule(depth);
                let places = (0..=self.below(3)).map(|_| match self.below(6) {
                    0 => self.rule(depth),
                    _ => json!(self.one_of(&[0, 1, 2, 3, 7, -1, -2, -3, -7])),
                });
                std::iter::once(text).chain(places.collect::<Vec<_>>()).collect()
            }
            ("in", _) => json!([self.rule(depth), self.list_or_rule(depth)]),
            ("contains_all" | "contains_any" | "contains_none", _) => {
                json!([self.list_or_rule(depth), self.list_or_rule(depth)])
            }
            ("missing", 2..=8) => self.names(),
            ("missing_some", _) => json!([self.one_of(&[0, 1, 2, 5]), self.names()]),
            ("set", _) => json!([self.object(), self.one_of(&["a", "b", ""]), self.rule(depth)]),
            _ => (0..=self.below(3)).map(|_| self.rule(depth)).collect(),
        };
        json!({name: arguments})
    }

    fn names(&mut self) -> Value {
        let name = |generator: &mut Self| match generator.below(8) {
            0 => generator.scalar(),
            _ => json!(generator.one_of(NAMES)),
        };
        (0..self.below(4)).map(|_| name(self)).collect()
    }

    fn object(&mut self) -> Value {
        match self.below(4) {
            0 => json!({"a": 1, "b": {"c": self.scalar()}}),
            1 => self.scalar(),
            _ => json!({"var": self.one_of(&["o", "", "m.0", "x"])}),
        }
    }

    fn list_or_rule(&mut self, depth: usize) -> Value {
        match self.below(5) {
            0 => self.rule(depth),
            1 => json!({"var": self.one_of(&["l", "m", "q", "o"])}),
            2 => self.list(depth),
            _ => self.alike(),
        }
    }

    fn conditional(&mut self, depth: usize) -> Value {
        let name = self.one_of(&["if", "if", "?:", "and", "or"]);
        if self.below(15) == 0 {
            return json!({name: self.rule(depth)});
        }
        if self.below(6) == 0 {
            return self.chain(depth);
        }
        let clauses: Value = (0..self.below(5)).map(|_| self.rule(depth)).collect();
        json!({name: clauses})
    }

    /// Many conditions on one variable.
    fn chain(&mut self, depth: usize) -> Value {
        let name = self.one_of(&["a", "s", "t", "", "current", "l.0"]);
        let mut clauses = Vec::new();
        for _ in 0..2 + self.below(5) {
            let operator = self.one_of(&["==", "==", "==", "==="]);
            let text = json!(self.one_of(&["a", "b", "1", "abc", "", "0", "é"]));
            let variable = json!({"var": name});
            let sides = if self.below(5) == 0 { [text, variable] } else { [variable, text] };
            clauses.extend([json!({operator: sides}), self.rule(depth.min(1))]);
        }
        clauses.extend((0..self.below(4)).map(|_| self.rule(depth)));
        json!({"if": clauses})
    }

    fn each(&mut self, depth: usize) -> Value {
        let name = self.one_of(EACH);
        if self.below(15) == 0 {
            let list = self.list(depth);
            return json!({name: list});
        }
        let subject = self.list_or_rule(depth);
        let body = match self.below(3) {
            0 => self.rule(depth),
            1 => {
                let variable = self.one_of(&["a", "b", "", ".a", "current", "accumulator"]);
                let operator = self.one_of(EAGER);
                json!({operator: [{"var": variable}, self.leaf()]})
            }
            _ => {
                let operator = self.one_of(EAGER);
                self.eager(operator, depth.min(1))
            }
        };
        match (name, self.below(10)) {
            ("reduce", 0) => json!({name: [subject, body]}),
            ("reduce", _) => {
                let accumulate = json!({self.one_of(&["+", "cat", "*", "max", "and", "-"]):
                    [{"var": "accumulator"}, {"var": self.one_of(&["current", "current.a"])}]});
                let body = if self.below(2) == 0 { body } else { accumulate };
                json!({name: [subject, body, self.leaf()]})
            }
            _ => json!({name: [subject, body]}),
        }
    }

    fn variable(&mut self, depth: usize) -> Value {
        let name = json!(self.one_of(NAMES));
        let name =
            if self.tame { json!(self.one_of(&["a", "n", "s", "t", "l.0", "o.a"])) } else { name };
        match self.below(if self.tame { 40 } else { 14 }) {
            0 => json!({"var": [name, self.rule(depth)]}),
            1 => json!({"var": [name]}),
            2 => json!({"var": self.rule(depth)}),
            3 => json!({"var": self.scalar()}),
            4 => json!({"var": [self.rule(depth), self.scalar()]}),
            5 => json!({"var": self.list(depth)}),
            _ => json!({"var": name}),
        }
    }

    /// Invalid rules.
    fn unusual(&mut self, depth: usize) -> Value {
        match self.below(6) {
            0 => json!({"nope": self.rule(depth)}),
            1 => json!({}),
            // flagd evaluates the fields in no particular order: neither may fail on its own.
            2 => json!({"a": self.scalar(), "if": [1, 2]}),
            3 => json!({self.one_of(EAGER): {}}),
            4 => json!({self.one_of(EACH): self.scalar()}),
            _ => json!({self.one_of(EAGER): self.scalar()}),
        }
    }
}
