//! What a record keeps, and what its file survives.

use std::fs;

use serde_json::json;

use super::*;

fn users(names: &str) -> Users {
    names.split_whitespace().collect()
}

#[tokio::test]
async fn a_record_survives_a_restart() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("state.json");
    let record = Record::open(&path, "a").unwrap();
    let spec = Map::from_iter([("name".to_owned(), json!("US"))]);
    record.create("ld", "us", &spec).await.unwrap();
    record.add("ld", "us", "test", &users("al bob")).await.unwrap();
    record.add("ld", "eu", "test", &users("cat")).await.unwrap();
    let read = Record::open(&path, "a").unwrap();
    assert_eq!(read.added("ld", "us", "test"), users("al bob"));
    assert_eq!(read.added("ld", "us", "production"), users(""));
    assert_eq!(read.created("ld"), [("us".to_owned(), spec)]);
    read.forget("ld", "us").await.unwrap();
    assert_eq!(Record::open(&path, "a").unwrap().created("ld"), []);
    assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1, "nothing else is left");
}

#[tokio::test]
async fn an_intent_is_recorded_before_and_a_creation_after() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("state.json");
    let record = Record::open(&path, "a").unwrap();
    let [first, second] = ["US", "us"].map(|name| Map::from_iter([("n".to_owned(), json!(name))]));
    record.announce([("ld", "us", &first), ("ld", "eu", &first)].into_iter());
    assert!(!path.exists(), "they are written together");
    record.intend("ld", "us", &first).await.unwrap();
    let read = Record::open(&path, "a").unwrap();
    assert_eq!((read.created("ld").len(), read.intended("ld").len()), (0, 2));
    assert_eq!(read.mark("us"), record.mark("us"), "the mark outlives the process");
    read.create("ld", "us", &first).await.unwrap();
    // Nothing is left to be written.
    fs::remove_file(&path).unwrap();
    read.intend("ld", "us", &first).await.unwrap();
    assert!(!path.exists());
    // With another spec it may be created elsewhere; it is still its own.
    read.intend("ld", "us", &second).await.unwrap();
    let read = Record::open(&path, "a").unwrap();
    assert_eq!(read.created("ld"), [("us".to_owned(), first.clone())]);
    assert_eq!(read.intended("ld"), [("eu".to_owned(), first)]);
    let other = Record::open(directory.path().join("other.json"), "a").unwrap();
    assert_ne!(other.mark("us"), record.mark("us"));
}

#[tokio::test]
async fn a_creation_whose_record_could_not_be_written_is_written_by_the_next_intent() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("state.json");
    let (record, spec) = (Record::open(&path, "a").unwrap(), Map::new());
    record.intend("ld", "us", &spec).await.unwrap();
    fs::remove_file(&path).unwrap();
    fs::create_dir(&path).unwrap();
    record.create("ld", "us", &spec).await.unwrap_err();
    record.intend("ld", "us", &spec).await.unwrap_err();
    fs::remove_dir(&path).unwrap();
    record.intend("ld", "us", &spec).await.unwrap();
    assert_eq!(Record::open(&path, "a").unwrap().created("ld").len(), 1);
}

#[tokio::test]
async fn the_last_list_is_kept_and_forgotten() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("state.json");
    let record = Record::open(&path, "a").unwrap();
    record.keep("rest", "us", Some(users(""))).await.unwrap();
    assert_eq!(Record::open(&path, "a").unwrap().last("rest", "us"), Some(users("")));
    record.keep("rest", "us", None).await.unwrap();
    assert_eq!(Record::open(&path, "a").unwrap().last("rest", "us"), None);
}

#[test]
fn what_is_no_record_of_this_instance_is_an_error_and_stays() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("state.json");
    for (text, expected) in [
        ("{", "is not a state file"),
        ("{}", "its version is not 1"),
        (r#"{"version":2,"targets":[]}"#, "its version is not 1"),
        (r#"{"version":1,"targets":{}} {"t":{"k":1}}"#, "is not a state file"),
        (r#"{"version":1,"instance":"b","targets":{}}"#, "belongs to the instance `b`, not `a`"),
        (r#"{"version":1,"instance":"a","targets":[]}"#, "is not a state file"),
        (r#"{"version":1,"instance":"a","targets":{"t":{"k":{"added":{"l":[1]}}}}}"#, "is not"),
    ] {
        fs::write(&path, text).unwrap();
        let error = Record::open(&path, "a").unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
        assert_eq!(fs::read_to_string(&path).unwrap(), text);
    }
}

#[tokio::test]
async fn a_file_that_cannot_be_written_leaves_the_former() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("state.json");
    let record = Record::open(&path, "a").unwrap();
    fs::create_dir(&path).unwrap();
    for _ in 0..2 {
        let error = record.add("t", "k", "l", &users("bob")).await.unwrap_err();
        assert!(error.to_string().starts_with("cannot write the state in "), "{error}");
    }
    assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1);
    fs::remove_dir(&path).unwrap();
    record.add("t", "k", "l", &users("bob")).await.unwrap();
    assert_eq!(Record::open(&path, "a").unwrap().added("t", "k", "l"), users("bob"));
}

/// Some changes, one for each index.
async fn change(record: &Record, index: usize) {
    let (key, spec) = (format!("k{}", index % 3), Map::new());
    match index % 5 {
        0 => record.intend("ld", &key, &spec).await,
        1 => record.create("ld", &key, &spec).await,
        2 => record.add("ld", &key, "test", &users(&format!("al bob {index}"))).await,
        3 => record.keep("rest", &key, Some(users(&index.to_string()))).await,
        _ => record.forget("ld", &key).await,
    }
    .unwrap();
}

/// All that is recorded.
fn recorded(record: &Record) -> Targets {
    let mut targets = record.content().targets.clone();
    targets.retain(|_, toggles| !toggles.is_empty());
    targets
}

#[tokio::test]
async fn a_file_that_is_cut_anywhere_is_what_it_was_before_the_change_that_was_cut() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("state.json");
    let record = Record::open(&path, "a").unwrap();
    let mut before = Vec::new();
    for index in 0..20 {
        change(&record, index).await;
        before.push((fs::read(&path).unwrap().len(), recorded(&record)));
    }
    let all = fs::read(&path).unwrap();
    let cut = directory.path().join("cut.json");
    for length in 0..all.len() {
        fs::write(&cut, &all[..length]).unwrap();
        let read = Record::open(&cut, "a");
        let Some((_, expected)) = before.iter().rfind(|(end, _)| *end <= length) else {
            // The first value names the instance: without all of it nothing can be told.
            let error = read.unwrap_err().to_string();
            assert!(error.contains("is not a state file"), "{error}");
            assert_eq!(fs::read(&cut).unwrap(), all[..length], "it stays for somebody to look at");
            continue;
        };
        let read = read.unwrap();
        assert_eq!(recorded(&read), *expected, "cut at {length}");
        assert_eq!(read.mark("k"), record.mark("k"));
        read.add("ld", "new", "test", &users("eve")).await.unwrap();
        assert_eq!(recorded(&Record::open(&cut, "a").unwrap()), recorded(&read));
    }
}

#[tokio::test]
async fn a_file_that_somebody_cuts_or_removes_is_written_whole_with_the_next_change() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("state.json");
    let record = Record::open(&path, "a").unwrap();
    for index in 0..20 {
        change(&record, index).await;
        match index % 4 {
            0 => fs::remove_file(&path).unwrap(),
            1 => fs::write(&path, "{").unwrap(),
            _ => {}
        }
    }
    change(&record, 22).await;
    assert_eq!(recorded(&Record::open(&path, "a").unwrap()), recorded(&record));
}

#[tokio::test]
async fn a_file_without_changes_and_without_an_id_is_read_and_gets_both() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("state.json");
    let text = r#"{"version": 1, "targets": {"ld": {"us": {"created": {"name": "US"}},
        "p/us": {"added": {"test": ["bob", "al"]}}}, "rest": {"us": {"last": []}}}}"#;
    fs::write(&path, text).unwrap();
    let record = Record::open(&path, "a").unwrap();
    assert_eq!(record.added("ld", "p/us", "test"), users("al bob"));
    assert_eq!(record.last("rest", "us"), Some(users("")));
    assert_eq!(fs::read_to_string(&path).unwrap(), text, "reading writes nothing");
    record.add("ld", "p/us", "production", &users("eve")).await.unwrap();
    let read = Record::open(&path, "a").unwrap();
    assert_eq!(recorded(&read), recorded(&record));
    assert_eq!(read.mark("us"), record.mark("us"));
}

#[tokio::test]
async fn a_change_is_appended_until_the_changes_are_long() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("state.json");
    let record = Record::open(&path, "a").unwrap();
    let many: Users = (0..100_000).map(|index| format!("user-{index}")).collect();
    record.add("ld", "large", "test", &many).await.unwrap();
    let whole = fs::read(&path).unwrap();
    record.add("ld", "small", "test", &users("bob")).await.unwrap();
    let text = fs::read(&path).unwrap();
    let change = text.strip_prefix(&*whole).unwrap();
    assert_eq!(
        change,
        br#"
{"ld":{"small":{"added":{"test":["bob"]}}}}"#
    );
    for index in 0..20 {
        let list = many.with(&users(&index.to_string()));
        record.add("ld", "large", "test", &list).await.unwrap();
        let length = fs::read(&path).unwrap().len();
        assert!(length < 4 * whole.len(), "{length}");
    }
    assert_eq!(recorded(&Record::open(&path, "a").unwrap()), recorded(&record));
}

#[tokio::test(flavor = "multi_thread")]
async fn changes_at_the_same_time_are_all_recorded() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("state.json");
    let record = Record::open(&path, "a").unwrap();
    let mut tasks = tokio::task::JoinSet::new();
    for index in 0..50 {
        let (record, path) = (record.clone(), path.clone());
        tasks.spawn(async move {
            let key = index.to_string();
            record.add("ld", &key, "test", &users("bob")).await.unwrap();
            // It is in the file when the call returns.
            assert_eq!(Record::open(&path, "a").unwrap().added("ld", &key, "test"), users("bob"));
        });
    }
    tasks.join_all().await;
    assert_eq!(recorded(&Record::open(&path, "a").unwrap()), recorded(&record));
}
