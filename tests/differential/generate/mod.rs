//! Rules and data, generated anew in every run.

mod data;
mod rules;

use serde_json::{Map, Value, json};

/// A targeting rule and the context that it is evaluated on.
#[derive(Clone, Debug)]
pub(crate) struct Case {
    pub(crate) rule: Value,
    pub(crate) data: Map<String, Value>,
}

impl Case {
    /// The context, including what flagd adds to it.
    pub(crate) fn data_for_flagd(&self) -> Value {
        let mut data = self.data.clone();
        data.insert("$flagd".to_owned(), json!({"flagKey": crate::KEY, "timestamp": crate::NOW}));
        Value::Object(data)
    }
}

/// A generator of cases: the same for the same seed.
pub(crate) struct Generator {
    state: u64,
    /// Whether the current case is limited to usual rules, so that most do not fail.
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
            // To flagd these are not rules.
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
}
