//! `flagops-store health`, and the image, which checks itself with it.

use std::{
    fs,
    io::{BufRead as _, BufReader, Write as _},
    net::TcpListener,
    thread,
};

use testing::Process;

use crate::program::{Program, text};

/// A server without TLS on a free port of these interfaces.
fn serve(interfaces: &str) -> (Program, Process) {
    let port = testing::free_port();
    let program = Program::new()
        .with("FLAGOPS_INSECURE", "true")
        .with("FLAGOPS_LISTEN", &format!("{interfaces}:{port}"));
    let mut server = Process::start(&program.command(&[]));
    server.wait_for_port(port);
    (program, server)
}

#[test]
fn a_healthy_server_is_found_where_it_listens() {
    for listen in ["127.0.0.1", "0.0.0.0", "[::]"] {
        if TcpListener::bind(format!("{listen}:0")).is_err() {
            continue; // without IPv6
        }
        let (program, mut server) = serve(listen);
        for (arguments, line) in
            [(&["health"][..], "healthy\n"), (&["health", "--readiness"], "ready\n")]
        {
            let ran = program.run(arguments);
            assert_eq!((ran.code, &*ran.out), (0, line), "{listen}: {ran:?}");
        }
        server.kill();
        let ran = program.run(&["health"]);
        assert_eq!((ran.code, &*ran.out), (1, ""), "{listen}: {ran:?}");
        assert!(ran.err.contains("error: the service is unreachable: "), "{ran:?}");
    }
}

/// The certificate is that of a public name, and of an authority that the system does not know.
#[test]
fn a_server_with_tls_is_found() {
    let program = Program::new();
    let made = rcgen::generate_simple_self_signed(["facts.example".to_owned()]).unwrap();
    let (certificate, key) = (program.path("tls.crt"), program.path("tls.key"));
    fs::write(&certificate, made.cert.pem()).unwrap();
    fs::write(&key, made.signing_key.serialize_pem()).unwrap();
    let port = testing::free_port();
    let program = program
        .with("FLAGOPS_LISTEN", &format!("0.0.0.0:{port}"))
        .with("FLAGOPS_TLS_CERT_FILE", text(&certificate))
        .with("FLAGOPS_TLS_KEY_FILE", text(&key));
    let mut server = Process::start(&program.command(&[]));
    server.wait_for_port(port);
    let ran = program.run(&["health", "--readiness"]);
    assert_eq!((ran.code, &*ran.out), (0, "ready\n"), "{ran:?}");
}

#[test]
fn a_server_that_says_so_is_not_healthy() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let response = thread::spawn(move || {
        let (mut connection, _) = listener.accept().unwrap();
        let line = BufReader::new(&connection).lines().next().unwrap().unwrap();
        write!(connection, "HTTP/1.1 503 Service Unavailable\r\ncontent-length: 0\r\n\r\n")
            .unwrap();
        line
    });
    let ran = Program::new().with("FLAGOPS_LISTEN", &address).run(&["health", "--readiness"]);
    assert_eq!(response.join().unwrap(), "GET /health/ready HTTP/1.1");
    assert_eq!((ran.code, &*ran.out), (1, ""), "{ran:?}");
    let message = format!("error: http://{address}/health/ready: 503 Service Unavailable\n");
    assert!(ran.err.ends_with(&message), "{ran:?}");
}

/// The image has no shell, and its server must be reachable from outside of the container.
#[test]
fn the_image_checks_itself() {
    let dockerfile = include_str!("../../../../Dockerfile");
    let (_, stage) = dockerfile.split_once("\nFROM program AS flagops-store\n").unwrap();
    let stage = stage.split("\nFROM ").next().unwrap();
    let value = |instruction: &str| {
        stage.lines().find_map(|line| line.strip_prefix(instruction)).expect(instruction)
    };
    let (_, check) = value("HEALTHCHECK ").split_once(" CMD ").unwrap();
    let check: Vec<String> = serde_json::from_str(check).unwrap();
    let entry: Vec<String> = serde_json::from_str(value("ENTRYPOINT ")).unwrap();
    assert_eq!(check[..1], entry);
    let listen = value("ENV FLAGOPS_LISTEN=");
    assert_eq!(listen, format!("[::]:{}", value("EXPOSE ")));

    let (program, _server) = serve("0.0.0.0");
    let ran = program.run(&check[1..].iter().map(String::as_str).collect::<Vec<_>>());
    assert_eq!(ran.code, 0, "{ran:?}");
}
