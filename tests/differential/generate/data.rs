//! Values, and the contexts that contain them.

use serde_json::{Map, Value, json};

use super::{Generator, rules::EAGER};

/// Strings that are unusual as numbers, as names, and in JSON.
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

impl Generator {
    pub(super) fn scalar(&mut self) -> Value {
        let first = if self.tame { 3 } else { 0 };
        match first + self.below(10 - first) {
            0 => Value::Null,
            1 | 2 => Value::Bool(self.below(2) == 0),
            3 | 4 => json!(self.one_of(NUMBERS)),
            5 => json!(self.below(5)),
            6 => self.any_number(),
            7 => json!(self.string_like_a_number()),
            _ => json!(self.one_of(TEXTS)),
        }
    }

    /// Any number that JSON can hold.
    #[allow(clippy::cast_precision_loss)]
    fn any_number(&mut self) -> Value {
        let number = match self.below(3) {
            0 => f64::from_bits(self.next()),
            // The shortest form of such a number is often one of two equally near.
            1 => (self.next() >> 11) as f64 / 8.0,
            _ => {
                f64::from(i32::from_le_bytes(self.next().to_le_bytes()[..4].try_into().unwrap()))
                    / 64.0
            }
        };
        serde_json::Number::from_f64(number).map_or(json!(1), Value::Number)
    }

    /// A string that is a number, or nearly. Hexadecimal floats and underscores, which flagd takes
    /// for numbers and the evaluator does not, are left out.
    fn string_like_a_number(&mut self) -> String {
        let sign = self.one_of(&["", "", "", "-", "+", "--", " "]);
        let prefix = self.one_of(&["", "", "0", ".", "0x"]);
        let mut text = format!("{sign}{prefix}");
        let digits: Vec<char> = "0123456789.".chars().collect();
        let magnitude = self.below(5);
        for _ in 0..self.below(1 << magnitude) {
            // More digits than points.
            let last = if self.below(6) == 0 { digits.len() } else { digits.len() - 1 };
            text.push(digits[self.below(last)]);
        }
        if self.below(3) > 0 {
            let magnitude = self.below(12);
            let exponent = self.below(1 << magnitude);
            let sign = self.one_of(&["", "-", "+", "_"]);
            text.push(self.one_of(&['e', 'E']));
            text = format!("{text}{sign}{exponent}");
        }
        text
    }

    /// A value without operators.
    pub(super) fn constant(&mut self, depth: usize) -> Value {
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

    /// An array of values, most likely all numbers, all strings, or objects with the same fields.
    pub(super) fn alike(&mut self) -> Value {
        let kind = self.below(4);
        let item = |generator: &mut Self| match kind {
            0 => json!(generator.below(4)),
            1 => json!(generator.one_of(&["a", "b", "1", "é"])),
            2 => json!({"a": generator.below(3), "b": generator.scalar()}),
            _ => generator.constant(2),
        };
        (0..self.below(5)).map(|_| item(self)).collect()
    }

    pub(super) fn data(&mut self) -> Map<String, Value> {
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

    /// A rule in the data; it reads only scalars, so it cannot reach itself, which would overflow
    /// flagd's stack.
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
