//! Flag definitions and requests, generated anew in every run: what flagd adds to `JsonLogic`, how
//! flags are written, and what it rejects. The recordings and the differential test prove the rest.

use serde_json::{Map, Value, json};

use crate::support::ask::Kind;

/// A definition of several flags, one of which is always valid.
#[derive(Debug)]
pub(super) struct Definition {
    pub(super) json: Value,
    pub(super) keys: Vec<String>,
    /// The key of the valid flag: where it is missing, the definition was rejected.
    pub(super) witness: String,
}

/// A generator: the same for the same seed.
pub(super) struct Generator(pub(super) u64);

const FLAGS: usize = 8;
const KINDS: [Kind; 5] = [Kind::Boolean, Kind::String, Kind::Integer, Kind::Float, Kind::Object];
/// Parts of keys, of names of variants and of contexts.
const TEXTS: [&str; 16] =
    ["", " ", "a", "on", "é", "👍", ".", "%", "\"", "\\", "<", "1", "1.5", "true", "null", "a b"];
const VERSIONS: [&str; 18] = [
    "1.2.3",
    "v1.2.3",
    "V1.2",
    "1",
    "1.3.0",
    "2.0.0",
    "1.2.3-alpha",
    "1.2.3-alpha.1",
    "1.2.3-1",
    "1.2.3-01",
    "1.2.3+x",
    "1.2-x",
    "01.2.3",
    "1.2.3.4",
    "vV1",
    "",
    "1.",
    "99999999999999999999.0",
];

impl Generator {
    pub(super) fn definition(&mut self, number: usize) -> Definition {
        let witness = format!("{number} is taken");
        let right = json!({
            "state": "ENABLED", "variants": {"on": true}, "defaultVariant": "on",
            "metadata": {"flagSetId": "taken"},
        });
        let mut flags = vec![(witness.clone(), right)];
        for index in 0..FLAGS {
            let key = format!("{number}-{index}{}", self.one_of(&TEXTS));
            let flag = self.flag(&key);
            flags.push((key, flag));
        }
        let keys = flags.iter().map(|(key, _)| key.clone()).collect();
        let as_list = self.below(4) == 0;
        let mut json = json!({"flags": if as_list {
            flags.into_iter().map(|(key, mut flag)| {
                flag.as_object_mut().map(|fields| fields.insert("key".to_owned(), key.into()));
                flag
            }).collect::<Value>()
        } else {
            flags.into_iter().collect::<Map<_, _>>().into()
        }});
        if self.below(2) == 0 {
            json["metadata"] = self.metadata();
        }
        json["$evaluators"] = json!({"r": self.rule(1), "q": self.one_of(&["on", "off"])});
        if self.below(12) == 0 {
            json["$evaluators"]["empty"] = self.one_of(&[json!({}), json!(1), json!("")]);
        }
        Definition { json, keys, witness }
    }

    /// The type and the context of a request.
    pub(super) fn question(&mut self) -> (Kind, Value) {
        let mut context = Map::new();
        for name in ["targetingKey", "email", "version", "n", "s", "l"] {
            if self.below(5) > 0 {
                let usual = match name {
                    "version" => json!(self.one_of(&VERSIONS)),
                    "targetingKey" | "email" => json!(format!("user-{}@é", self.below(1000))),
                    _ => self.scalar(),
                };
                let value = if self.below(6) == 0 { self.value() } else { usual };
                context.insert(name.to_owned(), value);
            }
        }
        (self.one_of(&KINDS), context.into())
    }

    fn flag(&mut self, key: &str) -> Value {
        let mut flag = json!({"state": "ENABLED", "defaultVariant": "on"});
        let kind = self.below(6);
        let mut variants = Map::new();
        for name in ["on", "off", "a", "", "true", "false", "1", "1.5", "null", "é", key] {
            if name == "on" || self.below(2) == 0 {
                let value = match kind {
                    0 => json!(self.below(2) == 0),
                    1 => json!(self.one_of(&TEXTS)),
                    2 => self.number(),
                    3 => json!({"a": self.value(), "b": {"$ref": "q"}}),
                    _ => self.value(),
                };
                variants.insert(name.to_owned(), value);
            }
        }
        flag["variants"] = variants.into();
        if self.below(3) > 0 {
            flag["targeting"] = self.rule(2);
        }
        if self.below(3) == 0 {
            flag["metadata"] = self.metadata();
        }
        match self.below(40) {
            0..6 => flag["state"] = json!("DISABLED"),
            6 => flag["state"] = json!(self.one_of(&["", "disabled", "x"])),
            7..10 => flag["defaultVariant"] = Value::Null,
            10 => flag["defaultVariant"] = json!(""),
            11 => flag["targeting"] = Value::Null,
            12 => flag["targeting"] = json!({}),
            13 => flag["other"] = self.value(),
            14 => flag["Variants"] = json!({"off": 5}),
            15 if self.below(3) == 0 => flag = self.broken(flag),
            _ => {}
        }
        flag
    }

    fn broken(&mut self, mut flag: Value) -> Value {
        let field = self.one_of(&["state", "defaultVariant", "variants", "metadata", "source"]);
        flag[field] = self.one_of(&[json!(1), json!("nowhere"), json!([]), Value::Null]);
        flag
    }

    fn metadata(&mut self) -> Value {
        let mut metadata = Map::new();
        for name in ["a", "b", "é", "scope"] {
            if self.below(2) == 0 {
                metadata.insert(name.to_owned(), self.value());
            }
        }
        if self.below(4) == 0 {
            let id = self.one_of(&[json!("x"), json!(""), json!(1), Value::Null]);
            metadata.insert("flagSetId".to_owned(), id);
        }
        metadata.into()
    }

    fn rule(&mut self, depth: usize) -> Value {
        match self.below(if depth == 0 { 4 } else { 14 }) {
            0 => self.variable(),
            1 => self.scalar(),
            2 => json!(self.one_of(&["on", "off", "a", "true"])),
            3 => json!({"$ref": self.one_of(&["r", "q", "missing"])}),
            4..7 => json!({"if": [self.rule(depth - 1), self.rule(0), self.rule(depth - 1)]}),
            7..10 => self.fractional(depth),
            10 | 11 => {
                let operator = self.one_of(&["=", "!=", "<", "<=", ">", ">=", "^", "~", "==", ""]);
                json!({"sem_ver": [self.version(), operator, self.version()]})
            }
            12 => {
                let name = self.one_of(&["starts_with", "ends_with", "in", "==", "<", "cat"]);
                json!({name: [self.rule(0), self.rule(0)]})
            }
            _ => json!({"var": self.one_of(&["$flagd.flagKey", "targetingKey", "nope"])}),
        }
    }

    fn fractional(&mut self, depth: usize) -> Value {
        let mut parts = Vec::new();
        if self.below(2) == 0 {
            parts.push(self.rule(depth - 1));
        }
        for _ in 0..self.below(5) {
            let variant = self.one_of(&["on", "off", "a", "é"]);
            let weights =
                [json!(50), json!(1), json!(0), json!(-1), json!(2.0), json!(0.5), Value::Null];
            parts.push(match self.below(12) {
                0 => json!([variant]),
                1 => json!([self.scalar(), self.one_of(&weights)]),
                2 => json!([variant, self.rule(0)]),
                3 => self.scalar(),
                4 => json!([variant, self.one_of(&[2_147_483_647_u64, 2_147_483_648, 1 << 33])]),
                _ => json!([variant, self.one_of(&weights)]),
            });
        }
        json!({"fractional": parts})
    }

    fn version(&mut self) -> Value {
        match self.below(5) {
            0 => json!({"var": "version"}),
            1 => self.number(),
            _ => json!(self.one_of(&VERSIONS)),
        }
    }

    fn variable(&mut self) -> Value {
        json!({"var": self.one_of(&["s", "n", "email", "l.0", "", "version"])})
    }

    fn scalar(&mut self) -> Value {
        match self.below(6) {
            0 => Value::Null,
            1 => json!(self.below(2) == 0),
            2 | 3 => self.number(),
            _ => json!(self.one_of(&TEXTS)),
        }
    }

    /// Within 64 bits, beyond which the responses differ on purpose.
    fn number(&mut self) -> Value {
        self.one_of(&[
            json!(0),
            json!(-0.0),
            json!(1),
            json!(1.5),
            json!(-2.5),
            json!(0.1),
            json!(1e-7),
            json!(999_999.5),
            json!(1_000_000),
            json!(9_007_199_254_740_993_u64),
            json!(9.2e18),
        ])
    }

    fn value(&mut self) -> Value {
        match self.below(4) {
            0 => json!([self.scalar(), [self.scalar()]]),
            1 => json!({"x": self.scalar(), "": {"y": self.scalar()}}),
            _ => self.scalar(),
        }
    }

    fn one_of<T: Clone>(&mut self, choices: &[T]) -> T {
        choices[self.below(choices.len())].clone()
    }

    /// splitmix64.
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ mixed >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((mixed ^ mixed >> 31) >> 33).unwrap() % bound
    }
}
