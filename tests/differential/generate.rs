//! Rules and data, made anew in every run.

use serde_json::{Map, Value, json};

/// A targeting rule and the context that it is evaluated on.
#[derive(Clone, Debug)]
pub(crate) struct Case {
    pub(crate) rule: Value,
    pub(crate) data: Map<String, Value>,
}

impl Case {
    /// The context with what flagd adds to it.
    pub(crate) fn data_for_flagd(&self) -> Value {
        let mut data = self.data.clone();
        data.insert("$flagd".to_owned(), json!({"flagKey": crate::KEY, "timestamp": crate::NOW}));
        Value::Object(data)
    }
}

/// Operators that evaluate all of their arguments.
const EAGER: &[&str] = &[
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

/// Operators that evaluate a body on each item of a list.
const EACH: &[&str] = &["map", "filter", "all", "some", "none", "reduce"];

/// Texts that are odd as numbers, as names, and in JSON.
const TEXTS: &[&str] = &[
    "",
    " ",
    "a",
    "b",
    "c",
    "abc",
    "abcabc",
    "A",
    "0",
    "1",
    "2",
    "-1",
    "1.5",
    "01",
    "1e2",
    "1e400",
    "-1e400",
    "0x10",
    "0x1p4",
    "1_000",
    " 1",
    "1 ",
    "inf",
    "-Inf",
    "infinity",
    "nan",
    "NaN",
    "+nan",
    "true",
    "false",
    "null",
    "é",
    "žluťoučký",
    "日本語",
    "👩‍👩‍👧",
    "ß",
    "\u{a0}",
    "\u{2028}",
    "a\"b",
    "a\\b",
    "<&>",
    "a.b",
    ".a",
    "a.",
    "l.0",
    "o.a",
    "\n",
    "\u{7}",
    "\u{85}x\u{3000}",
];

const NUMBERS: &[f64] = &[
    0.0,
    -0.0,
    1.0,
    -1.0,
    2.0,
    3.0,
    10.0,
    0.5,
    -1.5,
    0.1,
    0.2,
    1e-6,
    1e-7,
    1e20,
    1e21,
    1e22,
    1.5e300,
    -1e300,
    5e-324,
    9_007_199_254_740_993.0,
    9.3e18,
    -9.3e18,
    4_294_967_296.0,
    100.0,
    123_456.789,
];

/// Names of variables: of the context, of items, of what `reduce` gives, and of nothing.
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

/// A generator of cases: the same for the same seed.
pub(crate) struct Generator {
    state: u64,
    /// Whether the case at hand keeps to what rules usually hold, so that most do not fail.
    tame: bool,
}

impl Generator {
    pub(crate) fn new(seed: u64) -> Self {
        Self { state: seed, tame: false }
    }

    pub(crate) fn case(&mut self) -> Case {
        let depth = 1 + self.below(4);
        self.tame = self.below(2) == 0;
        loop {
            let rule = self.rule(depth);
            // To flagd these are no rules.
            if !rule.is_null() && rule.as_object().is_none_or(|fields| !fields.is_empty()) {
                return Case { rule, data: self.data() };
            }
        }
    }

    /// splitmix64.
    fn next(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.state;
        mixed = (mixed ^ mixed >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ mixed >> 31
    }

    fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.next() >> 33).unwrap_or_default() % bound
    }

    fn one_of<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[self.below(choices.len())]
    }

    fn rule(&mut self, depth: usize) -> Value {
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

    fn scalar(&mut self) -> Value {
        let first = if self.tame { 3 } else { 0 };
        match first + self.below(10 - first) {
            0 => Value::Null,
            1 | 2 => Value::Bool(self.below(2) == 0),
            3 | 4 => json!(self.one_of(NUMBERS)),
            5 => json!(self.below(5)),
            6 => self.any_number(),
            7 => json!(self.text_like_a_number()),
            _ => json!(self.one_of(TEXTS)),
        }
    }

    /// Any number that JSON can hold.
    #[allow(clippy::cast_precision_loss)]
    fn any_number(&mut self) -> Value {
        let number = match self.below(3) {
            0 => f64::from_bits(self.next()),
            // The shortest text of such is often one of two that are as near.
            1 => (self.next() >> 11) as f64 / 8.0,
            _ => {
                f64::from(i32::from_le_bytes(self.next().to_le_bytes()[..4].try_into().unwrap()))
                    / 64.0
            }
        };
        serde_json::Number::from_f64(number).map_or(json!(1), Value::Number)
    }

    /// A text that is a number, or nearly.
    fn text_like_a_number(&mut self) -> String {
        let sign = self.one_of(&["", "", "", "-", "+", "--", " "]);
        let (prefix, digits, mark) = match self.below(3) {
            0 => (self.one_of(&["0x", "0X", "0x_"]), "0123456789abcdefABCDEF_.", "pP"),
            _ => (self.one_of(&["", "", "0", "."]), "0123456789_.", "eE"),
        };
        let mut text = format!("{sign}{prefix}");
        let digits: Vec<char> = digits.chars().collect();
        let magnitude = self.below(5);
        for _ in 0..self.below(1 << magnitude) {
            // Rather digits than underscores and points.
            let last = if self.below(6) == 0 { digits.len() } else { digits.len() - 2 };
            text.push(digits[self.below(last)]);
        }
        if self.below(3) > 0 {
            let magnitude = self.below(12);
            let exponent = self.below(1 << magnitude);
            let sign = self.one_of(&["", "-", "+", "_"]);
            text.push(self.one_of(&mark.chars().collect::<Vec<_>>()));
            text = format!("{text}{sign}{exponent}");
        }
        text
    }

    /// A value in which there is no operator.
    fn constant(&mut self, depth: usize) -> Value {
        match self.below(if depth == 0 { 1 } else { 3 }) {
            0 => self.scalar(),
            1 => (0..self.below(4)).map(|_| self.constant(depth - 1)).collect(),
            _ => {
                let fields = (0..self.below(4))
                    .map(|_| (self.one_of(&["a", "b", "c", "é", ""]), self.constant(depth - 1)));
                fields.map(|(name, value)| (name.to_owned(), value)).collect()
            }
        }
    }

    /// A list of what may well be numbers, or texts, or objects with the same fields.
    fn alike(&mut self) -> Value {
        let kind = self.below(4);
        let item = |generator: &mut Self| match kind {
            0 => json!(generator.below(4)),
            1 => json!(generator.one_of(&["a", "b", "1", "é"])),
            2 => json!({"a": generator.below(3), "b": generator.scalar()}),
            _ => generator.constant(2),
        };
        (0..self.below(5)).map(|_| item(self)).collect()
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

    /// What no rule should be.
    fn unusual(&mut self, depth: usize) -> Value {
        match self.below(6) {
            0 => json!({"nope": self.rule(depth)}),
            1 => json!({}),
            // flagd looks at the fields in no order: neither may fail on its own.
            2 => json!({"a": self.scalar(), "if": [1, 2]}),
            3 => json!({self.one_of(EAGER): {}}),
            4 => json!({self.one_of(EACH): self.scalar()}),
            _ => json!({self.one_of(EAGER): self.scalar()}),
        }
    }

    fn data(&mut self) -> Map<String, Value> {
        let mut data = Map::new();
        for name in ["a", "b", "n", "s", "t", "z", "x", "é", "0", "targetingKey"] {
            if self.tame || self.below(3) > 0 {
                data.insert(name.to_owned(), self.scalar());
            }
        }
        data.insert("l".to_owned(), self.alike());
        data.insert("m".to_owned(), json!([{"a": self.below(3)}, {"b": self.scalar()}]));
        data.insert("o".to_owned(), json!({"a": self.scalar(), "b": {"c": self.constant(1)}}));
        data.insert("q".to_owned(), self.constant(3));
        data.insert("r".to_owned(), self.rule_as_data());
        data
    }

    /// A rule in the data; it reads scalars only, so that it cannot come to itself, where flagd
    /// would overflow its stack.
    fn rule_as_data(&mut self) -> Value {
        let variable = json!({"var": self.one_of(&["a", "b", "n", "s"])});
        match self.below(4) {
            0 => variable,
            1 => json!({"if": [variable, self.scalar(), variable]}),
            2 => json!([variable, self.scalar()]),
            _ => json!({self.one_of(EAGER): [variable, self.scalar()]}),
        }
    }
}
