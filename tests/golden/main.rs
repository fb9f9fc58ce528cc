//! The evaluator against recorded answers of a real flagd.
//!
//! `FLAGSTAFF_GOLDEN_DIR` names the folder of the recordings: files `*.jsonl` with a case a line, of
//! the fields `class`, `flags` (the definition), `key`, `type`, `context`, and `v1` and `v2` (flagd's
//! answers on either version of its protocol) or `rejected` (what flagd said of the definition).

use std::{
    collections::{BTreeMap, HashMap},
    env, fs,
    io::{self, BufRead},
    path::{Path, PathBuf},
    process::ExitCode,
};

use flagstaff::evaluator::{ErrorCode, FlagSet, Outcome, Reason};
use serde_json::{Map, Value, json, value::RawValue};

/// How many cases that differ are shown of each class.
const SHOWN: usize = 3;

fn main() -> ExitCode {
    let Some(folder) = env::var_os("FLAGSTAFF_GOLDEN_DIR") else {
        println!("golden: ignored, since FLAGSTAFF_GOLDEN_DIR names no folder of recorded answers");
        return ExitCode::SUCCESS;
    };
    match run(Path::new(&folder)) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("golden: {}: {error}", folder.display());
            ExitCode::FAILURE
        }
    }
}

#[derive(Default)]
struct Tally {
    agreed: usize,
    by_rule: usize,
    total: usize,
    differences: Vec<String>,
}

fn run(folder: &Path) -> io::Result<bool> {
    let mut classes: BTreeMap<String, Tally> = BTreeMap::new();
    for file in recordings(folder)? {
        for line in io::BufReader::new(fs::File::open(file)?).lines() {
            let line = line?;
            let (class, verdict) = match Case::parse(&line) {
                Ok(case) => (case.class.clone(), case.judge()),
                Err(error) => ("unreadable".to_owned(), Verdict::Differs(error.to_string())),
            };
            let tally = classes.entry(class).or_default();
            tally.total += 1;
            match verdict {
                Verdict::Agrees => tally.agreed += 1,
                Verdict::ByRule => {
                    tally.agreed += 1;
                    tally.by_rule += 1;
                }
                Verdict::Differs(difference) => tally.differences.push(difference),
            }
        }
    }
    for (class, tally) in &classes {
        println!("{class}: {} of {}", tally.agreed, tally.total);
        for difference in tally.differences.iter().take(SHOWN) {
            println!("    {difference}");
        }
    }
    let sum = |count: fn(&Tally) -> usize| classes.values().map(count).sum::<usize>();
    let (agreed, total) = (sum(|tally| tally.agreed), sum(|tally| tally.total));
    println!("golden: {agreed} agreed of {total} ({} by rule)", sum(|tally| tally.by_rule));
    Ok(total > 0 && agreed == total)
}

fn recordings(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "jsonl") {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

enum Verdict {
    Agrees,
    /// It differs as the documentation says that it does.
    ByRule,
    Differs(String),
}

struct Case {
    class: String,
    definition: String,
    key: String,
    kind: Kind,
    context: Map<String, Value>,
    expected: Expected,
}

enum Expected {
    Answers { v1: Value, v2: Value },
    Rejected(String),
}

#[derive(Clone, Copy)]
enum Kind {
    Boolean,
    String,
    Integer,
    Float,
    Object,
}

impl Case {
    fn parse(line: &str) -> serde_json::Result<Self> {
        let fields: HashMap<String, &RawValue> = serde_json::from_str(line)?;
        let raw = |name: &str| fields.get(name).map_or("null", |field| field.get());
        let text = |name: &str| serde_json::from_str::<String>(raw(name));
        Ok(Self {
            class: text("class")?,
            definition: raw("flags").to_owned(),
            key: text("key")?,
            kind: match &*text("type")? {
                "boolean" => Kind::Boolean,
                "string" => Kind::String,
                "integer" => Kind::Integer,
                "float" => Kind::Float,
                _ => Kind::Object,
            },
            context: serde_json::from_str(raw("context"))?,
            expected: match fields.get("rejected") {
                Some(reason) => Expected::Rejected(serde_json::from_str(reason.get())?),
                None => Expected::Answers {
                    v1: serde_json::from_str(raw("v1"))?,
                    v2: serde_json::from_str(raw("v2"))?,
                },
            },
        })
    }

    fn judge(&self) -> Verdict {
        let set = match (FlagSet::parse(&self.definition), &self.expected) {
            (Err(_), Expected::Rejected(_)) => return Verdict::Agrees,
            (Err(error), _) => return Verdict::Differs(format!("{}: refused: {error}", self.key)),
            (Ok(set), _) => set,
        };
        let outcome = set.evaluate(&self.key, &self.context);
        match &self.expected {
            // The definition as such is taken, only this flag is left out.
            Expected::Rejected(reason) if reason.starts_with("unable to insert flag") => {
                match outcome.error {
                    Some(ErrorCode::FlagNotFound) => Verdict::Agrees,
                    _ => Verdict::Differs(format!("{}: not left out: {reason}", self.key)),
                }
            }
            Expected::Rejected(reason) => {
                Verdict::Differs(format!("{}: not refused: {reason}", self.key))
            }
            Expected::Answers { v1, v2 } => self.compare(&outcome, v1, v2),
        }
    }

    fn compare(&self, outcome: &Outcome<'_>, v1: &Value, v2: &Value) -> Verdict {
        let answers =
            [(v2, self.answer_v2(outcome), None), (v1, self.answer_v1(outcome), Some(self.zero()))];
        for (expected, given, zero) in answers {
            if !same(&tidy(expected, zero.as_ref()), &tidy(&given, zero.as_ref())) {
                if self.is_beyond_64_bits(outcome) {
                    return Verdict::ByRule;
                }
                return Verdict::Differs(format!("{}: {given} in place of {expected}", self.key));
            }
        }
        Verdict::Agrees
    }

    /// An integer was asked for, and the number has more than 64 bits: flagd's answer is -2^63.
    fn is_beyond_64_bits(&self, outcome: &Outcome<'_>) -> bool {
        matches!(self.kind, Kind::Integer)
            && outcome.integer() == Err(ErrorCode::TypeMismatch)
            && matches!(outcome.float(), Ok(Some(number)) if number.abs() >= 2f64.powi(63))
    }

    fn value(&self, outcome: &Outcome<'_>) -> Result<Option<Value>, ErrorCode> {
        Ok(match self.kind {
            Kind::Boolean => outcome.boolean()?.map(Value::from),
            Kind::String => outcome.string()?.map(Value::from),
            Kind::Integer => outcome.integer()?.map(Value::from),
            Kind::Float => outcome.float()?.map(Value::from),
            Kind::Object => outcome.object()?.map(|object| Value::Object(object.clone())),
        })
    }

    fn answer_v2(&self, outcome: &Outcome<'_>) -> Value {
        let value = match self.value(outcome) {
            Ok(value) => value,
            Err(error) => return json!({"error": status(error), "message": error.to_string()}),
        };
        let mut answer = Map::new();
        answer.extend(value.map(|value| ("value".to_owned(), value)));
        answer.extend(outcome.variant.map(|variant| ("variant".to_owned(), variant.into())));
        answer.insert("reason".to_owned(), outcome.reason.as_str().into());
        answer.insert("metadata".to_owned(), Value::Object(outcome.metadata.clone()));
        Value::Object(answer)
    }

    /// As version 2, except that it can only say of a flag without default variant that it is missing.
    fn answer_v1(&self, outcome: &Outcome<'_>) -> Value {
        if outcome.reason == Reason::Default && outcome.value.is_none() {
            let error = ErrorCode::FlagNotFound;
            return json!({"error": status(error), "message": error.to_string()});
        }
        self.answer_v2(outcome)
    }

    /// What version 1 leaves away.
    fn zero(&self) -> Value {
        match self.kind {
            Kind::Boolean => json!(false),
            Kind::String => json!(""),
            Kind::Integer | Kind::Float => json!(0),
            Kind::Object => json!({}),
        }
    }
}

/// An answer without what is absent on the wire: empty texts, and under version 1 a `zero` value.
fn tidy(answer: &Value, zero: Option<&Value>) -> Value {
    let mut answer = answer.clone();
    if let Some(fields) = answer.as_object_mut().filter(|fields| !fields.contains_key("error")) {
        fields.retain(|name, value| match name.as_str() {
            "value" => !zero.is_some_and(|zero| same(value, zero)),
            "variant" | "metadata" => !(same(value, &json!("")) || same(value, &json!({}))),
            _ => true,
        });
    }
    answer
}

fn status(error: ErrorCode) -> &'static str {
    match error {
        ErrorCode::FlagNotFound => "NOT_FOUND",
        ErrorCode::ParseError => "DATA_LOSS",
        ErrorCode::TypeMismatch => "INVALID_ARGUMENT",
        _ => "UNKNOWN",
    }
}

/// Equality of JSON values, numbers by what they are worth.
fn same(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Number(a), Value::Number(b)) => a.as_f64() == b.as_f64(),
        (Value::Array(a), Value::Array(b)) => {
            a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same(a, b))
        }
        (Value::Object(a), Value::Object(b)) => {
            a.len() == b.len() && a.iter().all(|(name, a)| b.get(name).is_some_and(|b| same(a, b)))
        }
        (a, b) => a == b,
    }
}
