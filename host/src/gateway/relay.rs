//! Copying between a connection of an app and a connection of the host.

use std::io;
use std::net::Shutdown;

use futures_util::future;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
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
    let mut buffer = vec![0; MOST];
    loop {
        let count = app.read(&mut buffer).await?;
        if count == 0 {
            return outside.shutdown().await;
        }
        outside.write_all(&buffer[..count]).await?;
    }
}

async fn inwards(mut outside: ReadHalf<'_>, app: &TcpStream) -> io::Result<()> {
    let mut buffer = vec![0; MOST];
    loop {
        let count = outside.read(&mut buffer).await?;
        if count == 0 {
            return Ok(app.shutdown(Shutdown::Write)?);
        }
        app.write_all(&buffer[..count]).await?;
    }
}
