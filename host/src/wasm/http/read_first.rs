//! Streams of which what has arrived is read before a failure is told.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// A stream on which a write does not fail: that the connection has failed is told by a read, after everything that the
/// peer has sent before.
///
/// A server may answer a request and close the connection before it has read all of it; its host resets the connection
/// then (RFC 9112 section 9.6). The answer can be read nevertheless, but hyper 1.12 gives up at the first failed write.
pub(super) struct ReadFirst<S> {
    stream: S,
    has_failed: bool,
}

impl<S> ReadFirst<S> {
    pub(super) const fn new(stream: S) -> Self {
        Self { stream, has_failed: false }
    }

    /// The result of a write. If it has failed, what was to be written counts as written, to nowhere.
    fn written<T>(&mut self, written: Poll<io::Result<T>>, nowhere: T) -> Poll<io::Result<T>> {
        match written {
            Poll::Ready(Err(error)) => {
                tracing::debug!(%error, "nothing more can be sent to a server");
                self.has_failed = true;
                Poll::Ready(Ok(nowhere))
            }
            written => written,
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for ReadFirst<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buffer)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for ReadFirst<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        if self.has_failed {
            return Poll::Ready(Ok(bytes.len()));
        }
        let written = Pin::new(&mut self.stream).poll_write(cx, bytes);
        self.written(written, bytes.len())
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let all = slices.iter().map(|slice| slice.len()).sum();
        if self.has_failed {
            return Poll::Ready(Ok(all));
        }
        let written = Pin::new(&mut self.stream).poll_write_vectored(cx, slices);
        self.written(written, all)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.has_failed {
            return Poll::Ready(Ok(()));
        }
        let flushed = Pin::new(&mut self.stream).poll_flush(cx);
        self.written(flushed, ())
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.has_failed {
            return Poll::Ready(Ok(()));
        }
        let ended = Pin::new(&mut self.stream).poll_shutdown(cx);
        self.written(ended, ())
    }
}

#[cfg(test)]
mod tests {
    use std::task::Waker;

    use bytes::Bytes;
    use http::Request;
    use http_body_util::{BodyExt as _, Full};
    use hyper::client::conn::http1;
    use wasmtime_wasi_http::io::TokioIo;

    use super::*;

    const ANSWER: &[u8] = b"HTTP/1.1 413 Content Too Large\r\ncontent-length: 3\r\nconnection: close\r\n\r\nno!";

    /// A connection that takes so many bytes. Then the peer has answered, and has reset it.
    struct Early {
        room: usize,
        answer: &'static [u8],
        reader: Option<Waker>,
    }

    impl AsyncRead for Early {
        fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
            if self.room > 0 {
                self.reader = Some(cx.waker().clone());
                return Poll::Pending;
            }
            if self.answer.is_empty() {
                return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()));
            }
            buffer.put_slice(std::mem::take(&mut self.answer));
            Poll::Ready(Ok(()))
        }
    }

    impl AsyncWrite for Early {
        fn poll_write(mut self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
            let count = bytes.len().min(self.room);
            self.room -= count;
            if count > 0 {
                return Poll::Ready(Ok(count));
            }
            self.reader.take().into_iter().for_each(Waker::wake);
            Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()))
        }

        fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }

        fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }
    }

    /// What a client gets that sends a long request over a stream.
    async fn answered(stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static) -> Option<(u16, Bytes)> {
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.expect("a connection");
        tokio::spawn(connection);
        let body = Full::new(Bytes::from(vec![7; 1 << 20]));
        let request = Request::post("/").header("host", "a").body(body).expect("a request");
        let response = sender.send_request(request).await.ok()?;
        let status = response.status().as_u16();
        Some((status, response.into_body().collect().await.ok()?.to_bytes()))
    }

    const fn early(answer: &'static [u8]) -> Early {
        Early { room: 100_000, answer, reader: None }
    }

    #[tokio::test]
    async fn an_answer_that_came_before_the_failure_is_read() {
        assert_eq!(answered(ReadFirst::new(early(ANSWER))).await, Some((413, Bytes::from_static(b"no!"))));
        assert_eq!(answered(ReadFirst::new(early(b""))).await, None, "the failure is told without an answer");
        assert_eq!(answered(early(ANSWER)).await, None, "hyper reads it by itself: this module is not needed any more");
    }
}
