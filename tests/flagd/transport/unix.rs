//! flagd on a unix socket.

use std::{fs, time::Duration};

use flagstaff::{ProviderEvent, State, flagd::FlagdOptionsBuilder};
use open_feature::EvaluationErrorCode;

use crate::{
    subject::{Subject, flags, options, plain},
    support::{flagd::FlagdProcess, wait::no_sooner},
    trial::trials,
};

trials![a_socket_serves, a_socket_has_a_deadline, a_socket_that_appears_later, no_socket_at_all];

fn options_for(flagd: &FlagdProcess) -> FlagdOptionsBuilder {
    options().socket_path(flagd.socket().unwrap())
}

async fn a_socket_serves() {
    let mut flagd = FlagdProcess::with(&flags("old")).on_socket().start().await.unwrap();
    let uri = format!("unix://{}", flagd.socket().unwrap().display());
    for options in [options_for(&flagd), options().target_uri(uri)] {
        let mut subject = Subject::ready(options).await;
        subject.cache("flag", "old").await;
        flagd.edit_flags(|definition| definition["flags"]["flag"] = plain("new"));
        subject.change().await;
        subject.cache("flag", "new").await;

        subject.loses(&mut flagd).await;
        subject.returns(&mut flagd, "old").await;
        flagd.until_ready().await.unwrap();
        subject.shut_down().await;
    }
}

/// The official crate has no deadline there.
async fn a_socket_has_a_deadline() {
    const DEADLINE: Duration = Duration::from_millis(400);
    let mut flagd = FlagdProcess::with(&flags("on")).on_socket().start().await.unwrap();
    let subject = Subject::ready(options_for(&flagd).deadline(DEADLINE)).await;
    flagd.stop();
    let late = no_sooner("the deadline", DEADLINE, subject.text("flag")).await;
    let error = late.unwrap_err();
    assert!(error.message.unwrap().starts_with("DEADLINE_EXCEEDED"));
    flagd.cont();
    subject.until("flag", "on").await;
    subject.shut_down().await;
}

async fn a_socket_that_appears_later() {
    let mut flagd = FlagdProcess::with(&flags("on")).on_socket().start().await.unwrap();
    flagd.kill();
    let _ = fs::remove_file(flagd.socket().unwrap());
    let mut subject = Subject::start(options_for(&flagd)).await;
    let message = subject.error().await;
    assert!(message.contains("flagd.sock"), "{message}");
    flagd.spawn();
    subject.recovered().await;
    subject.until("flag", "on").await;
    subject.shut_down().await;
}

/// A file in its place never becomes a socket, so this is fatal; after a shutdown, the provider can
/// be initialized again.
async fn no_socket_at_all() {
    let mut flagd = FlagdProcess::with(&flags("on")).on_socket().start().await.unwrap();
    flagd.kill();
    let path = flagd.socket().unwrap().to_owned();
    let _ = fs::remove_file(&path);
    fs::write(&path, "no socket").unwrap();
    let mut subject = Subject::start(options_for(&flagd)).await;
    assert_eq!(subject.state(), State::Fatal);
    let ProviderEvent::Error { message, fatal: true } = subject.event().await else { panic!() };
    assert!(message.contains("socketPath") && message.contains("flagd.sock"), "{message}");
    let error = subject.text("flag").await.unwrap_err();
    assert_eq!(error.code, EvaluationErrorCode::ProviderNotReady);
    subject.provider.shutdown().await;
    assert_eq!(subject.state(), State::NotReady);

    fs::remove_file(&path).unwrap();
    flagd.restart().await.unwrap();
    subject.initialize().await;
    assert_eq!(subject.state(), State::Ready);
    subject.until("flag", "on").await;
    subject.shut_down().await;
}
