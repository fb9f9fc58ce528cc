//! Every way to ask for a toggle gives the same answer: that of the formula.

use std::{env, time::Instant};

use flagstaff::{
    FlagdProvider,
    flagd::Resolver,
    open_feature::{EvaluationContext, provider::FeatureProvider as _},
};
use futures_util::{StreamExt as _, stream};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::Value;
use service::time;
use toggle_meister::{rollout::CURVE, toggle::Toggle};
use tokio::task::block_in_place;

use crate::{
    hash::expected,
    peer::Peer,
    support::{Meister, becomes_true, rollout},
};

const SELECTOR: &str = "flagSetId=production";

/// How many requests are under way at a time.
const AT_ONCE: usize = 16;

/// Ids, of which one in five is not ASCII.
fn ids(count: usize) -> Vec<Option<String>> {
    let id = |number| {
        Some(match number % 10 {
            0 => format!("jürgen-{number}@größe.example"),
            5 => format!("顧客/{number} \u{1f980}"),
            _ => format!("user-{number}"),
        })
    };
    (0..count).map(id).collect()
}

fn bit(is_on: bool) -> char {
    if is_on { '1' } else { '0' }
}

/// Lines with a bit for each id, from the answers for each id with a bit for each feature.
fn transposed(by_id: &[Vec<bool>]) -> Vec<String> {
    let features = by_id.first().map_or(0, Vec::len);
    (0..features).map(|at| by_id.iter().map(|id| bit(id[at])).collect()).collect()
}

async fn rest(meister: &Meister, features: &[String], ids: &[Option<String>]) -> Vec<String> {
    let names: Vec<_> = features.iter().map(|it| format!("feature={it}")).collect();
    let names = names.join("&");
    let ask = async |id: &Option<String>| {
        let id = id
            .as_ref()
            .map(|id| format!("&enrollment_id={}", utf8_percent_encode(id, NON_ALPHANUMERIC)));
        let path = format!("/api/envs/production/toggles?{names}{}", id.unwrap_or_default());
        let answer = meister.get(&path).await;
        features.iter().map(|it| answer[it].as_bool().unwrap()).collect()
    };
    transposed(&stream::iter(ids).map(ask).buffered(AT_ONCE).collect::<Vec<_>>().await)
}

async fn ofrep(meister: &Meister, features: &[String], ids: &[Option<String>]) -> Vec<String> {
    let ask = async |id: &Option<String>| {
        let answer = meister.ofrep("", Some(SELECTOR), id.as_deref()).await;
        let of = |key: &String| {
            let flags = answer["flags"].as_array().unwrap();
            let flag = flags.iter().find(|flag| flag["key"] == **key).unwrap();
            flag["value"].as_bool().unwrap()
        };
        features.iter().map(of).collect()
    };
    transposed(&stream::iter(ids).map(ask).buffered(AT_ONCE).collect::<Vec<_>>().await)
}

async fn provider(
    provider: &FlagdProvider,
    features: &[String],
    ids: &[Option<String>],
) -> Vec<String> {
    let mut lines = Vec::new();
    for feature in features {
        let ask = async |id: &Option<String>| {
            let context = EvaluationContext { targeting_key: id.clone(), ..Default::default() };
            bit(provider.resolve_bool_value(feature, &context).await.unwrap().value)
        };
        lines.push(stream::iter(ids).map(ask).buffered(AT_ONCE).collect().await);
    }
    lines
}

/// Compares lines, and names the first answer that differs.
fn assert_same(
    what: &str,
    found: &[String],
    right: &[String],
    features: &[String],
    ids: &[Option<String>],
) {
    for ((found, right), feature) in found.iter().zip(right).zip(features) {
        let differs = found.chars().zip(right.chars()).position(|(found, right)| found != right);
        let id = differs.map(|at| (&ids[at], found.chars().nth(at)));
        assert_eq!((id, found.len()), (None, right.len()), "{what}: {feature}");
    }
    assert_eq!(found.len(), right.len(), "{what}");
}

/// Production with a feature for each of the steps, and a last one in pause.
async fn at_each_step(meister: &Meister) -> Vec<(String, i64, u8)> {
    let (mut features, mut toggles) = (Vec::new(), Vec::new());
    let mut add = |name: String, step: usize, is_paused: bool| {
        let number = 7 + i64::try_from(features.len()).unwrap();
        let rollout = rollout(number, step);
        let toggle = if is_paused {
            Toggle::Pause { rollout, at: time::now() }
        } else {
            Toggle::Roll(rollout)
        };
        toggles.push((name.clone(), toggle));
        features.push((name, number, CURVE[step]));
    };
    (0..CURVE.len()).for_each(|step| add(format!("step_{step}"), step, false));
    add("paused".to_owned(), 9, true);
    for (name, _) in &toggles {
        meister.create_feature(name).await;
    }
    meister.put(toggles).await;
    features
}

/// How many ids ask at each step.
const IDS: usize = 10_000;

/// How many ids ask over gRPC, where each evaluation is a request: a tenth, or `FLAGS_RPC_IDS`. All
/// of them take a quarter of an hour without optimisation.
fn over_rpc() -> usize {
    env::var("FLAGS_RPC_IDS").ok().and_then(|it| it.parse().ok()).unwrap_or(IDS / 10)
}

#[tokio::test(flavor = "multi_thread")]
async fn at_each_step_and_in_pause_every_way_to_ask_gives_the_same_answer() {
    let meister = Meister::start().await;
    let made = at_each_step(&meister).await;
    let features: Vec<String> = made.iter().map(|it| it.0.clone()).collect();
    let mut ids = ids(IDS);
    ids.push(None);
    let right = |ids: &[Option<String>]| -> Vec<String> {
        let line = |(feature, number, percent): &(String, i64, u8)| {
            ids.iter().map(|id| bit(expected(feature, *number, *percent, id.as_deref()))).collect()
        };
        made.iter().map(line).collect()
    };
    let all = right(&ids);
    let began = Instant::now();
    let done = |what: &str| println!("{what} after {:.1?}", began.elapsed());

    let in_process = meister.provider(Resolver::InProcess, Some(SELECTOR)).await;
    let ascii: Vec<_> =
        ids.iter().filter(|id| id.as_ref().is_none_or(|id| id.is_ascii())).cloned().collect();
    let found = provider(&in_process, &features, &ascii).await;
    assert_same("in process", &found, &right(&ascii), &features, &ascii);
    done("in process");
    assert_same("REST", &rest(&meister, &features, &ids).await, &all, &features, &ids);
    done("REST");
    assert_same("OFREP", &ofrep(&meister, &features, &ids).await, &all, &features, &ids);
    done("OFREP");

    ids.drain(over_rpc()..IDS);
    let all = right(&ids);
    let port = meister.evaluation();
    let python = Peer::python(port, SELECTOR);
    let javascript = Peer::javascript(port, SELECTOR);
    let rpc = meister.provider(Resolver::Rpc, Some(SELECTOR)).await;
    assert_same("rpc", &provider(&rpc, &features, &ids).await, &all, &features, &ids);
    done("rpc");
    for (what, peer) in [("JavaScript", javascript), ("Python", python)] {
        if let Some(mut peer) = peer {
            let found = block_in_place(|| peer.ask(&features, &ids));
            assert_same(what, &found, &all, &features, &ids);
            done(what);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_toggle_is_followed_through_all_steps_a_pause_and_back_to_off() {
    let meister = Meister::start().await;
    meister.create_feature("checkout").await;
    let features = ["checkout".to_owned()];
    let mut ids: Vec<_> = ids(100);
    ids.push(None);
    let port = meister.evaluation();
    let rpc = meister.provider(Resolver::Rpc, Some(SELECTOR)).await;
    let in_process = meister.provider(Resolver::InProcess, Some(SELECTOR)).await;
    let mut python = Peer::python(port, SELECTOR);
    let mut javascript = Peer::javascript(port, SELECTOR);
    let ascii: Vec<_> =
        ids.iter().filter(|id| id.as_ref().is_none_or(|id| id.is_ascii())).cloned().collect();

    let paused = Toggle::Pause { rollout: rollout(3, 12), at: time::now() };
    let mut states: Vec<_> =
        (0..24).map(|step| (Toggle::Roll(rollout(3, step)), CURVE[step])).collect();
    states.insert(13, (paused, CURVE[12]));
    states.push((Toggle::Off, 0));
    for (toggle, percent) in states {
        meister.put(vec![("checkout".to_owned(), toggle)]).await;
        let right = |ids: &[Option<String>]| -> Vec<String> {
            let is_on = |id: &Option<String>| expected("checkout", 3, percent, id.as_deref());
            vec![ids.iter().map(|id| bit(is_on(id))).collect()]
        };
        let (all, of_ascii) = (right(&ids), right(&ascii));
        assert_eq!(rest(&meister, &features, &ids).await, all, "REST at {percent} %");
        assert_eq!(ofrep(&meister, &features, &ids).await, all, "OFREP at {percent} %");
        // A provider may have an answer for everybody in its cache, until the event arrives.
        becomes_true(&format!("{percent} % over rpc"), async || {
            provider(&rpc, &features, &ids).await == all
        })
        .await;
        becomes_true(&format!("{percent} % in process"), async || {
            provider(&in_process, &features, &ascii).await == of_ascii
        })
        .await;
        for (what, peer) in [("Python", &mut python), ("JavaScript", &mut javascript)] {
            if let Some(peer) = peer {
                becomes_true(&format!("{percent} % in {what}"), async || {
                    block_in_place(|| peer.ask(&features, &ids)) == all
                })
                .await;
            }
        }
    }
    let answer: Value = meister.ofrep("/checkout", Some(SELECTOR), None).await;
    assert_eq!(answer["reason"], "STATIC", "{answer}");
}
