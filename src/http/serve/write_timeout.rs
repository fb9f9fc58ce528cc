//! The write timeout: how long a connection waits for its client to read.
//!
//! A client that stops reading keeps a connection, the buffers of its socket, and a
//! response. Over HTTP/2 a ping shows that it still exists, but over HTTP/1.1
//! nothing else does. A timeout for the whole response would be wrong: a large
//! response to a slow client may take any time. So the timer runs only while a write
//! is pending, which means that the buffers of the socket are full, and any progress
//! stops it.
//!
//! ```text
//! poll_write   ready       the timer is removed
//! poll_write   pending     the timer starts, unless it runs
//! the timer fires          the connection fails with `TimedOut`
//! ```

use std::{
    io::{self, IoSlice},
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::{Sleep, sleep},
};

/// A stream whose writes fail once the client has read nothing for the timeout.
///
/// It is below TLS, so it also covers the handshake. Reads are passed through.
pub(crate) struct WriteTimeout<S> {
    stream: S,
    timeout: Duration,
    /// The timer, while a write is pending. It is boxed to keep idle connections
    /// small.
    stuck: Option<Pin<Box<Sleep>>>,
}

impl<S> WriteTimeout<S> {
    /// Wraps a stream. No timer runs yet.
    pub(crate) fn new(stream: S, timeout: Duration) -> Self {
        Self { stream, timeout, stuck: None }
    }
}

impl<S: AsyncWrite + Unpin> WriteTimeout<S> {
    /// Writes, and fails if the write has been pending for the timeout.
    fn write(
        &mut self,
        context: &mut Context<'_>,
        write: impl FnOnce(Pin<&mut S>, &mut Context<'_>) -> Poll<io::Result<usize>>,
    ) -> Poll<io::Result<usize>> {
        let written = write(Pin::new(&mut self.stream), context);
        if written.is_ready() {
            self.stuck = None;
            return written;
        }
        let timeout = self.timeout;
        let stuck = self.stuck.get_or_insert_with(|| Box::pin(sleep(timeout)));
        stuck.as_mut().poll(context).map(|()| {
            Err(io::Error::new(io::ErrorKind::TimedOut, "the client has stopped reading"))
        })
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for WriteTimeout<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for WriteTimeout<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.write(context, |stream, context| stream.poll_write(context, bytes))
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        parts: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.write(context, |stream, context| stream.poll_write_vectored(context, parts))
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
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt, duplex},
        time::Instant,
    };

    use super::*;

    const TIMEOUT: Duration = Duration::from_secs(60);

    #[tokio::test(start_paused = true)]
    async fn a_slow_client_is_served_and_a_stuck_one_is_not() {
        let (server, mut client) = duplex(4);
        let mut server = WriteTimeout::new(server, TIMEOUT);
        let began = Instant::now();
        let written = tokio::spawn(async move { server.write_all(&[7; 40]).await });
        for _ in 0..6 {
            sleep(TIMEOUT * 9 / 10).await;
            assert_eq!(client.read_u8().await.unwrap(), 7);
        }
        assert!(began.elapsed() > 5 * TIMEOUT && !written.is_finished());
        let stopped = Instant::now();
        let error = written.await.unwrap().unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        assert_eq!(stopped.elapsed().as_secs(), TIMEOUT.as_secs());
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_for_which_nothing_waits_may_be_quiet() {
        let (server, mut client) = duplex(4);
        let mut server = WriteTimeout::new(server, TIMEOUT);
        for _ in 0..3 {
            server.write_all(&[7; 4]).await.unwrap();
            sleep(2 * TIMEOUT).await;
            client.read_exact(&mut [0; 4]).await.unwrap();
        }
    }
}
