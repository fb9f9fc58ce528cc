//! Which resolver it is: docs/options.md, and the configuration feature of flagd's testbed.

use flagstaff::{
    FlagdOptions,
    flagd::{FlagdOptionsBuilder, Resolver},
};
use serde_json::{Map, json};

use super::{build, from_variables, invalid};

const PATH: &str = "FLAGD_OFFLINE_FLAG_SOURCE_PATH";

fn resolver(builder: FlagdOptionsBuilder, variables: &[(&str, &str)]) -> Resolver {
    build(builder, variables).unwrap().resolver()
}

#[test]
fn a_file_makes_evaluation_in_process_that_of_a_file() {
    for (set, expected) in [
        (Resolver::InProcess, Resolver::File),
        (Resolver::Rpc, Resolver::Rpc),
        (Resolver::File, Resolver::File),
    ] {
        let builder = || FlagdOptions::builder().resolver(set);
        let in_program = builder().offline_flag_source_path("/flags.json");
        assert_eq!(resolver(in_program, &[]), expected);
        assert_eq!(resolver(builder(), &[(PATH, "/flags.json")]), expected);
    }
    let all = [("FLAGD_RESOLVER", "FILE"), (PATH, "/flags.json")];
    assert_eq!(from_variables(&all).unwrap().resolver(), Resolver::File);
}

#[test]
fn the_resolver_file_needs_a_file() {
    let without = build(FlagdOptions::builder().resolver(Resolver::File), &[]);
    assert!(invalid(without, "offlineFlagSourcePath", PATH).contains("`file`"));
    let empty = from_variables(&[("FLAGD_RESOLVER", "file"), (PATH, "")]);
    invalid(empty, "offlineFlagSourcePath", PATH);
}

#[test]
fn options_with_an_enricher_can_be_debugged() {
    let builder = FlagdOptions::builder();
    assert!(format!("{:?}", build(builder.clone(), &[])).contains("identity"));
    let builder = builder.context_enricher(|_| Map::from_iter([("a".to_owned(), json!(1))]));
    assert!(format!("{:?}", build(builder, &[])).contains("a function"));
}
