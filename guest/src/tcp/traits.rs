//! Implementations of the traits of `futures-io` and `embedded-io-async` for the stream and its halves.

use super::{ReadHalf, TcpStream, WriteHalf};

#[cfg(feature = "futures-io")]
mod futures_io_traits {
    use std::io;
    use std::pin::Pin;
    use std::task::{Context, Poll};

    use futures_io::{AsyncBufRead, AsyncRead, AsyncWrite};

    use super::{ReadHalf, TcpStream, WriteHalf};

    impl AsyncRead for ReadHalf {
        fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<usize>> {
            Self::poll_read(self.get_mut(), cx, buffer).map_err(io::Error::from)
        }
    }

    impl AsyncBufRead for ReadHalf {
        fn poll_fill_buf(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<&[u8]>> {
            Self::poll_fill_buf(self.get_mut(), cx).map_err(io::Error::from)
        }

        fn consume(self: Pin<&mut Self>, length: usize) {
            Self::consume(self.get_mut(), length);
        }
    }

    impl AsyncWrite for WriteHalf {
        fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
            Self::poll_write(self.get_mut(), cx, data).map_err(io::Error::from)
        }

        fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
            Self::poll_flush(self.get_mut(), cx).map_err(io::Error::from)
        }

        fn poll_close(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
            Self::poll_shutdown(self.get_mut(), cx).map_err(io::Error::from)
        }
    }

    impl AsyncRead for TcpStream {
        fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<usize>> {
            self.get_mut().read.poll_read(cx, buffer).map_err(io::Error::from)
        }
    }

    impl AsyncBufRead for TcpStream {
        fn poll_fill_buf(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<&[u8]>> {
            self.get_mut().read.poll_fill_buf(cx).map_err(io::Error::from)
        }

        fn consume(self: Pin<&mut Self>, length: usize) {
            self.get_mut().read.consume(length);
        }
    }

    impl AsyncWrite for TcpStream {
        fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
            self.get_mut().write.poll_write(cx, data).map_err(io::Error::from)
        }

        fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
            self.get_mut().write.poll_flush(cx).map_err(io::Error::from)
        }

        fn poll_close(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
            self.get_mut().write.poll_shutdown(cx).map_err(io::Error::from)
        }
    }
}

#[cfg(feature = "embedded-io-async")]
mod embedded_io_traits {
    use std::future::poll_fn;

    use embedded_io_async::{BufRead, ErrorKind, ErrorType, Read, Write};

    use super::{ReadHalf, TcpStream, WriteHalf};
    use crate::Error;

    impl embedded_io_async::Error for Error {
        fn kind(&self) -> ErrorKind {
            match self {
                Self::AccessDenied => ErrorKind::PermissionDenied,
                Self::NotSupported => ErrorKind::Unsupported,
                Self::InvalidArgument | Self::InvalidName => ErrorKind::InvalidInput,
                Self::InvalidState => ErrorKind::NotConnected,
                Self::LimitReached | Self::NoFreeSlot => ErrorKind::OutOfMemory,
                Self::NotFound | Self::NameNotFound | Self::NoRecords => ErrorKind::NotFound,
                Self::AddressInUse => ErrorKind::AddrInUse,
                Self::AddressNotAvailable => ErrorKind::AddrNotAvailable,
                Self::ConnectionRefused => ErrorKind::ConnectionRefused,
                Self::ConnectionReset => ErrorKind::ConnectionReset,
                Self::ConnectionAborted => ErrorKind::ConnectionAborted,
                Self::BrokenPipe => ErrorKind::BrokenPipe,
                Self::TimedOut => ErrorKind::TimedOut,
                Self::PacketTooLarge => ErrorKind::InvalidData,
                Self::ResourceBusy
                | Self::RemoteUnreachable
                | Self::NetworkDown
                | Self::ServersUnreachable
                | Self::ServerFailure
                | Self::UnexpectedEnd => ErrorKind::Other,
            }
        }
    }

    impl ErrorType for ReadHalf {
        type Error = Error;
    }

    impl Read for ReadHalf {
        async fn read(&mut self, buffer: &mut [u8]) -> Result<usize, Error> {
            Self::read(self, buffer).await
        }
    }

    impl BufRead for ReadHalf {
        async fn fill_buf(&mut self) -> Result<&[u8], Error> {
            Self::fill_buf(self).await
        }

        fn consume(&mut self, length: usize) {
            Self::consume(self, length);
        }
    }

    impl ErrorType for WriteHalf {
        type Error = Error;
    }

    impl Write for WriteHalf {
        async fn write(&mut self, data: &[u8]) -> Result<usize, Error> {
            Self::write(self, data).await
        }

        async fn flush(&mut self) -> Result<(), Error> {
            poll_fn(|cx| self.poll_flush(cx)).await
        }
    }

    impl ErrorType for TcpStream {
        type Error = Error;
    }

    impl Read for TcpStream {
        async fn read(&mut self, buffer: &mut [u8]) -> Result<usize, Error> {
            self.read.read(buffer).await
        }
    }

    impl BufRead for TcpStream {
        async fn fill_buf(&mut self) -> Result<&[u8], Error> {
            self.read.fill_buf().await
        }

        fn consume(&mut self, length: usize) {
            self.read.consume(length);
        }
    }

    impl Write for TcpStream {
        async fn write(&mut self, data: &[u8]) -> Result<usize, Error> {
            self.write.write(data).await
        }

        async fn flush(&mut self) -> Result<(), Error> {
            self.write.flush().await
        }
    }
}
