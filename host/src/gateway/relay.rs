//! Copying between a connection of an app and a connection of the host.

use std::future::poll_fn;
use std::io::{self, IoSlice};
use std::net::Shutdown;

use futures_util::future;
use tokio::io::AsyncWriteExt as _;
use tokio::net::tcp::{ReadHalf, WriteHalf};

use crate::socket::TcpStream;

/// The most bytes that are on the way between the two connections, in each direction. What one side does not take stays
/// with the other side's TCP, whose window closes.
const MOST: usize = 64 * 1024;

/// Copies until both sides have ended their half, or one of them fails. What ends one half ends it on the other side;
/// what resets one side resets the other.
pub(crate) async fn relay(app: TcpStream, mut outside: tokio::net::TcpStream) {
    let (from_outside, to_outside) = outside.split();
    let done = future::try_join(outwards(&app, to_outside), inwards(from_outside, &app)).await;
    if let Err(error) = done {
        tracing::debug!(local = %app.local_addr(), peer = %app.peer_addr(), %error, "a connection through the gateway ends");
        app.abort();
        reset(&outside);
    }
}

/// Makes a connection of the host end with a reset when it is dropped.
pub(crate) fn reset(outside: &tokio::net::TcpStream) {
    // If this fails the connection is gone already, or the peer gets an ordinary end after the missing data.
    if let Err(error) = outside.set_zero_linger() {
        tracing::debug!(%error, "a connection of the host cannot be reset");
    }
}

async fn outwards(app: &TcpStream, mut outside: WriteHalf<'_>) -> io::Result<()> {
    loop {
        let slices = poll_fn(|context| app.poll_read_slices(context, MOST)).await?;
        if slices.is_empty() {
            return outside.shutdown().await;
        }
        let mut pieces: Vec<IoSlice<'_>> = slices.iter().map(|slice| IoSlice::new(slice)).collect();
        let mut left = pieces.as_mut_slice();
        while !left.is_empty() {
            match outside.write_vectored(left).await? {
                0 => return Err(io::ErrorKind::WriteZero.into()),
                count => IoSlice::advance_slices(&mut left, count),
            }
        }
    }
}

async fn inwards(outside: ReadHalf<'_>, app: &TcpStream) -> io::Result<()> {
    loop {
        // While nothing comes, the connection has no buffer: most connections wait most of the time.
        outside.readable().await?;
        let mut buffer = Vec::with_capacity(MOST);
        loop {
            buffer.clear();
            match outside.try_read_buf(&mut buffer) {
                Ok(0) => return Ok(app.shutdown(Shutdown::Write)?),
                Ok(_) => app.write_all(&buffer).await?,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) => return Err(error),
            }
            // Neither reading nor writing waits if both sides are fast, and others want to run, too.
            tokio::task::consume_budget().await;
        }
    }
}
