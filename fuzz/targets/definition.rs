//! Any text as a flag definition: it is refused or taken, and what is taken can be evaluated.
#![no_main]

use flagstaff::evaluator::FlagSet;
use libfuzzer_sys::fuzz_target;
use serde_json::Map;

fuzz_target!(|text: &str| {
    for parsed in [FlagSet::parse(text), FlagSet::parse_yaml(text)] {
        let Ok(flags) = parsed else { continue };
        for key in flags.keys() {
            let outcome = flags.evaluate(key, &Map::new());
            let _ = (outcome.boolean(), outcome.integer(), outcome.float());
        }
    }
});
