//! Engines of a scripted policy and one target.

use std::time::Duration;

use flagstaff::{
    http::Client,
    optoggles::{CellStatus, Engine, FailureStatus, Rule, Running, Toggle, ToggleTarget},
};
use tokio::time::{Instant, sleep};

use crate::{policy::Policy, support::wait::becomes_true};

/// The status and the body of a response to `GET`.
pub async fn get(url: &str) -> (u16, String) {
    let request = http::Request::get(url).body(Vec::new()).unwrap();
    let response = Client::builder().without_proxy().build().unwrap().send(request).await.unwrap();
    let (parts, body) = response.into_parts();
    let body = body.bytes().await.unwrap();
    (parts.status.as_u16(), String::from_utf8(body.to_vec()).unwrap())
}

/// A toggle whose rule has the same name.
pub fn toggle(key: &str) -> Toggle {
    Toggle::new(key, Rule::new("app", key))
}

/// Starts an engine that looks at everything again only when it is told to, and believes an empty set.
pub async fn start(
    policy: &Policy,
    target: impl ToggleTarget,
    toggles: impl IntoIterator<Item = Toggle>,
) -> Running {
    let builder = Engine::builder()
        .source("policy", policy.source())
        .target("target", target)
        .resync_interval(Duration::ZERO)
        .empty_confirmation(Duration::ZERO);
    let builder = toggles.into_iter().fold(builder, |all, toggle| all.toggle("policy", toggle));
    builder.build().unwrap().start().await.unwrap()
}

/// How a toggle is doing at the target.
pub async fn cell(running: &Running, key: &str) -> CellStatus {
    let status = running.status().await.unwrap();
    let toggle = status.toggles.into_iter().find(|toggle| toggle.key == key).unwrap();
    toggle.targets.into_iter().next().unwrap()
}

/// Waits until the toggle has what the policy says.
pub async fn in_step(running: &Running, key: &str) {
    becomes_true("the toggle to be in step", async || {
        let cell = cell(running, key).await;
        cell.in_step.is_some() && cell.failure.is_none()
    })
    .await;
}

/// Looks at everything again, and waits until the toggle has what the policy says.
pub async fn resync(running: &Running, key: &str) {
    let begun = Instant::now();
    // The status has milliseconds: what is in step from here on is told from what was before.
    sleep(Duration::from_millis(5)).await;
    running.resync().await;
    becomes_true("the toggle to be in step again", async || {
        // Taken before the status, so that what was in step before does not count.
        let elapsed = begun.elapsed().as_secs_f64();
        cell(running, key).await.in_step.is_some_and(|since| since + 0.002 < elapsed)
    })
    .await;
}

/// Waits until the toggle fails, and says how.
pub async fn failure(running: &Running, key: &str) -> FailureStatus {
    let mut found = None;
    becomes_true("the toggle to fail", async || {
        found = cell(running, key).await.failure;
        found.is_some()
    })
    .await;
    found.unwrap()
}
