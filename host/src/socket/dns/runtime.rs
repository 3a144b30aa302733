//! What hickory's exchanges run on: the sockets of one network, and the platform's clock.

use core::future::{Future, pending, poll_fn};
use core::net::SocketAddr;
use core::pin::{Pin, pin};
use core::task::{Context, Poll};
use core::time::Duration;
use std::io;

use futures_io::{AsyncRead, AsyncWrite};
use hickory_resolver::net::runtime::{DnsTcpStream, DnsUdpSocket, RuntimeProvider, Spawn, Time};

use crate::platform::Platform;
use crate::socket::network::Network;
use crate::socket::tcp::{ConnectOptions, TcpStream};
use crate::socket::udp::UdpSocket;

/// The result of `work`, or `None` where it takes longer than `limit`.
pub(super) async fn within<T>(platform: &Platform, limit: Duration, work: impl Future<Output = T>) -> Option<T> {
    let mut timer = platform.clock.timer();
    timer.set(Some(platform.clock.now() + limit));
    let mut work = pin!(work);
    poll_fn(|context| match work.as_mut().poll(context) {
        Poll::Ready(result) => Poll::Ready(Some(result)),
        Poll::Pending => timer.poll(context).map(|()| None),
    })
    .await
}

/// Makes hickory's sockets on a network.
#[derive(Clone)]
pub(super) struct Provider(pub(super) Network);

impl RuntimeProvider for Provider {
    type Handle = Tasks;
    type Timer = Untimed;
    type Udp = Datagrams;
    type Tcp = Connection;

    fn create_handle(&self) -> Tasks {
        Tasks(self.0.platform().clone())
    }

    fn connect_tcp(
        &self,
        server: SocketAddr,
        local: Option<SocketAddr>,
        timeout: Option<Duration>,
    ) -> Pin<Box<dyn Send + Future<Output = io::Result<Connection>>>> {
        let network = self.0.clone();
        let mut options = ConnectOptions { local, ..ConnectOptions::default() };
        options.timeout = timeout.unwrap_or(options.timeout);
        // One question and one answer: what is given up has nothing to say any more.
        options.tcp.linger = Duration::ZERO;
        Box::pin(async move { Ok(Connection(TcpStream::connect_with(&network, server, options).await?)) })
    }

    /// The socket takes datagrams from the server only, and learns where nobody listens there.
    fn bind_udp(
        &self,
        local: SocketAddr,
        server: SocketAddr,
    ) -> Pin<Box<dyn Send + Future<Output = io::Result<Datagrams>>>> {
        let bound = || {
            let socket = UdpSocket::bind(&self.0, local)?;
            socket.connect(server)?;
            Ok(Datagrams(socket))
        };
        Box::pin(core::future::ready(bound()))
    }
}

/// Hickory's view of the spawner. The exchanges that are used here start no task.
#[derive(Clone)]
pub(super) struct Tasks(Platform);

impl Spawn for Tasks {
    fn spawn_bg(&mut self, future: impl Future<Output = ()> + Send + 'static) {
        self.0.spawner.spawn(Box::pin(future));
    }
}

/// Time for hickory, in which nothing ever falls due. Its timers belong to a type and so cannot know a platform's clock:
/// every exchange as a whole is put [`within`] its limit instead.
pub(super) struct Untimed;

// As `async_trait` expands them.
impl Time for Untimed {
    fn delay_for<'async_trait>(_: Duration) -> Pin<Box<dyn Future<Output = ()> + Send + 'async_trait>> {
        Box::pin(pending())
    }

    fn timeout<'async_trait, F>(
        _: Duration,
        future: F,
    ) -> Pin<Box<dyn Future<Output = io::Result<F::Output>> + Send + 'async_trait>>
    where
        F: 'static + Future + Send + 'async_trait,
    {
        Box::pin(async move { Ok(future.await) })
    }
}

/// A socket for one query.
pub(super) struct Datagrams(UdpSocket);

impl DnsUdpSocket for Datagrams {
    type Time = Untimed;

    fn poll_recv_from(&self, context: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<(usize, SocketAddr)>> {
        self.0.poll_recv_from(context, buffer).map_err(io::Error::from)
    }

    fn poll_send_to(&self, context: &mut Context<'_>, bytes: &[u8], target: SocketAddr) -> Poll<io::Result<usize>> {
        self.0.poll_send_to(context, bytes, target).map_err(io::Error::from)
    }
}

/// A connection for one query.
pub(super) struct Connection(TcpStream);

impl DnsTcpStream for Connection {
    type Time = Untimed;
}

impl AsyncRead for Connection {
    fn poll_read(self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<usize>> {
        self.0.poll_read(context, buffer).map_err(io::Error::from)
    }
}

impl AsyncWrite for Connection {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.0.poll_write(context, bytes).map_err(io::Error::from)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        AsyncWrite::poll_flush(Pin::new(&mut self.0), context)
    }

    fn poll_close(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_close(context)
    }
}
