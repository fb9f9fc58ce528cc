//! A TCP proxy that a test breaks and repairs.

use std::{
    future::pending,
    io,
    net::{SocketAddr, TcpListener as StdListener},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{
        TcpListener, TcpStream,
        tcp::{ReadHalf, WriteHalf},
    },
    sync::watch,
    time::sleep,
};

use super::frames::{Cutter, Frames, Side};
use crate::support::{
    background::Background,
    ports,
    servers::http2::{Connections, Counted},
    wait,
};

/// What happens to the bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Flow {
    Pass,
    Delay(Duration),
    Swallow,
}

/// The proxy: one port for its whole life, open at first.
#[derive(Debug)]
pub struct TcpGate {
    port: u16,
    upstream: watch::Sender<SocketAddr>,
    flow: watch::Sender<Flow>,
    counts: Arc<watch::Sender<Connections>>,
    frames: Arc<watch::Sender<Frames>>,
    open: Mutex<Option<Open>>,
}

#[derive(Debug)]
struct Open {
    listener: StdListener,
    /// Dropped before the listener.
    background: Option<Background>,
}

impl TcpGate {
    /// An open gate to a port of 127.0.0.1.
    pub fn to_port(port: u16) -> Self {
        Self::open_to(ports::local(port))
    }

    pub fn open_to(upstream: SocketAddr) -> Self {
        let gate = Self::closed_to(upstream);
        gate.open();
        gate
    }

    /// A gate that is closed at first.
    pub fn closed_to(upstream: SocketAddr) -> Self {
        Self {
            port: ports::free_port(),
            upstream: watch::Sender::new(upstream),
            flow: watch::Sender::new(Flow::Pass),
            counts: Arc::default(),
            frames: Arc::default(),
            open: Mutex::default(),
        }
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    pub fn uri(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Bytes pass, both ways. A connection that has lost bytes to [`Self::swallow`] stays deaf.
    pub fn open(&self) {
        self.accept(Flow::Pass);
    }

    /// Each chunk of bytes is delayed by this much, both ways.
    pub fn delay(&self, delay: Duration) {
        self.accept(Flow::Delay(delay));
    }

    /// Connections are accepted and stay open, but their bytes go nowhere, both ways.
    pub fn swallow(&self) {
        self.accept(Flow::Swallow);
    }

    /// Resets all connections and refuses new ones.
    pub fn close(&self) {
        let Some(mut open) = self.open.lock().unwrap().take() else { return };
        open.background.take();
    }

    /// New connections lead to another port of 127.0.0.1.
    pub fn lead_to(&self, port: u16) {
        self.upstream.send_replace(ports::local(port));
    }

    /// Resets all connections; new ones are accepted as before.
    pub fn cut(&self) {
        if let Some(open) = self.open.lock().unwrap().as_mut() {
            open.background.take();
            open.background = Some(self.run(&open.listener));
        }
    }

    fn accept(&self, flow: Flow) {
        self.flow.send_replace(flow);
        self.open.lock().unwrap().get_or_insert_with(|| {
            let listener = ports::listen_on(self.port);
            let background = Some(self.run(&listener));
            Open { listener, background }
        });
    }

    fn run(&self, listener: &StdListener) -> Background {
        let listener = listener.try_clone().unwrap();
        let (upstream, flow) = (self.upstream.subscribe(), self.flow.subscribe());
        let (counts, frames) = (Arc::clone(&self.counts), Arc::clone(&self.frames));
        Background::spawn("gate", move || accept(listener, upstream, flow, counts, frames))
    }

    pub fn connections(&self) -> Connections {
        *self.counts.borrow()
    }

    /// Waits until the connections satisfy the condition.
    pub async fn wait_until(&self, what: &str, condition: impl FnMut(&Connections) -> bool) {
        wait::until(&self.counts, what, condition).await;
    }

    /// The HTTP/2 frames that have passed without TLS.
    pub fn frames(&self) -> Frames {
        *self.frames.borrow()
    }

    /// Waits until the frames that have passed satisfy the condition.
    pub async fn wait_until_passed(&self, what: &str, condition: impl FnMut(&Frames) -> bool) {
        wait::until(&self.frames, what, condition).await;
    }
}

async fn accept(
    listener: StdListener,
    upstream: watch::Receiver<SocketAddr>,
    flow: watch::Receiver<Flow>,
    counts: Arc<watch::Sender<Connections>>,
    frames: Arc<watch::Sender<Frames>>,
) {
    listener.set_nonblocking(true).unwrap();
    let listener = TcpListener::from_std(listener).unwrap();
    loop {
        let (client, _) = listener.accept().await.unwrap();
        let counted = Counted::new(&counts);
        let (flow, frames) = (flow.clone(), Arc::clone(&frames));
        let pipe = Pipe { flow, deaf: AtomicBool::new(false), frames };
        let upstream = *upstream.borrow();
        tokio::spawn(async move {
            let _counted = counted;
            pipe.run(Socket::new(client), upstream).await;
        });
    }
}

/// A socket that is reset when dropped, unless it was closed.
struct Socket {
    stream: TcpStream,
    ended: bool,
}

impl Socket {
    fn new(stream: TcpStream) -> Self {
        let _ = stream.set_nodelay(true); // fails only on one that is gone already
        Self { stream, ended: false }
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        if !self.ended {
            let _ = self.stream.set_zero_linger();
        }
    }
}

/// One connection.
struct Pipe {
    flow: watch::Receiver<Flow>,
    /// Some of its bytes were swallowed: the rest would make no sense.
    deaf: AtomicBool,
    frames: Arc<watch::Sender<Frames>>,
}

impl Pipe {
    async fn run(&self, mut client: Socket, upstream: SocketAddr) {
        if *self.flow.borrow() == Flow::Swallow {
            let _ = tokio::io::copy(&mut client.stream, &mut tokio::io::sink()).await;
            client.ended = true;
            return;
        }
        let Ok(upstream) = TcpStream::connect(upstream).await else { return };
        let mut upstream = Socket::new(upstream);
        let (client_read, client_write) = client.stream.split();
        let (upstream_read, upstream_write) = upstream.stream.split();
        let ended = tokio::select! {
            ended = self.pump(Side::Client, client_read, upstream_write) => ended.is_ok(),
            failed = self.answer(upstream_read, client_write) => failed.is_ok(),
        };
        (client.ended, upstream.ended) = (ended, ended);
    }

    /// From the upstream to the client, which may close the connection when the upstream has ended.
    async fn answer(&self, from: ReadHalf<'_>, to: WriteHalf<'_>) -> io::Result<()> {
        let ended = self.pump(Side::Server, from, to).await;
        if ended.is_ok() || self.is_deaf() || *self.flow.borrow() == Flow::Swallow {
            pending::<()>().await;
        }
        ended
    }

    async fn pump(
        &self,
        side: Side,
        mut from: ReadHalf<'_>,
        mut to: WriteHalf<'_>,
    ) -> io::Result<()> {
        let mut frames = Cutter::new(side);
        let mut buffer = vec![0; 16 * 1024];
        loop {
            let count = from.read(&mut buffer).await?;
            let flow = *self.flow.borrow();
            if let Flow::Delay(delay) = flow {
                sleep(delay).await;
            }
            if flow == Flow::Swallow {
                self.deaf.store(true, Ordering::Relaxed);
            }
            match count {
                0 if self.is_deaf() => return Ok(()),
                0 => return to.shutdown().await,
                _ if self.is_deaf() => {}
                _ => {
                    to.write_all(&buffer[..count]).await?;
                    self.frames.send_if_modified(|seen| {
                        let before = *seen;
                        frames.count(&buffer[..count], seen);
                        *seen != before
                    });
                }
            }
        }
    }

    fn is_deaf(&self) -> bool {
        self.deaf.load(Ordering::Relaxed)
    }
}
