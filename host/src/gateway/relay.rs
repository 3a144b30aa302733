//! Copying between a connection of an app and a connection of the host.

use core::convert::Infallible;
use core::pin::pin;
use core::time::Duration;
use std::future::poll_fn;
use std::io::{self, IoSlice};
use std::net::Shutdown;
use std::os::fd::AsRawFd as _;

use futures_util::future::{self, Either};
use nix::sys::socket::{Shutdown as Half, setsockopt, shutdown, sockopt};
use tokio::io::Interest;

use crate::socket::TcpStream;
use crate::stack::tcp::operations::Interest as Direction;

/// The most bytes that are on the way between the two connections, in each direction. What one side does not take stays
/// with the other side's TCP, whose window closes.
const MOST: usize = 64 * 1024;
/// How long a connection of which one half has ended may carry nothing: a bit more than RFC 5382 REQ-5 asks for. It is
/// looked at once in each part of that time.
const TRANSITORY: Duration = Duration::from_secs(300);
const PARTS: u32 = 5;
/// How a silent peer on the outside is checked, in seconds: as [apps](super::tcp) are.
const KEEP_ALIVE_IDLE: u32 = 7200;
const KEEP_ALIVE_INTERVAL: u32 = 60;
const KEEP_ALIVE_COUNT: u32 = 5;

/// Copies until both sides have ended their half, or one of them fails. What ends one half ends it on the other side;
/// what resets one side resets the other, at once. Both are reset, too, if one half has ended and nothing was carried
/// for five minutes, and if the future is dropped before its end: the stream is not whole then.
pub(crate) async fn relay(app: TcpStream, outside: tokio::net::TcpStream) {
    if let Err(error) = keep_alive(&outside) {
        tracing::debug!(%error, "a connection of the host is not checked while it is silent");
    }
    let mut relay = Relay { app, outside, is_whole: false };
    match relay.run().await {
        Ok(()) => relay.is_whole = true,
        Err(error) => {
            let (local, peer) = (relay.app.local_addr(), relay.app.peer_addr());
            tracing::debug!(%local, %peer, %error, "a connection through the gateway ends");
        }
    }
}

/// Makes a connection of the host end with a reset when it is dropped.
pub(crate) fn reset(outside: &tokio::net::TcpStream) {
    // If this fails the connection is gone already, or the peer gets an ordinary end after the missing data.
    if let Err(error) = outside.set_zero_linger() {
        tracing::debug!(%error, "a connection of the host cannot be reset");
    }
}

/// Makes the host check a silent peer, so that one that has vanished is noticed.
fn keep_alive(outside: &tokio::net::TcpStream) -> io::Result<()> {
    setsockopt(outside, sockopt::KeepAlive, &true)?;
    setsockopt(outside, sockopt::TcpKeepIdle, &KEEP_ALIVE_IDLE)?;
    setsockopt(outside, sockopt::TcpKeepInterval, &KEEP_ALIVE_INTERVAL)?;
    Ok(setsockopt(outside, sockopt::TcpKeepCount, &KEEP_ALIVE_COUNT)?)
}

/// Both sides of a connection. When this is dropped before the stream is whole, both are reset.
struct Relay {
    app: TcpStream,
    outside: tokio::net::TcpStream,
    /// Whether both halves have ended in good order.
    is_whole: bool,
}

impl Drop for Relay {
    fn drop(&mut self) {
        if !self.is_whole {
            self.app.abort();
            reset(&self.outside);
        }
    }
}

impl Relay {
    async fn run(&self) -> io::Result<()> {
        let (outwards, inwards) = (pin!(self.outwards()), pin!(self.inwards()));
        match future::try_select(outwards, inwards).await {
            Ok(Either::Left(((), inwards))) => self.rest(inwards).await,
            Ok(Either::Right(((), outwards))) => self.rest(outwards).await,
            Err(failed) => Err(failed.factor_first().0),
        }
    }

    /// Carries the half that is left when the other one has ended. What it waits for is one side only, or neither comes
    /// to an end, so the other side and the time have to be looked at, too.
    async fn rest(&self, half: impl Future<Output = io::Result<()>>) -> io::Result<()> {
        tokio::select! {
            biased;
            ended = half => ended,
            Err(failed) = self.app_failed(Direction::Read) => Err(failed),
            Err(failed) = self.outside_failed() => Err(failed),
            () = self.silence() => Err(io::ErrorKind::TimedOut.into()),
        }
    }

    async fn outwards(&self) -> io::Result<()> {
        loop {
            let slices = poll_fn(|context| self.app.poll_read_slices(context, MOST)).await?;
            if slices.is_empty() {
                return Ok(shutdown(self.outside.as_raw_fd(), Half::Write)?);
            }
            let mut pieces: Vec<IoSlice<'_>> = slices.iter().map(|slice| IoSlice::new(slice)).collect();
            let mut left = pieces.as_mut_slice();
            while !left.is_empty() {
                match self.outside.try_write_vectored(left) {
                    Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                    Ok(count) => IoSlice::advance_slices(&mut left, count),
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => tokio::select! {
                        biased;
                        ready = self.outside.writable() => ready?,
                        Err(failed) = self.app_failed(Direction::Write) => return Err(failed),
                    },
                    Err(error) => return Err(error),
                }
                // Neither reading nor writing waits if both sides are fast, and others want to run, too.
                tokio::task::consume_budget().await;
            }
        }
    }

    async fn inwards(&self) -> io::Result<()> {
        loop {
            // While nothing comes, the connection has no buffer: most connections wait most of the time.
            self.outside.readable().await?;
            let mut buffer = Vec::with_capacity(MOST);
            loop {
                buffer.clear();
                match self.outside.try_read_buf(&mut buffer) {
                    Ok(0) => return Ok(self.app.shutdown(Shutdown::Write)?),
                    Ok(_) => tokio::select! {
                        biased;
                        written = self.app.write_all(&buffer) => written?,
                        Err(failed) = self.outside_failed() => return Err(failed),
                    },
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                    Err(error) => return Err(error),
                }
                // As above.
                tokio::task::consume_budget().await;
            }
        }
    }

    /// Waits until the app's side has failed. `direction` is that of the events that come seldom meanwhile, because each
    /// of them wakes this.
    async fn app_failed(&self, direction: Direction) -> io::Result<Infallible> {
        Err(poll_fn(|context| self.app.poll_failed(context, direction)).await.into())
    }

    /// Waits until the host's side has failed.
    async fn outside_failed(&self) -> io::Result<Infallible> {
        loop {
            self.outside.ready(Interest::ERROR).await?;
            if let Some(error) = self.outside.take_error()? {
                return Err(error);
            }
            // The socket counts as ready until this finds nothing.
            let _cleared =
                self.outside.try_io(Interest::ERROR, || io::Result::<()>::Err(io::ErrorKind::WouldBlock.into()));
        }
    }

    /// Waits until nothing was carried for [`TRANSITORY`].
    async fn silence(&self) {
        let carried = || {
            let statistics = self.app.statistics();
            (statistics.bytes_received, statistics.bytes_sent, statistics.send_queue)
        };
        let clock = self.app.clock();
        let (mut known, mut silent) = (carried(), 0);
        while silent < PARTS {
            clock.wait(clock.now() + TRANSITORY / PARTS).await;
            let now = carried();
            silent = if now == known { silent + 1 } else { 0 };
            known = now;
        }
    }
}

#[cfg(test)]
mod tests;
