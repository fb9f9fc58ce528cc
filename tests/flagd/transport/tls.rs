//! flagd with TLS, and a certificate that no system trusts.

use std::{fs, time::Duration};

use flagstaff::{ProviderEvent, State, flagd::FlagdOptionsBuilder};
use open_feature::EvaluationErrorCode;
use tokio::time::sleep;

use crate::{
    subject::{Subject, flags, options, plain},
    support::{certs::Certificates, flagd::FlagdProcess, proxy::gate::TcpGate, wait::becomes_true},
    trial::trials,
};

trials![
    a_certificate_that_is_trusted,
    a_certificate_that_is_not_trusted,
    a_name_that_is_not_on_the_certificate,
    quiet_times,
    killed_and_restarted,
    certificates_are_renewed,
    told_to_end,
    tls_on_the_wrong_side,
];

async fn start(certificates: &Certificates, value: &str) -> FlagdProcess {
    FlagdProcess::with(&flags(value)).tls(certificates).start().await.unwrap()
}

fn options_for(port: u16, certificates: &Certificates) -> FlagdOptionsBuilder {
    options().host("localhost").port(port).tls(true).cert_path(certificates.ca())
}

async fn a_certificate_that_is_trusted() {
    let certificates = Certificates::new();
    let flagd = start(&certificates, "old").await;
    for host in ["localhost", "127.0.0.1"] {
        let options = options_for(flagd.port(), &certificates).host(host);
        let mut subject = Subject::ready(options).await;
        subject.until("flag", "old").await;
        flagd.edit_flags(|definition| definition["flags"]["flag"] = plain("new"));
        subject.change().await;
        subject.cache("flag", "new").await;
        flagd.edit_flags(|definition| definition["flags"]["flag"] = plain("old"));
        subject.change().await;
        subject.shut_down().await;
    }
}

/// A certificate of an unknown authority, and one of an authority that only has the name of a known
/// one.
async fn a_certificate_that_is_not_trusted() {
    let (certificates, others) = (Certificates::new(), Certificates::new());
    let flagd = start(&certificates, "on").await;
    for trusted in [others.self_signed_cert(), others.ca()] {
        let options = options_for(flagd.port(), &certificates).cert_path(trusted);
        let mut subject = Subject::start(options).await;
        assert_eq!(subject.state(), State::Error);
        let message = subject.error().await;
        assert!(message.contains("certificate") && message.contains("certPath"), "{message}");
        let error = subject.text("flag").await.unwrap_err();
        assert_eq!(error.code, EvaluationErrorCode::ProviderNotReady);
        subject.shut_down().await;
    }
}

async fn a_name_that_is_not_on_the_certificate() {
    let certificates = Certificates::new();
    let flagd = start(&certificates, "on").await;
    let options = || options_for(flagd.port(), &certificates).host("127.0.0.2");
    let mut subject = Subject::start(options()).await;
    let message = subject.error().await;
    assert!(message.contains("127.0.0.2"), "{message}");
    subject.shut_down().await;
    let subject = Subject::ready(options().authority("localhost")).await;
    subject.until("flag", "on").await;
    subject.shut_down().await;
}

/// With TLS flagd closes a connection on which no stream is open after some 5 s.
async fn quiet_times() {
    let certificates = Certificates::new();
    let flagd = start(&certificates, "on").await;
    let gate = TcpGate::to_port(flagd.port());
    let mut subject = Subject::ready(options_for(gate.port(), &certificates)).await;
    subject.cache("flag", "on").await;
    // There is no event to wait for. Longer than flagd keeps such a connection.
    sleep(Duration::from_secs(8)).await;
    let error = subject.text("other").await.unwrap_err();
    assert_eq!(error.code, EvaluationErrorCode::FlagNotFound);
    assert_eq!(subject.events_so_far().await, []);
    assert_eq!(gate.connections().accepted, 1, "stream and calls share one connection");
    subject.shut_down().await;
    gate.wait_until("the connection to end", |seen| seen.open == 0).await;
}

async fn killed_and_restarted() {
    let certificates = Certificates::new();
    let mut flagd = start(&certificates, "old").await;
    let mut subject = Subject::ready(options_for(flagd.port(), &certificates)).await;
    subject.cache("flag", "old").await;
    subject.loses(&mut flagd).await;
    subject.returns(&mut flagd, "new").await;
    subject.shut_down().await;
}

/// Both sides' files are read again: flagd's when it starts, ours at each connection.
async fn certificates_are_renewed() {
    let (certificates, renewed) = (Certificates::new(), Certificates::new());
    let mut flagd = start(&certificates, "old").await;
    let mut subject = Subject::ready(options_for(flagd.port(), &certificates)).await;
    subject.cache("flag", "old").await;
    subject.loses(&mut flagd).await;
    for (new, file) in [(renewed.server_cert(), "server.crt"), (renewed.server_key(), "server.key")]
    {
        fs::copy(new, flagd.dir().join(file)).unwrap();
    }
    flagd.spawn();
    becomes_true("the certificate to be rejected", async || {
        let error = subject.text("other").await.unwrap_err();
        error.message.unwrap().contains("certificate")
    })
    .await;
    assert_eq!(subject.state(), State::Stale, "it is not trusted yet");
    fs::copy(renewed.ca(), certificates.ca()).unwrap();
    subject.recovered().await;
    subject.until("flag", "old").await;
    subject.shut_down().await;
}

/// SIGTERM: GOAWAY, `provider_shutdown`, and the end of the stream after 5 s.
async fn told_to_end() {
    let certificates = Certificates::new();
    let mut flagd = start(&certificates, "old").await;
    let mut subject = Subject::ready(options_for(flagd.port(), &certificates)).await;
    subject.cache("flag", "old").await;
    flagd.terminate();
    assert_eq!(subject.event().await, ProviderEvent::Stale);
    flagd.ended().await;
    subject.returns(&mut flagd, "new").await;
    subject.shut_down().await;
}

async fn tls_on_the_wrong_side() {
    let certificates = Certificates::new();
    let with = start(&certificates, "on").await;
    let without = FlagdProcess::with(&flags("on")).start().await.unwrap();
    let mut subject = Subject::start(options().port(with.port())).await;
    let message = subject.error().await;
    assert!(message.contains(&with.port().to_string()), "{message}");
    subject.shut_down().await;
    let mut subject = Subject::start(options_for(without.port(), &certificates)).await;
    let message = subject.error().await;
    assert!(message.contains("option `tls`"), "{message}");
    subject.shut_down().await;
}
