//! `build` reads the environment of the process. That cannot be changed safely from within, so the
//! test runs itself again.

use std::process::Command;

use flagstaff::{FlagdOptions, FlagdProvider};

const NAME: &str = "options::process::build_reads_the_environment_of_the_process";
const AGAIN: &str = "FLAGSTAFF_TEST_RUNS_AGAIN";

#[test]
fn build_reads_the_environment_of_the_process() {
    if std::env::var_os(AGAIN).is_some() {
        return in_the_child();
    }
    let mut child = Command::new(std::env::current_exe().unwrap());
    for row in FlagdOptions::TABLE {
        child.env_remove(row.variable);
    }
    let child = child
        .args([NAME, "--exact", "--nocapture"])
        .env(AGAIN, "1")
        .env("FLAGD_HOST", "flags.internal")
        .env("FLAGD_PORT", "1234")
        .env("FLAGD_CACHE", "")
        .output()
        .unwrap();
    let output = String::from_utf8_lossy(&child.stdout);
    assert!(child.status.success(), "{output}{}", String::from_utf8_lossy(&child.stderr));
    assert!(output.contains("1 passed"), "{output}");
}

fn in_the_child() {
    let options = FlagdOptions::builder().max_cache_size(5).build().unwrap();
    assert_eq!((options.host(), options.port()), ("flags.internal", 1234));
    assert_eq!(options.max_cache_size(), 5);
    let provider = FlagdProvider::from_env().unwrap();
    assert_eq!(provider.options().host(), "flags.internal");
}
