//! Several engines of the same configuration.

use flagstaff::optoggles::{Config, Engine, Running};

use super::{Opal, config, post};
use crate::{
    engine::{in_step, resync},
    launchdarkly::{Fake, TOKEN},
    support::wait::eventually,
};

async fn run(text: &str) -> Running {
    let running = Engine::from(Config::parse(text).unwrap()).start().await.unwrap();
    in_step(&running, "us").await;
    running
}

#[tokio::test]
async fn neither_undoes_or_repeats_what_the_other_writes() {
    let (opal, fake) = (Opal::start(&["bob"]).await, Fake::start().await);
    let target = format!(
        "{{targetType: launchdarkly, targetSpec: {{launchdarklyToken: {TOKEN}, baseUri: 'http://{}'}}}}",
        fake.address
    );
    let text = config(&format!("{{id: opal, url: '{}'}}", opal.url), &target, "");
    let replicas = [run(&text).await, run(&text).await];
    let keys: Vec<_> = opal.callbacks().iter().map(|entry| entry["key"].clone()).collect();
    assert!(keys.len() == 2 && keys[0] != keys[1], "{keys:?}");
    assert_eq!(fake.writes().len(), 2, "the second finds what the first has written");
    for users in [["al", "bob"], ["al", "eve"]] {
        opal.answers(&users);
        assert_eq!(opal.call_back().await, [200, 200]);
        let expected = users.join(" ");
        eventually("the change", || fake.users("us", "test") == expected).await;
        for replica in &replicas {
            resync(replica, "us").await;
        }
        assert_eq!(fake.users("us", "test"), expected);
    }
    let writes = fake.writes().len();
    for replica in &replicas {
        resync(replica, "us").await;
    }
    assert_eq!(fake.writes().len(), writes);
    assert!(writes <= 2 + 2 * 2, "each writes a change once at most: {writes}");
    let [first, second] = replicas;
    first.shutdown().await;
    assert_eq!(opal.callbacks().len(), 1, "that of the other stays");
    second.shutdown().await;
}

/// OPAL calls one address, behind which either may be.
#[tokio::test]
async fn behind_one_address_they_accept_each_others_tokens_if_they_share_a_secret() {
    let directory = tempfile::tempdir().unwrap();
    let opal = Opal::start(&["bob"]).await;
    let source = format!("{{id: opal, url: '{}', advertisedAddress: 'replicas:8080'}}", opal.url);
    let token = || {
        let callback = opal.callbacks().pop().unwrap();
        assert_eq!(callback["url"], "http://replicas:8080/opa_update");
        callback["config"]["headers"]["Authorization"].as_str().unwrap().to_owned()
    };
    for (secret, status) in [("callbackSecret: hush", 200), ("", 401)] {
        let mut replicas = Vec::new();
        for file in ["a", "b"] {
            let file = directory.path().join(file);
            let target =
                format!("{{targetType: flagd, targetSpec: {{file: '{}'}}}}", file.display());
            let running = run(&config(&source, &target, secret)).await;
            replicas.push((running, token()));
        }
        let [(first, first_token), (second, second_token)] = replicas.try_into().unwrap();
        for (replica, own, others) in
            [(&first, &first_token, &second_token), (&second, &second_token, &first_token)]
        {
            let url = format!("http://{}/opa_update", replica.address().unwrap());
            assert_eq!(post(&url, own, Vec::new()).await, 200);
            assert_eq!(post(&url, others, Vec::new()).await, status, "{secret}");
        }
        first.shutdown().await;
        second.shutdown().await;
    }
}
