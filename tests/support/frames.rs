//! The frames of HTTP/2 without TLS that pass a gate, by what a test waits for.

/// What has passed so far, over all connections.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Frames {
    /// Calls that the client has begun, streams among them.
    pub begun: usize,
    /// Those that the client has given up: a stream that it has replaced, for one.
    pub given_up: usize,
    /// Pings that the server has answered.
    pub pongs: usize,
}

/// Whose bytes they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    Client,
    Server,
}

/// The bytes of one side of a connection, cut into frames.
#[derive(Debug)]
pub struct Cutter {
    side: Side,
    /// Bytes to pass over: the client's preface, or what a frame carries.
    skip: usize,
    header: Vec<u8>,
}

const PREFACE: usize = 24;
const HEADER: usize = 9;

const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const PING: u8 = 6;
const ACK: u8 = 1;

impl Cutter {
    pub fn new(side: Side) -> Self {
        let skip = if side == Side::Client { PREFACE } else { 0 };
        Self { side, skip, header: Vec::with_capacity(HEADER) }
    }

    /// Counts the frames whose heads end in these bytes.
    pub fn count(&mut self, mut bytes: &[u8], seen: &mut Frames) {
        loop {
            let skipped = self.skip.min(bytes.len());
            self.skip -= skipped;
            bytes = &bytes[skipped..];
            let (head, rest) = bytes.split_at(bytes.len().min(HEADER - self.header.len()));
            self.header.extend_from_slice(head);
            bytes = rest;
            let [a, b, c, kind, flags, ..] = self.header[..] else { return };
            if self.header.len() < HEADER {
                return;
            }
            match (self.side, kind) {
                (Side::Client, HEADERS) => seen.begun += 1,
                (Side::Client, RST_STREAM) => seen.given_up += 1,
                (Side::Server, PING) if flags & ACK != 0 => seen.pongs += 1,
                _ => {}
            }
            self.skip = u32::from_be_bytes([0, a, b, c]) as usize;
            self.header.clear();
        }
    }
}
