//! What the program asks of the system, as strace shows it.

use std::{collections::HashMap, fs, process::Command, time::Instant};

use crate::{
    http::LONG,
    program::{Program, text},
};

const WRITES: usize = 20;
/// How many writes come first, while the jobs that run at the start may write too.
const EARLY: usize = 3;

#[tokio::test]
async fn an_fsync_precedes_each_acknowledgement() {
    if Command::new("strace").arg("-V").output().is_err() {
        return testing::skip("strace");
    }
    let program = Program::new();
    let token = program.token();
    let trace = program.path("trace");
    // As a grandchild, so that it is the program that is killed at the end.
    let strace = ["strace", "-D", "-f", "-y", "-s", "16", "-o", text(&trace)];
    let calls = ["-e", "trace=pwrite64,fsync,fdatasync,write,writev,sendto,sendmsg"];
    let mut server = program.serve_under(&[&strace[..], &calls].concat(), &token);
    for number in 0..EARLY + WRITES {
        server.set("/api/fact/acme/tier", &number.to_string()).await;
    }
    server.process.kill();
    let deadline = Instant::now() + LONG;
    let lines = loop {
        let lines = fs::read_to_string(&trace).unwrap();
        if lines.contains("+++ killed by SIGKILL +++") {
            break lines;
        }
        assert!(Instant::now() < deadline, "the trace has no end");
        tokio::task::yield_now().await;
    };
    assert_eq!(acknowledgements(&lines), EARLY + WRITES);
}

/// Counts the responses in a trace. Before each, the log of the database was written, and
/// synced after that.
fn acknowledgements(trace: &str) -> usize {
    let mut unfinished = HashMap::new();
    let (mut written, mut dirty, mut count) = (false, false, 0);
    for line in trace.lines() {
        let (thread, call) = line.split_once(' ').unwrap();
        let call = call.trim_start();
        if call.contains("\"HTTP/1.1 200") && !call.starts_with("<...") {
            if count >= EARLY {
                assert!(written, "response {count} without a write: {line}");
                assert!(!dirty, "response {count} before the log was synced: {line}");
            }
            (written, count) = (false, count + 1);
        }
        // A call has an effect when it ends; where others came between, that is another line.
        let ended = if let Some(begun) = call.strip_suffix("<unfinished ...>") {
            unfinished.insert(thread, begun);
            continue;
        } else if call.starts_with("<...") {
            unfinished.remove(thread).unwrap_or_default()
        } else {
            call
        };
        if !ended.contains("store.db-wal>") {
            continue;
        }
        if ended.starts_with("pwrite64") {
            (written, dirty) = (true, true);
        } else if ended.starts_with("fsync") || ended.starts_with("fdatasync") {
            assert!(call.ends_with("= 0"), "{line}");
            dirty = false;
        }
    }
    count
}

#[test]
#[should_panic(expected = "before the log was synced")]
fn a_trace_without_a_sync_is_noticed() {
    let round = "7 pwrite64(9</x/store.db-wal>, \"\", 24, 0) = 24\n\
                 7 fdatasync(9</x/store.db-wal>) = 0\n\
                 8 writev(10<socket:[1]>, [{\"HTTP/1.1 200 OK\"}]) = 99\n";
    let late = "7 pwrite64(9</x/store.db-wal>, \"\", 24, 0) = 24\n\
                7 fdatasync(9</x/store.db-wal> <unfinished ...>\n\
                8 writev(10<socket:[1]>, [{\"HTTP/1.1 200 OK\"}]) = 99\n\
                7 <... fdatasync resumed>) = 0\n";
    assert_eq!(acknowledgements(&round.repeat(EARLY + 2)), EARLY + 2);
    acknowledgements(&format!("{}{late}", round.repeat(EARLY)));
}
