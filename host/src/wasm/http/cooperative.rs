//! Streams that let the other tasks of their thread have a turn.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::task::coop;

/// A stream of which a task gets only so much at a time: each read and write takes a part of the task's budget.
///
/// The project's own streams know nothing of tokio's tasks. What reads until nothing is left, as hyper does while interim
/// responses come, would never return to its task if the peer always has more, and the task could not even be aborted.
pub(super) struct Cooperative<S>(pub(super) S);

impl<S: AsyncRead + Unpin> AsyncRead for Cooperative<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let budget = ready!(coop::poll_proceed(cx));
        let read = Pin::new(&mut self.0).poll_read(cx, buffer);
        if read.is_ready() {
            budget.made_progress();
        }
        read
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Cooperative<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let budget = ready!(coop::poll_proceed(cx));
        let written = Pin::new(&mut self.0).poll_write(cx, bytes);
        if written.is_ready() {
            budget.made_progress();
        }
        written
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let budget = ready!(coop::poll_proceed(cx));
        let written = Pin::new(&mut self.0).poll_write_vectored(cx, slices);
        if written.is_ready() {
            budget.made_progress();
        }
        written
    }

    fn is_write_vectored(&self) -> bool {
        self.0.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::*;

    /// A peer that has always more, and always room.
    struct Endless;

    impl AsyncRead for Endless {
        fn poll_read(self: Pin<&mut Self>, _: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
            buffer.put_slice(&[0]);
            Poll::Ready(Ok(()))
        }
    }

    impl AsyncWrite for Endless {
        fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
            Poll::Ready(Ok(bytes.len()))
        }

        fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }

        fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }
    }

    /// More than a task may do in one turn, so that a test that fails ends.
    const MANY: usize = 1_000_000;

    #[tokio::test]
    async fn a_task_whose_peer_is_always_ready_can_be_aborted() {
        let reads = tokio::spawn(async {
            for _ in 0..MANY {
                Cooperative(Endless).read_u8().await.expect("a byte");
            }
        });
        let writes = tokio::spawn(async {
            for _ in 0..MANY {
                Cooperative(Endless).write_u8(0).await.expect("room");
            }
        });
        let several = tokio::spawn(async {
            for _ in 0..MANY {
                let count = Cooperative(Endless).write_vectored(&[IoSlice::new(&[0])]).await;
                assert_eq!(count.expect("room"), 1);
            }
        });
        for task in [reads, writes, several] {
            // It has a turn, and gives it back.
            tokio::task::yield_now().await;
            task.abort();
            assert!(task.await.is_err_and(|error| error.is_cancelled()), "it has ended by itself");
        }
    }

    #[tokio::test]
    async fn several_slices_reach_the_stream_by_one_write() {
        let (near, mut far) = tokio::io::duplex(8);
        let mut near = Cooperative(near);
        assert!(near.is_write_vectored());
        assert_eq!(near.write_vectored(&[IoSlice::new(b"a"), IoSlice::new(b"b")]).await.expect("room"), 2);
        assert_eq!(far.read_u16().await.expect("both"), u16::from_be_bytes(*b"ab"));
    }
}
