//! Counts the HTTP/2 frames that pass a gate without TLS, by kind.

/// What has passed so far, over all connections.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Frames {
    /// Calls that the client has begun, including streams.
    pub begun: usize,
    /// Calls that the client has cancelled, for example a stream that it has replaced.
    pub given_up: usize,
    /// Pings that the server has acknowledged.
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
    /// Bytes to skip: the client's preface, or the payload of a frame.
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
