//! Types whose bytes are those of a stream within.

/// Implements tokio's `AsyncRead` and `AsyncWrite` for a type by those of its field.
macro_rules! forward_to_field {
    ($type:ty, $field:tt) => {
        const _: () = {
            use std::io::Result;
            use std::pin::Pin;
            use std::task::{Context, Poll};

            use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

            impl AsyncRead for $type {
                fn poll_read(
                    mut self: Pin<&mut Self>,
                    cx: &mut Context<'_>,
                    buffer: &mut ReadBuf<'_>,
                ) -> Poll<Result<()>> {
                    AsyncRead::poll_read(Pin::new(&mut self.$field), cx, buffer)
                }
            }

            impl AsyncWrite for $type {
                fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<Result<usize>> {
                    AsyncWrite::poll_write(Pin::new(&mut self.$field), cx, bytes)
                }

                fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<()>> {
                    AsyncWrite::poll_flush(Pin::new(&mut self.$field), cx)
                }

                fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<()>> {
                    AsyncWrite::poll_shutdown(Pin::new(&mut self.$field), cx)
                }
            }
        };
    };
}

pub(super) use forward_to_field;
