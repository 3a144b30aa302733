//! Copying between a connection of an app and a connection of the host.

use core::convert::Infallible;
use core::pin::pin;
use core::time::Duration;
use std::future::poll_fn;
use std::io::{self, IoSlice};
use std::net::Shutdown;
use std::os::fd::AsRawFd as _;

use futures_util::future::{self, Either, FusedFuture, FutureExt as _};
use nix::sys::socket::{Shutdown as Half, setsockopt, shutdown, sockopt};
use tokio::io::Interest;

use crate::socket::TcpStream;
use crate::stack::tcp::operations::Interest as Direction;

/// The most bytes that are on the way between the two connections, in each direction. What one side does not take stays
/// with the other side's TCP, whose window closes.
const MOST: usize = 64 * 1024;
/// How long a connection of which one half has ended may carry nothing: a bit more than RFC 5382 REQ-5 asks for.
const TRANSITORY: Duration = Duration::from_secs(300);
/// How long the app may take nothing of what the outside had sent before it failed: as long as a stack goes on with a
/// connection that nobody has any more.
const DELIVERY: Duration = Duration::from_secs(60);
/// How often each of these times is looked at.
const PARTS: u32 = 5;
/// How a silent peer on the outside is checked, in seconds: as [apps](super::tcp) are.
const KEEP_ALIVE_IDLE: u32 = 7200;
const KEEP_ALIVE_INTERVAL: u32 = 60;
const KEEP_ALIVE_COUNT: u32 = 5;

/// Copies until both sides have ended their half, or one of them fails. What ends one half ends it on the other side.
/// What resets the app's side resets the outside at once. What resets the outside resets the app's side as soon as the
/// app's stack has received what was sent before, or has taken nothing of it for a minute: a server may answer and
/// close without reading the whole request, and then its host sends a reset after the answer. Both are reset, too, if
/// one half has ended and nothing was carried for five minutes, and if the future is dropped before its end: the stream
/// is not whole then.
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

/// Why a connection ends before both halves have ended in good order.
enum Failed {
    /// The app's side has failed, or was silent for too long: it takes nothing any more.
    App(io::Error),
    /// The outside has failed. What it had sent before may still be on the way to the app.
    Outside(io::Error),
}

impl Failed {
    fn app(error: impl Into<io::Error>) -> Self {
        Self::App(error.into())
    }
}

impl Relay {
    async fn run(&self) -> io::Result<()> {
        let mut inwards = pin!(self.inwards().fuse());
        let carried = tokio::select! {
            biased;
            carried = self.carry(inwards.as_mut()) => carried,
            Err(error) = self.outside_failed() => Err(Failed::Outside(error)),
        };
        match carried {
            Ok(()) => Ok(()),
            Err(Failed::App(error)) => Err(error),
            Err(Failed::Outside(error)) => {
                self.deliver(inwards).await?;
                Err(error)
            }
        }
    }

    /// Carries both halves to their end.
    async fn carry(&self, inwards: impl Future<Output = Result<(), Failed>>) -> Result<(), Failed> {
        let inwards = async {
            inwards.await?;
            self.app.shutdown(Shutdown::Write).map_err(Failed::app)
        };
        let (outwards, inwards) = (pin!(self.outwards()), pin!(inwards));
        match future::try_select(outwards, inwards).await {
            Ok(Either::Left(((), inwards))) => self.rest(inwards).await,
            Ok(Either::Right(((), outwards))) => self.rest(outwards).await,
            Err(failed) => Err(failed.factor_first().0),
        }
    }

    /// Carries the half that is left when the other one has ended. It may wait for the outside only, or never come to
    /// an end, so the app's side and the time have to be looked at, too.
    async fn rest(&self, half: impl Future<Output = Result<(), Failed>>) -> Result<(), Failed> {
        tokio::select! {
            biased;
            ended = half => ended,
            Err(error) = self.app_failed(Direction::Read) => Err(Failed::App(error)),
            () = self.silence(TRANSITORY) => Err(Failed::app(io::ErrorKind::TimedOut)),
        }
    }

    /// Carries what the outside had sent before it failed, and waits until the app's stack has received it: whatever is
    /// still to be sent when the app's side is reset is lost. `inwards` is the half that comes from the outside, which
    /// may have ended before.
    async fn deliver(&self, inwards: impl FusedFuture<Output = Result<(), Failed>>) -> io::Result<()> {
        // What the app sends from now on goes nowhere, but is taken: the app may write all of it before it reads.
        self.app.shutdown(Shutdown::Read)?;
        let delivered = async {
            // The host tells a failure once, and says that the stream has ended when it is read after that: so the app
            // is not told of an end here.
            if !inwards.is_terminated()
                && let Err(Failed::App(error)) = inwards.await
            {
                return Err(error);
            }
            Ok(self.app.flush().await?)
        };
        tokio::select! {
            biased;
            delivered = delivered => delivered,
            () = self.silence(DELIVERY) => Err(io::ErrorKind::TimedOut.into()),
        }
    }

    async fn outwards(&self) -> Result<(), Failed> {
        loop {
            let slices = poll_fn(|context| self.app.poll_read_slices(context, MOST)).await.map_err(Failed::app)?;
            if slices.is_empty() {
                return shutdown(self.outside.as_raw_fd(), Half::Write).map_err(|error| Failed::Outside(error.into()));
            }
            let mut pieces: Vec<IoSlice<'_>> = slices.iter().map(|slice| IoSlice::new(slice)).collect();
            let mut left = pieces.as_mut_slice();
            while !left.is_empty() {
                match self.outside.try_write_vectored(left) {
                    Ok(0) => return Err(Failed::Outside(io::ErrorKind::WriteZero.into())),
                    Ok(count) => IoSlice::advance_slices(&mut left, count),
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => tokio::select! {
                        biased;
                        ready = self.outside.writable() => ready.map_err(Failed::Outside)?,
                        Err(error) = self.app_failed(Direction::Write) => return Err(Failed::App(error)),
                    },
                    Err(error) => return Err(Failed::Outside(error)),
                }
                // Neither reading nor writing waits if both sides are fast, and others want to run, too.
                tokio::task::consume_budget().await;
            }
        }
    }

    /// Gives the app what comes from the outside, until its end.
    async fn inwards(&self) -> Result<(), Failed> {
        loop {
            // While nothing comes, the connection has no buffer: most connections wait most of the time.
            self.outside.readable().await.map_err(Failed::Outside)?;
            let mut buffer = Vec::with_capacity(MOST);
            loop {
                buffer.clear();
                match self.outside.try_read_buf(&mut buffer) {
                    Ok(0) => return Ok(()),
                    Ok(_) => self.app.write_all(&buffer).await.map_err(Failed::app)?,
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                    Err(error) => return Err(Failed::Outside(error)),
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

    /// Waits until nothing was carried for a time.
    async fn silence(&self, time: Duration) {
        let carried = || {
            let statistics = self.app.statistics();
            (statistics.bytes_received, statistics.bytes_sent, statistics.send_queue)
        };
        let clock = self.app.clock();
        let (mut known, mut silent) = (carried(), 0);
        while silent < PARTS {
            clock.wait(clock.now() + time / PARTS).await;
            let now = carried();
            silent = if now == known { silent + 1 } else { 0 };
            known = now;
        }
    }
}

#[cfg(test)]
mod tests;
