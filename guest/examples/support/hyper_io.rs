//! An adapter from a connection to hyper's I/O traits.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use hyper::rt::{Read, ReadBufCursor, Write};
use xila_network::TcpStream;

/// Implements hyper's traits on a `TcpStream`.
pub(crate) struct HyperIo(pub(crate) TcpStream);

impl Read for HyperIo {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, mut buffer: ReadBufCursor<'_>) -> Poll<io::Result<()>> {
        let (read, _) = self.get_mut().0.split();
        let chunk = ready!(read.poll_fill_buf(cx))?;
        let length = chunk.len().min(buffer.remaining());
        buffer.put_slice(&chunk[..length]);
        read.consume(length);
        Poll::Ready(Ok(()))
    }
}

impl Write for HyperIo {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        self.get_mut().0.poll_write(cx, data).map_err(io::Error::from)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let (_, write) = self.get_mut().0.split();
        write.poll_flush(cx).map_err(io::Error::from)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let (_, write) = self.get_mut().0.split();
        write.poll_shutdown(cx).map_err(io::Error::from)
    }
}
