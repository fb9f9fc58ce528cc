//! The evaluator, and with the feature `server` the embedded server, against recorded responses of
//! a real flagd.
//!
//! The recordings are in the project; `FLAGSTAFF_GOLDEN_DIR` names a folder of others to use
//! instead.

mod answer;
mod case;
mod evaluator;
#[cfg(feature = "server")]
mod server;
#[path = "../support/mod.rs"]
#[allow(unused_imports)]
mod support;

use std::{collections::BTreeMap, io, process::ExitCode};

use case::Case;

/// How many cases may differ as documented: more would hide a mistake in the rules.
const MOST_BY_RULE: usize = 9;

/// How many cases that differ are shown of each class.
const SHOWN: usize = 3;

fn main() -> ExitCode {
    match run() {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("golden: {error}");
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

fn run() -> io::Result<bool> {
    let mut classes: BTreeMap<String, Tally> = BTreeMap::new();
    let mut ways = Ways::start();
    for line in case::lines()? {
        let (class, verdict) = match Case::parse(&line?) {
            Ok(case) => (case.class.clone(), ways.judge(&case)),
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
    for (class, tally) in &classes {
        println!("{class}: {} of {}", tally.agreed, tally.total);
        for difference in tally.differences.iter().take(SHOWN) {
            println!("    {difference}");
        }
    }
    let sum = |count: fn(&Tally) -> usize| classes.values().map(count).sum::<usize>();
    let (agreed, total) = (sum(|tally| tally.agreed), sum(|tally| tally.total));
    let by_rule = sum(|tally| tally.by_rule);
    println!("golden: {agreed} agreed of {total} ({by_rule} by rule)");
    Ok(total > 0 && agreed == total && by_rule <= MOST_BY_RULE)
}

/// The outcome of a comparison.
enum Verdict {
    Agrees,
    /// It differs as documented.
    ByRule,
    Differs(String),
}

/// The protocols.
struct Ways {
    #[cfg(feature = "server")]
    server: server::Served,
}

impl Ways {
    fn start() -> Self {
        Self {
            #[cfg(feature = "server")]
            server: server::Served::start(),
        }
    }

    /// A case agrees if it does over every protocol.
    #[allow(clippy::unused_self, clippy::needless_pass_by_ref_mut)]
    fn judge(&mut self, case: &Case) -> Verdict {
        #[cfg(feature = "server")]
        match self.server.judge(case) {
            Verdict::Agrees => {}
            Verdict::ByRule => match case.judge() {
                Verdict::Agrees => return Verdict::ByRule,
                other => return other,
            },
            differs @ Verdict::Differs(_) => return differs,
        }
        case.judge()
    }
}
