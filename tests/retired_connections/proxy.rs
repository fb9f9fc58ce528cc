//! A proxy that retires its connections as nginx does: after a number of requests it sends GOAWAY,
//! finishes the calls in flight, and drops later ones.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{
        TcpListener, TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    sync::{Mutex, watch},
};

use crate::{
    every_call_is_answered, provider,
    support::{
        background::Background,
        ports,
        provider::{changed, expect, near, watched},
    },
    upstream::{Upstream, scripted},
};

pub(crate) async fn retires() {
    let upstream = Upstream::start().await;
    for tasks in [16, 32] {
        retires_after(&upstream, 1000, tasks).await;
    }
}

pub(crate) async fn retires_often() {
    let upstream = Upstream::start().await;
    retires_after(&upstream, 50, 16).await;
}

/// The event stream holds a connection that accepts nothing else: its replacement is lost, and is
/// opened over the next connection before the deadline of the old one.
pub(crate) async fn streams() {
    let server = scripted();
    let proxy = RetiringProxy::start(ports::local(server.port()), 1);
    let options = near(proxy.port).stream_deadline(Duration::from_secs(1));
    let (provider, mut events) = watched(options).await;
    for streams in 2..=4 {
        server.wait_until("the next stream", |seen| seen.streams_opened() == streams).await;
        server.wait_for_streams(1).await;
    }
    server.change(&["last"]);
    expect(&mut events, [changed(&["last"])]).await;
    assert_eq!(provider.stats().reconnections, 0);
}

async fn retires_after(upstream: &Upstream, requests: usize, tasks: usize) {
    let proxy = RetiringProxy::start(ports::local(upstream.port()), requests);
    every_call_is_answered(&provider(proxy.port).await, tasks).await;
    let retired = *proxy.retired.borrow();
    assert!(retired >= crate::CALLS / requests / 2, "only {retired} connections were retired");
}

struct RetiringProxy {
    port: u16,
    retired: Arc<watch::Sender<usize>>,
    _background: Background,
}

impl RetiringProxy {
    fn start(upstream: SocketAddr, requests: usize) -> Self {
        let listener = ports::listen();
        let port = listener.local_addr().unwrap().port();
        let retired = Arc::new(watch::Sender::new(0));
        let count = retired.clone();
        let background = Background::spawn("retiring-proxy", move || async move {
            listener.set_nonblocking(true).unwrap();
            let listener = TcpListener::from_std(listener).unwrap();
            loop {
                let (client, _) = listener.accept().await.unwrap();
                tokio::spawn(connection(client, upstream, requests, count.clone()));
            }
        });
        Self { port, retired, _background: background }
    }
}

const PREFACE: usize = 24;
const HEADER: usize = 9;
const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const GOAWAY: u8 = 7;
const END_STREAM: u8 = 1;

struct Frame {
    bytes: Vec<u8>,
}

impl Frame {
    async fn read(from: &mut OwnedReadHalf) -> std::io::Result<Self> {
        let mut bytes = vec![0; HEADER];
        from.read_exact(&mut bytes).await?;
        let length = u32::from_be_bytes([0, bytes[0], bytes[1], bytes[2]]) as usize;
        bytes.resize(HEADER + length, 0);
        from.read_exact(&mut bytes[HEADER..]).await?;
        Ok(Self { bytes })
    }

    fn kind(&self) -> u8 {
        self.bytes[3]
    }

    fn stream(&self) -> u32 {
        u32::from_be_bytes(self.bytes[5..9].try_into().unwrap()) & 0x7fff_ffff
    }

    /// This stream sends nothing more.
    fn ends(&self) -> bool {
        matches!(self.kind(), DATA | HEADERS) && self.bytes[4] & END_STREAM != 0
            || self.kind() == RST_STREAM
    }

    fn goaway(last_stream: u32) -> Vec<u8> {
        let mut frame = vec![0, 0, 8, GOAWAY, 0, 0, 0, 0, 0];
        frame.extend(last_stream.to_be_bytes());
        frame.extend([0; 4]); // NO_ERROR
        frame
    }
}

/// The open streams; streams after the last one are dropped.
#[derive(Default)]
struct Streams {
    open: Vec<u32>,
    last: Option<u32>,
}

async fn connection(
    client: TcpStream,
    upstream: SocketAddr,
    requests: usize,
    retired: Arc<watch::Sender<usize>>,
) {
    let Ok(upstream) = TcpStream::connect(upstream).await else { return };
    client.set_nodelay(true).unwrap();
    upstream.set_nodelay(true).unwrap();
    let (from_client, to_client) = client.into_split();
    let (from_upstream, to_upstream) = upstream.into_split();
    let to_client = Arc::new(Mutex::new(to_client));
    let streams = Arc::new(Mutex::new(Streams::default()));
    let forth =
        forth(from_client, to_upstream, to_client.clone(), streams.clone(), requests, retired);
    tokio::select! {
        _ = forth => {}
        _ = back(from_upstream, to_client, streams) => {}
    }
}

async fn forth(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    to_client: Arc<Mutex<OwnedWriteHalf>>,
    streams: Arc<Mutex<Streams>>,
    requests: usize,
    retired: Arc<watch::Sender<usize>>,
) -> std::io::Result<()> {
    let mut preface = [0; PREFACE];
    from.read_exact(&mut preface).await?;
    to.write_all(&preface).await?;
    let mut begun = 0;
    loop {
        let frame = Frame::read(&mut from).await?;
        let mut known = streams.lock().await;
        if known.last.is_some_and(|last| frame.stream() > last) {
            continue;
        }
        if frame.kind() == HEADERS {
            begun += 1;
            known.open.push(frame.stream());
            if begun == requests {
                known.last = Some(frame.stream());
                to_client.lock().await.write_all(&Frame::goaway(frame.stream())).await?;
                retired.send_modify(|retired| *retired += 1);
            }
        }
        if frame.kind() == RST_STREAM {
            known.open.retain(|open| *open != frame.stream());
        }
        drop(known);
        to.write_all(&frame.bytes).await?;
    }
}

async fn back(
    mut from: OwnedReadHalf,
    to_client: Arc<Mutex<OwnedWriteHalf>>,
    streams: Arc<Mutex<Streams>>,
) -> std::io::Result<()> {
    loop {
        let frame = Frame::read(&mut from).await?;
        to_client.lock().await.write_all(&frame.bytes).await?;
        let mut known = streams.lock().await;
        if frame.ends() {
            known.open.retain(|open| *open != frame.stream());
        }
        if known.last.is_some() && known.open.is_empty() {
            return to_client.lock().await.shutdown().await;
        }
    }
}
