//! The implementations of the I/O traits for [`TcpStream`]: those of `futures-io`, and those of tokio with feature
//! `tokio`.

use core::pin::Pin;
use core::task::{Context, Poll};
use std::io::{self, IoSlice};
use std::iter;
use std::net::Shutdown;

use super::tcp::TcpStream;

/// How many bytes of several slices are written at once. A longer slice is written by itself, because to copy it would
/// take longer than to be called once more.
const MOST_JOINED: usize = 4 << 10;

impl TcpStream {
    /// Writes the beginning of several slices by one call of `write`, so that short ones share a segment. If `write` were
    /// called for each, it would send each at once. A long slice at the beginning is written alone.
    pub(crate) fn write_joined<T>(slices: &[IoSlice<'_>], write: impl FnOnce(&[u8]) -> T) -> T {
        let mut slices = slices.iter().filter(|slice| !slice.is_empty()).peekable();
        let Some(first) = slices.next() else { return write(&[]) };
        if first.len() >= MOST_JOINED || slices.peek().is_none() {
            return write(first);
        }
        let mut joined = Vec::with_capacity(MOST_JOINED);
        for slice in iter::once(first).chain(slices) {
            let room = MOST_JOINED - joined.len();
            joined.extend_from_slice(&slice[..slice.len().min(room)]);
        }
        write(&joined)
    }
}

impl futures_io::AsyncRead for &TcpStream {
    fn poll_read(self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<usize>> {
        TcpStream::poll_read(&self, context, buffer).map_err(io::Error::from)
    }
}

impl futures_io::AsyncWrite for &TcpStream {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        TcpStream::poll_write(&self, context, bytes).map_err(io::Error::from)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        TcpStream::write_joined(slices, |bytes| TcpStream::poll_write(&self, context, bytes)).map_err(io::Error::from)
    }

    /// Ready at once: written data needs no flush to be sent, and the stack keeps it until it is acknowledged.
    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_close(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(self.shutdown(Shutdown::Write).map_err(io::Error::from))
    }
}

impl futures_io::AsyncRead for TcpStream {
    fn poll_read(self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut &*self).poll_read(context, buffer)
    }
}

impl futures_io::AsyncWrite for TcpStream {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut &*self).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        futures_io::AsyncWrite::poll_write_vectored(Pin::new(&mut &*self), context, slices)
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        futures_io::AsyncWrite::poll_flush(Pin::new(&mut &*self), context)
    }

    fn poll_close(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut &*self).poll_close(context)
    }
}

#[cfg(feature = "tokio")]
impl tokio::io::AsyncRead for TcpStream {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut tokio::io::ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match Self::poll_read(&self, context, buffer.initialize_unfilled()) {
            Poll::Ready(Ok(count)) => {
                buffer.advance(count);
                Poll::Ready(Ok(()))
            }
            Poll::Ready(Err(error)) => Poll::Ready(Err(error.into())),
            Poll::Pending => Poll::Pending,
        }
    }
}

#[cfg(feature = "tokio")]
impl tokio::io::AsyncWrite for TcpStream {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Self::poll_write(&self, context, bytes).map_err(io::Error::from)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        futures_io::AsyncWrite::poll_write_vectored(self, context, slices)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        futures_io::AsyncWrite::poll_flush(self, context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        futures_io::AsyncWrite::poll_close(self, context)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(slices: &[&[u8]]) -> Vec<u8> {
        let slices: Vec<_> = slices.iter().map(|slice| IoSlice::new(slice)).collect();
        TcpStream::write_joined(&slices, <[u8]>::to_vec)
    }

    #[test]
    fn short_slices_are_written_together_and_long_ones_alone() {
        let long = [7_u8; MOST_JOINED + 1];
        assert_eq!(written(&[]), b"");
        assert_eq!(written(&[b"", b""]), b"");
        assert_eq!(written(&[b"", b"one"]), b"one");
        assert_eq!(written(&[b"one", b"", b"two", b"three"]), b"onetwothree");
        assert_eq!(written(&[&long, b"two"]), long);
        assert_eq!(written(&[b"one", &long, b"three"]), [&b"one"[..], &long[..MOST_JOINED - 3]].concat());
    }
}
