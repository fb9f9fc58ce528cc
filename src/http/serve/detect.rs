//! The version of HTTP that a client speaks, found out from its first bytes.
//!
//! A client of HTTP/2 sends the connection preface first (RFC 9113, section 3.4), so both
//! versions also work without TLS.
//!
//! hyper-util detects the version too, but hands those first bytes to hyper in a read of their
//! own. hyper then doubles its buffer to read the rest, and keeps it while the connection lives:
//! 8 KiB more for each event stream.

use std::{
    io::{self, IoSlice},
    pin::Pin,
    task::{Context, Poll},
};

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, ReadBuf};

/// What a client of HTTP/2 sends first.
const PREFACE: [u8; 24] = *b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// A stream of which the first bytes are known; they are read again.
pub(crate) struct Detected<S> {
    stream: S,
    first: [u8; PREFACE.len()],
    /// How many of the first bytes were received.
    received: usize,
    /// How many of them were read again.
    read: usize,
}

impl<S: AsyncRead + Unpin> Detected<S> {
    /// Waits for the bytes that tell the version, or for the end of the stream.
    ///
    /// # Errors
    ///
    /// The stream cannot be read.
    pub(crate) async fn new(mut stream: S) -> io::Result<Self> {
        let (mut first, mut received) = ([0; PREFACE.len()], 0);
        while received < PREFACE.len() && PREFACE.starts_with(&first[..received]) {
            match stream.read(&mut first[received..]).await? {
                0 => break,
                more => received += more,
            }
        }
        Ok(Self { stream, first, received, read: 0 })
    }

    /// Whether the client speaks HTTP/2.
    pub(crate) fn is_http2(&self) -> bool {
        self.received == PREFACE.len() && self.first == PREFACE
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Detected<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let known = &this.first[this.read..this.received];
        if known.is_empty() || buffer.remaining() == 0 {
            return Pin::new(&mut this.stream).poll_read(context, buffer);
        }
        let known = &known[..known.len().min(buffer.remaining())];
        buffer.put_slice(known);
        this.read += known.len();
        if buffer.remaining() > 0 {
            // The rest of the request has usually arrived. A stream that failed here has nothing
            // more to read, which the next read finds out.
            let _ = Pin::new(&mut this.stream).poll_read(context, buffer);
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Detected<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        parts: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(context, parts)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncWriteExt, duplex};

    use super::*;

    /// Sends the parts one by one, and returns the version and what was read.
    async fn detected(parts: &[&[u8]]) -> (bool, Vec<u8>) {
        let (server, mut client) = duplex(1);
        let parts: Vec<Vec<u8>> = parts.iter().map(|it| it.to_vec()).collect();
        let sent = tokio::spawn(async move {
            for part in parts {
                client.write_all(&part).await.unwrap();
            }
        });
        let mut detected = Detected::new(server).await.unwrap();
        let mut all = Vec::new();
        detected.read_to_end(&mut all).await.unwrap();
        sent.await.unwrap();
        (detected.is_http2(), all)
    }

    #[tokio::test]
    async fn only_the_whole_preface_is_http2_and_nothing_is_lost() {
        for (sent, is_http2) in [
            (&b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0"[..], true),
            (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", true),
            (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r", false),
            (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\r and more", false),
            (b"PROPFIND / HTTP/1.1\r\n\r\n", false),
            (b"GET / HTTP/1.1\r\nhost: example.com\r\n\r\n", false),
            (b"P", false),
            (b"", false),
        ] {
            assert_eq!(detected(&[sent]).await, (is_http2, sent.to_vec()));
        }
    }

    #[tokio::test]
    async fn the_first_read_takes_all_that_has_arrived() {
        let (server, mut client) = duplex(100);
        client.write_all(&[b'G'; 60]).await.unwrap();
        let mut detected = Detected::new(server).await.unwrap();
        let mut buffer = [0; 100];
        assert_eq!(detected.read(&mut buffer[..10]).await.unwrap(), 10);
        assert_eq!(detected.read(&mut buffer).await.unwrap(), 50);
    }
}
