//! HTTP/1.1 connections that are reused: the rest of a rejected request is not taken for the next
//! one, and a connection that closes says so.

use std::net::SocketAddr;

use flagstaff::server::Server;
use http::Request;
use http_body_util::{BodyExt, Full};
use hyper::body::Bytes;
use hyper_util::{
    client::legacy::{Client, connect::HttpInfo},
    rt::TokioExecutor,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, BufReader},
    net::TcpStream,
    task::JoinSet,
};

use crate::{
    client::{serve, serve_with},
    support::{clock::Clock, wait::bounded},
};

const RESOLVE: &str = "/flagd.evaluation.v1.Service/ResolveBoolean";
const FLAG: &str = "/ofrep/v1/evaluate/flags/bool";

/// The parts of a request that is rejected: port, method, path and headers, and its status.
type Rejected = (Option<SocketAddr>, &'static str, &'static str, &'static str, u16);

/// What each port rejects before it has read the body.
fn rejected(server: &Server) -> Vec<Rejected> {
    let (evaluation, ofrep) = (server.evaluation_addr(), server.ofrep_addr());
    let json = "content-type: application/json\r\n";
    vec![
        (evaluation, "POST", "/nope", json, 404),
        (evaluation, "PUT", RESOLVE, json, 405),
        (evaluation, "POST", RESOLVE, "content-type: text/plain\r\n", 415),
        (
            evaluation,
            "POST",
            RESOLVE,
            "content-type: application/json\r\ncontent-encoding: br\r\n",
            501,
        ),
        (evaluation, "POST", RESOLVE, "content-type: application/grpc\r\n", 505),
        (ofrep, "POST", "/nope", json, 404),
        (ofrep, "PUT", FLAG, json, 405),
        (ofrep, "POST", FLAG, "content-encoding: gzip\r\n", 415),
        (server.sync_addr(), "POST", "/nope", "", 404),
        (server.sync_addr(), "POST", "/flagd.sync.v1.FlagSyncService/FetchAllFlags", "", 405),
        (server.management_addr(), "POST", "/nope", "", 404),
        // These do not read a body.
        (server.management_addr(), "POST", "/healthz", "", 200),
    ]
}

struct Connection(BufReader<TcpStream>);

struct Answer {
    status: u16,
    /// The head, in lower case.
    head: String,
    body: String,
}

impl Answer {
    fn closes(&self) -> bool {
        self.head.contains("\r\nconnection: close\r\n")
    }
}

impl Connection {
    async fn open(address: Option<SocketAddr>) -> Self {
        Self(BufReader::new(TcpStream::connect(address.unwrap()).await.unwrap()))
    }

    async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.0.write_all(bytes.as_ref()).await.unwrap();
    }

    async fn answer(&mut self) -> Answer {
        let answer = async {
            let mut head = String::new();
            while !head.ends_with("\r\n\r\n") {
                match self.0.read_u8().await {
                    Ok(byte) => head.push(char::from(byte.to_ascii_lowercase())),
                    Err(error) => panic!("{error} after {head:?}"),
                }
            }
            let status = head.split(' ').nth(1).unwrap().parse().unwrap();
            let length = head
                .split("content-length: ")
                .nth(1)
                .map_or(0, |rest| rest.split("\r\n").next().unwrap().parse::<usize>().unwrap());
            let mut body = vec![0; length];
            self.0.read_exact(&mut body).await.unwrap();
            Answer { status, head, body: String::from_utf8(body).unwrap() }
        };
        bounded("an answer", answer).await
    }

    /// The server sends nothing more.
    async fn ended(&mut self) {
        let mut rest = Vec::new();
        // A reset is an end too, if it comes after the response.
        let _ = bounded("the end", self.0.read_to_end(&mut rest)).await;
        assert_eq!(String::from_utf8_lossy(&rest), "");
    }
}

fn request(method: &str, path: &str, headers: &str, body: &str) -> String {
    format!(
        "{method} {path} HTTP/1.1\r\nhost: x\r\n{headers}content-length: {}\r\n\r\n{body}",
        body.len()
    )
}

fn chunked(method: &str, path: &str, headers: &str, chunks: &[&str]) -> String {
    let head = format!(
        "{method} {path} HTTP/1.1\r\nhost: x\r\n{headers}transfer-encoding: chunked\r\n\r\n"
    );
    let chunks = chunks.iter().map(|chunk| format!("{:x}\r\n{chunk}\r\n", chunk.len()));
    head + &chunks.collect::<String>() + "0\r\n\r\n"
}

/// The next request on each port, and what its response contains.
fn good(server: &Server, address: Option<SocketAddr>) -> (String, &'static str) {
    if address == server.evaluation_addr() {
        let json = "content-type: application/json\r\n";
        (request("POST", RESOLVE, json, r#"{"flagKey": "bool"}"#), "\"value\":true")
    } else if address == server.ofrep_addr() {
        (request("POST", FLAG, "", ""), "\"value\":true")
    } else {
        (request("GET", "/nope", "", ""), "404 page not found")
    }
}

/// A body with its length, one in chunks, and one that comes late.
#[tokio::test]
async fn a_small_body_does_not_disturb_the_next_request() {
    let server = serve().await;
    let half = "x".repeat(30_000);
    for (address, method, path, headers, status) in rejected(&server) {
        let (next, expected) = good(&server, address);
        let mut connection = Connection::open(address).await;
        for body in ["{\"flagKey\": \"bool\"}", &half] {
            for bytes in [
                request(method, path, headers, body),
                chunked(method, path, headers, &[body]),
                chunked(method, path, headers, &[body, &half]),
            ] {
                connection.send(&bytes).await;
                let answer = connection.answer().await;
                assert_eq!(answer.status, status, "{method} {path}: {}", answer.head);
                assert!(!answer.closes(), "{method} {path}: {}", answer.head);
                connection.send(&next).await;
                assert!(connection.answer().await.body.contains(expected), "after {path}");
                // The same if it is sent without waiting for the response.
                connection.send([&*bytes, &*next].concat()).await;
                assert_eq!(connection.answer().await.status, status);
                assert!(connection.answer().await.body.contains(expected), "after {path}");
            }
        }
        let late = request(method, path, headers, &half);
        let (first, rest) = late.split_at(late.len() / 2);
        connection.send(first).await;
        Clock::settle().await;
        connection.send(rest).await;
        assert_eq!(connection.answer().await.status, status);
        connection.send(&next).await;
        assert!(connection.answer().await.body.contains(expected), "after {path}");
    }
}

/// A body announced as long, one in chunks that turns out to be long, and one that does not come.
#[tokio::test]
async fn a_connection_that_cannot_be_reused_says_so() {
    let server = serve().await;
    let long = "x".repeat(200_000);
    let mut connections = JoinSet::new();
    for (address, method, path, headers, status) in rejected(&server) {
        let unfinished = request(method, path, headers, &long[..1000]);
        for bytes in [
            request(method, path, headers, &long),
            chunked(method, path, headers, &[&long[..60_000], &long[..60_000]]),
            unfinished[..unfinished.len() - 1].to_owned(),
        ] {
            // The last kind takes longer.
            connections.spawn(async move {
                let mut connection = Connection::open(address).await;
                connection.send(&bytes).await;
                let answer = connection.answer().await;
                assert_eq!(answer.status, status, "{method} {path}: {}", answer.head);
                assert!(answer.closes(), "{method} {path}: {}", answer.head);
                connection.ended().await;
            });
        }
    }
    connections.join_all().await;
}

/// 413 and 429: a little or much longer than the limit.
#[tokio::test]
async fn bodies_that_are_too_long() {
    let server = serve_with(Server::builder().max_request_body(1000)).await;
    let json = "content-type: application/json\r\n";
    for (address, path, status) in
        [(server.ofrep_addr(), FLAG, 413), (server.evaluation_addr(), RESOLVE, 429)]
    {
        let (next, expected) = good(&server, address);
        for (length, closes) in [(2_000, false), (5_000_000, true)] {
            let body = "x".repeat(length);
            for bytes in [
                request("POST", path, json, &body),
                chunked("POST", path, json, &[&body]),
                chunked("POST", path, json, &[&body[..length / 2], &body[length / 2..]]),
            ] {
                // Writes all of it before it reads, as simple clients do.
                let mut connection = Connection::open(address).await;
                connection.send(&bytes).await;
                let answer = connection.answer().await;
                assert_eq!((answer.status, answer.closes()), (status, closes), "{}", answer.head);
                if !closes {
                    connection.send(&next).await;
                    assert!(connection.answer().await.body.contains(expected));
                }
            }
        }
    }
}

/// A client that waits for `100 Continue` gets an error instead, and the connection ends, since the
/// body may still come. A valid request is served, and so is the next one.
#[tokio::test]
async fn clients_that_expect_100_continue() {
    let server = serve().await;
    for (address, method, path, headers, status) in rejected(&server) {
        let headers = format!("{headers}expect: 100-continue\r\n");
        for bytes in [
            request(method, path, &headers, "xxxx").strip_suffix("xxxx").unwrap().to_owned(),
            chunked(method, path, &headers, &[]).strip_suffix("0\r\n\r\n").unwrap().to_owned(),
        ] {
            let mut connection = Connection::open(address).await;
            connection.send(&bytes).await;
            let answer = connection.answer().await;
            assert_eq!(answer.status, status, "{method} {path}: {}", answer.head);
            assert!(answer.closes(), "{method} {path}: {}", answer.head);
            connection.ended().await;
        }
    }
    let json = "content-type: application/json\r\nexpect: 100-continue\r\n";
    for (address, path) in [(server.evaluation_addr(), RESOLVE), (server.ofrep_addr(), FLAG)] {
        let mut connection = Connection::open(address).await;
        let body = "{\"flagKey\": \"bool\"}";
        for whole in [request("POST", path, json, body), chunked("POST", path, json, &[body])] {
            let (head, body) = whole.split_at(whole.find("\r\n\r\n").unwrap() + 4);
            connection.send(head).await;
            assert_eq!(connection.answer().await.status, 100);
            connection.send(body).await;
            let answer = connection.answer().await;
            assert_eq!((answer.status, answer.closes()), (200, false), "{}", answer.head);
        }
    }
}

/// A client may send the body without waiting for `100 Continue`: it can send all of it and reads
/// the error.
#[tokio::test]
async fn clients_that_do_not_wait_for_100_continue() {
    let server = serve_with(Server::builder().max_request_body(1000)).await;
    let body = "x".repeat(5_000_000);
    let json = "content-type: application/json\r\nexpect: 100-continue\r\n";
    for (address, method, path, status) in [
        (server.ofrep_addr(), "POST", FLAG, 413),
        (server.evaluation_addr(), "POST", RESOLVE, 429),
        (server.evaluation_addr(), "POST", "/nope", 404),
        (server.ofrep_addr(), "PUT", FLAG, 405),
    ] {
        let mut connection = Connection::open(address).await;
        connection.send(&request(method, path, json, &body)).await;
        let answer = connection.answer().await;
        assert_eq!((answer.status, answer.closes()), (status, true), "{path}: {}", answer.head);
        connection.ended().await;
    }
}

/// hyper's client, which reuses connections: it needs one for all requests within the limit, and
/// loses none beyond it.
#[tokio::test]
async fn a_pool_of_connections() {
    let server = serve().await;
    let client = Client::builder(TokioExecutor::new()).build_http::<Full<Bytes>>();
    let authority = server.ofrep_addr().unwrap();
    // The status, and the client's side of the connection.
    let ask = async |path: &str, length: usize| {
        let request = Request::post(format!("http://{authority}{path}"))
            .body(Full::new(Bytes::from(vec![b' '; length])))
            .unwrap();
        let response = bounded("an answer", client.request(request)).await.unwrap();
        let status = response.status().as_u16();
        let local = response.extensions().get::<HttpInfo>().unwrap().local_addr();
        response.into_body().collect().await.unwrap();
        (status, local)
    };
    let (_, first) = ask(FLAG, 0).await;
    for length in [0, 10, 1000, 60_000] {
        assert_eq!(ask("/nope", length).await, (404, first));
        assert_eq!(ask(FLAG, length).await, (200, first));
    }
    for length in [70_000, 900_000, 3_000_000] {
        assert_eq!(ask("/nope", length).await.0, 404);
        assert_eq!(ask(FLAG, 0).await.0, 200);
    }
}
