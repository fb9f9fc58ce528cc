//! The cache with a clock of its own.

use serde_json::{Value, json};

use super::*;

const AGE: Duration = Duration::from_secs(30);

fn cache(capacity: usize) -> Cache {
    Cache::new(NonZeroUsize::new(capacity).unwrap(), AGE, Typing::default())
}

fn facts(tier: &str) -> BTreeMap<String, String> {
    BTreeMap::from([("tier".to_owned(), tier.to_owned())])
}

fn fields(tier: &str) -> Arc<Fields> {
    Arc::new(Fields::from_iter([("tier".to_owned(), Value::from(tier))]))
}

fn tier(value: Option<&str>) -> Change {
    Change::Fact("tier".to_owned(), value.map(str::to_owned))
}

/// Reads an identity completely.
fn read(cache: &mut Cache, identity: &str, tier: &str, sequence: Option<u64>, now: Instant) {
    assert!(cache.begin(identity).is_new);
    cache.finish(identity, &facts(tier), sequence, now);
}

#[tokio::test]
async fn one_read_of_an_identity_at_a_time() {
    let (mut cache, now) = (cache(2), Instant::now());
    assert_eq!(cache.look_up("a", now), Found::Nothing);
    let first = cache.begin("a");
    let second = cache.begin("a");
    assert!(first.is_new && !second.is_new);
    assert_eq!(cache.look_up("a", now), Found::Nothing);
    let nothing = Finished { changed: vec![], again: false };
    assert_eq!(cache.finish("a", &facts("gold"), None, now), nothing);
    for mut begun in [first, second] {
        begun.ended.changed().await.unwrap_err();
    }
    assert_eq!(cache.look_up("a", now), Found::Fresh(fields("gold")));
    assert_eq!(cache.finish("a", &facts("late"), None, now), nothing);
    assert_eq!(cache.look_up("a", now), Found::Fresh(fields("gold")));
}

#[tokio::test]
async fn a_stale_value_is_used_while_it_is_read_again() {
    let (mut cache, now) = (cache(2), Instant::now());
    read(&mut cache, "a", "gold", None, now);
    let later = now + AGE;
    let stale = || Found::Stale { fields: fields("gold"), has_failed: false };
    assert_eq!(cache.look_up("a", later), stale());
    assert!(cache.begin("a").is_new && !cache.begin("a").is_new);
    assert_eq!(cache.look_up("a", later), stale());
    let finished = cache.finish("a", &facts("silver"), None, later);
    assert_eq!(finished.changed, ["tier"]);
    assert_eq!(cache.look_up("a", later), Found::Fresh(fields("silver")));
}

#[tokio::test]
async fn no_facts_are_remembered_too() {
    let (mut cache, now) = (cache(2), Instant::now());
    cache.begin("a");
    cache.finish("a", &BTreeMap::new(), None, now);
    assert_eq!(cache.look_up("a", now), Found::Fresh(Arc::default()));
}

#[tokio::test]
async fn the_identity_that_was_used_least_recently_is_evicted() {
    let (mut cache, now) = (cache(2), Instant::now());
    read(&mut cache, "a", "1", None, now);
    read(&mut cache, "b", "1", None, now);
    cache.look_up("a", now);
    assert_eq!(cache.begin("c").evicted.as_deref(), Some("b"));
    assert_eq!(cache.look_up("a", now), Found::Fresh(fields("1")));
    assert_eq!(cache.look_up("b", now), Found::Nothing);
}

#[tokio::test]
async fn a_failure_is_followed_by_a_pause() {
    let (mut cache, now) = (cache(3), Instant::now());
    read(&mut cache, "a", "gold", None, now);
    let later = now + AGE;
    cache.begin("a");
    cache.fail("a", false, later);
    assert_eq!(cache.look_up("a", later), Found::Failed(Some(fields("gold"))));
    assert_eq!(cache.look_up("b", later), Found::Nothing, "another identity may do");
    let after = later + PAUSE;
    let stale = Found::Stale { fields: fields("gold"), has_failed: true };
    assert_eq!(cache.look_up("a", after), stale);
    cache.begin("a");
    cache.fail("a", true, after);
    assert_eq!(cache.look_up("b", after), Found::Failed(None), "the store is down");
    assert_eq!(cache.look_up("b", after + PAUSE), Found::Nothing);
    read(&mut cache, "a", "gold", None, after);
    assert_eq!(cache.look_up("b", after), Found::Nothing, "it is up again");
}

#[tokio::test]
async fn what_an_evaluation_has_missed_is_a_change() {
    let (mut cache, now) = (cache(2), Instant::now());
    cache.begin("a");
    cache.missed("a");
    assert_eq!(cache.look_up("a", now), Found::Failed(None), "nobody waits for it again");
    assert_eq!(cache.finish("a", &facts("gold"), None, now).changed, ["tier"]);
}

#[tokio::test]
async fn a_watched_identity_does_not_age_while_the_stream_is_open() {
    let (mut cache, now) = (cache(2), Instant::now());
    cache.set_connected(true);
    read(&mut cache, "a", "gold", Some(7), now);
    assert!(cache.subscribed(&["a".to_owned()], 7).is_empty());
    let later = now + 10 * AGE;
    assert_eq!(cache.look_up("a", later), Found::Fresh(fields("gold")));
    assert_eq!(cache.apply("a", 8, &tier(Some("silver"))), ["tier"]);
    assert_eq!(cache.look_up("a", later), Found::Fresh(fields("silver")));
    assert!(cache.apply("a", 8, &tier(Some("old"))).is_empty(), "it has this change");
    assert_eq!(cache.apply("a", 9, &Change::Erased), ["tier"]);
    assert_eq!(cache.look_up("a", later), Found::Fresh(Arc::default()));
    assert!(cache.apply("a", 10, &tier(None)).is_empty());
    cache.set_connected(false);
    assert!(matches!(cache.look_up("a", later), Found::Stale { .. }));
    // The stream has gone on without a gap.
    cache.set_connected(true);
    assert!(matches!(cache.look_up("a", later), Found::Fresh(_)));
}

#[tokio::test]
async fn what_was_read_before_the_stream_is_read_again() {
    let (mut cache, now) = (cache(2), Instant::now());
    cache.set_connected(true);
    read(&mut cache, "a", "gold", Some(5), now);
    assert_eq!(cache.subscribed(&["a".to_owned(), "b".to_owned()], 7), ["a"]);
    // A change that arrives meanwhile does not make up for those that were missed.
    assert_eq!(cache.apply("a", 8, &tier(Some("silver"))), ["tier"]);
    assert!(matches!(cache.look_up("a", now + AGE), Found::Stale { .. }));
    cache.begin("a");
    let finished = cache.finish("a", &facts("bronze"), Some(8), now);
    assert_eq!(finished, Finished { changed: vec!["tier".to_owned()], again: false });
    assert_eq!(cache.look_up("a", now + AGE), Found::Fresh(fields("bronze")));
}

#[tokio::test]
async fn a_read_that_is_older_than_the_stream_is_repeated() {
    let (mut cache, now) = (cache(2), Instant::now());
    cache.begin("a");
    assert!(cache.subscribed(&["a".to_owned()], 7).is_empty(), "a read is underway");
    assert!(cache.finish("a", &facts("gold"), Some(6), now).again);
    assert!(cache.begin("a").is_new);
    assert!(!cache.finish("a", &facts("gold"), Some(7), now).again);
}

#[tokio::test]
async fn a_change_overtakes_a_read() {
    let (mut cache, now) = (cache(2), Instant::now());
    cache.begin("a");
    for (at, value) in [(6, "contained"), (8, "gold"), (9, "platinum")] {
        cache.apply("a", at, &tier(Some(value)));
    }
    cache.finish("a", &facts("silver"), Some(7), now);
    assert_eq!(cache.look_up("a", now), Found::Fresh(fields("platinum")));
    assert!(cache.apply("a", 9, &tier(None)).is_empty());
}

#[tokio::test]
async fn after_a_reset_everything_watched_is_read_again() {
    let (mut cache, now) = (cache(3), Instant::now());
    cache.set_connected(true);
    for identity in ["a", "b"] {
        read(&mut cache, identity, "gold", Some(5), now);
    }
    cache.subscribed(&["a".to_owned()], 5);
    assert_eq!(cache.reset(2), ["a"]);
    assert!(matches!(cache.look_up("a", now + AGE), Found::Stale { .. }));
    read(&mut cache, "a", "silver", Some(2), now);
    assert_eq!(cache.look_up("a", now + AGE), Found::Fresh(fields("silver")));
}

#[test]
fn a_change_is_typed() {
    let mut fields = Arc::default();
    let change = Change::Fact("seats".to_owned(), Some("5".to_owned()));
    change.apply(&mut fields, Typing { typed: true });
    assert_eq!(Value::Object((*fields).clone()), json!({"seats": 5}));
}
