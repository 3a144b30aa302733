//! Two tokio tasks that talk to each other over our stack's loopback or the kernel's, and the measurements of their
//! speed.

use core::future::Future;
use core::net::{Ipv4Addr, SocketAddr};
use core::time::Duration;
use std::io;
use std::net::Shutdown;
use std::time::Instant;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::runtime::{Builder, Runtime};
use tokio::task::JoinHandle;
use xila_network_host::socket::{ListenOptions, Network, TcpListener, TcpStream, UdpSocket};

use crate::CHUNK;

/// The socket operations that are measured, for one implementation.
pub trait Sockets: Clone + Send + Sync + 'static {
    /// A TCP listener.
    type Listener: Send;
    /// A TCP connection, without Nagle's algorithm.
    type Stream: Send;
    /// A UDP socket.
    type Datagrams: Send;

    /// Makes a listener on a port of the implementation's choice.
    fn listen(&self) -> impl Future<Output = io::Result<(Self::Listener, SocketAddr)>> + Send;
    /// Accepts the next connection.
    fn accept(listener: &mut Self::Listener) -> impl Future<Output = io::Result<Self::Stream>> + Send;
    /// Connects to `remote`.
    fn connect(&self, remote: SocketAddr) -> impl Future<Output = io::Result<Self::Stream>> + Send;
    /// Reads; 0 is the end of the stream.
    fn read(stream: &mut Self::Stream, buffer: &mut [u8]) -> impl Future<Output = io::Result<usize>> + Send;
    /// Writes all.
    fn write_all(stream: &mut Self::Stream, bytes: &[u8]) -> impl Future<Output = io::Result<()>> + Send;
    /// Ends the sending half.
    fn finish(stream: &mut Self::Stream) -> impl Future<Output = io::Result<()>> + Send;
    /// Binds a datagram socket to a port of the implementation's choice.
    fn bind(&self) -> impl Future<Output = io::Result<(Self::Datagrams, SocketAddr)>> + Send;
    /// Sends a datagram.
    fn send_to(
        socket: &Self::Datagrams,
        payload: &[u8],
        remote: SocketAddr,
    ) -> impl Future<Output = io::Result<usize>> + Send;
    /// Receives a datagram.
    fn recv_from(
        socket: &Self::Datagrams,
        buffer: &mut [u8],
    ) -> impl Future<Output = io::Result<(usize, SocketAddr)>> + Send;
}

const ANY_PORT: (Ipv4Addr, u16) = (Ipv4Addr::LOCALHOST, 0);

/// Our sockets, on a network with a loopback interface.
#[derive(Clone, Debug)]
pub struct Ours(pub Network);

impl Sockets for Ours {
    type Listener = TcpListener;
    type Stream = TcpStream;
    type Datagrams = UdpSocket;

    async fn listen(&self) -> io::Result<(TcpListener, SocketAddr)> {
        let listener = TcpListener::bind(&self.0, ANY_PORT.into(), ListenOptions::default())?;
        let address = listener.local_addr();
        Ok((listener, address))
    }

    async fn accept(listener: &mut TcpListener) -> io::Result<TcpStream> {
        Ok(listener.accept().await?.0)
    }

    async fn connect(&self, remote: SocketAddr) -> io::Result<TcpStream> {
        Ok(TcpStream::connect(&self.0, remote).await?)
    }

    async fn read(stream: &mut TcpStream, buffer: &mut [u8]) -> io::Result<usize> {
        Ok(TcpStream::read(stream, buffer).await?)
    }

    async fn write_all(stream: &mut TcpStream, bytes: &[u8]) -> io::Result<()> {
        Ok(TcpStream::write_all(stream, bytes).await?)
    }

    async fn finish(stream: &mut TcpStream) -> io::Result<()> {
        Ok(TcpStream::shutdown(stream, Shutdown::Write)?)
    }

    async fn bind(&self) -> io::Result<(UdpSocket, SocketAddr)> {
        let socket = UdpSocket::bind(&self.0, ANY_PORT.into())?;
        let address = socket.local_addr();
        Ok((socket, address))
    }

    async fn send_to(socket: &UdpSocket, payload: &[u8], remote: SocketAddr) -> io::Result<usize> {
        Ok(socket.send_to(payload, remote).await?)
    }

    async fn recv_from(socket: &UdpSocket, buffer: &mut [u8]) -> io::Result<(usize, SocketAddr)> {
        Ok(socket.recv_from(buffer).await?)
    }
}

/// The kernel's sockets through tokio: what an app would use without this project, and without a sandbox.
#[derive(Clone, Copy, Debug)]
pub struct Kernel;

impl Sockets for Kernel {
    type Listener = tokio::net::TcpListener;
    type Stream = tokio::net::TcpStream;
    type Datagrams = tokio::net::UdpSocket;

    async fn listen(&self) -> io::Result<(Self::Listener, SocketAddr)> {
        let listener = tokio::net::TcpListener::bind(ANY_PORT).await?;
        let address = listener.local_addr()?;
        Ok((listener, address))
    }

    async fn accept(listener: &mut Self::Listener) -> io::Result<Self::Stream> {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        Ok(stream)
    }

    async fn connect(&self, remote: SocketAddr) -> io::Result<Self::Stream> {
        let stream = tokio::net::TcpStream::connect(remote).await?;
        stream.set_nodelay(true)?;
        Ok(stream)
    }

    async fn read(stream: &mut Self::Stream, buffer: &mut [u8]) -> io::Result<usize> {
        stream.read(buffer).await
    }

    async fn write_all(stream: &mut Self::Stream, bytes: &[u8]) -> io::Result<()> {
        stream.write_all(bytes).await
    }

    async fn finish(stream: &mut Self::Stream) -> io::Result<()> {
        stream.shutdown().await
    }

    async fn bind(&self) -> io::Result<(Self::Datagrams, SocketAddr)> {
        let socket = tokio::net::UdpSocket::bind(ANY_PORT).await?;
        let address = socket.local_addr()?;
        Ok((socket, address))
    }

    async fn send_to(socket: &Self::Datagrams, payload: &[u8], remote: SocketAddr) -> io::Result<usize> {
        socket.send_to(payload, remote).await
    }

    async fn recv_from(socket: &Self::Datagrams, buffer: &mut [u8]) -> io::Result<(usize, SocketAddr)> {
        socket.recv_from(buffer).await
    }
}

/// A runtime with the given number of threads. With one thread, both tasks run on the thread that waits for them.
///
/// # Errors
/// If the threads cannot be started.
pub fn runtime(threads: usize) -> io::Result<Runtime> {
    let mut builder = match threads {
        1 => Builder::new_current_thread(),
        _ => Builder::new_multi_thread(),
    };
    if threads > 1 {
        builder.worker_threads(threads);
    }
    builder.enable_all().build()
}

/// Writes `chunk` bytes at a time for the given time; returns the bytes per second at the reader.
///
/// # Errors
/// Those of the sockets' operations; the same holds for all measurements.
pub async fn bulk<S: Sockets>(sockets: S, time: Duration, chunk: usize) -> io::Result<f64> {
    let (mut listener, address) = sockets.listen().await?;
    let reader = tokio::spawn(async move {
        let mut stream = S::accept(&mut listener).await?;
        let mut buffer = vec![0; CHUNK];
        let mut bytes = S::read(&mut stream, &mut buffer).await?;
        let start = Instant::now();
        loop {
            match S::read(&mut stream, &mut buffer).await? {
                0 => return Ok(bytes as f64 / start.elapsed().as_secs_f64()),
                count => bytes += count,
            }
        }
    });
    let writer = tokio::spawn(async move {
        let mut stream = sockets.connect(address).await?;
        let data = vec![0x5a; chunk];
        let start = Instant::now();
        while start.elapsed() < time {
            S::write_all(&mut stream, &data).await?;
        }
        S::finish(&mut stream).await?;
        // The end of the other half means that everything was read.
        S::read(&mut stream, &mut [0]).await
    });
    ended(writer).await?;
    ended(reader).await
}

/// The times of `count` round trips of 64 bytes over one connection.
///
/// # Errors
/// See [`bulk`].
pub async fn tcp_round_trips<S: Sockets>(sockets: S, count: usize) -> io::Result<Vec<Duration>> {
    let (mut listener, address) = sockets.listen().await?;
    let server = tokio::spawn(async move {
        let mut stream = S::accept(&mut listener).await?;
        let mut buffer = [0; CHUNK];
        loop {
            match S::read(&mut stream, &mut buffer).await? {
                0 => return Ok(()),
                length => S::write_all(&mut stream, &buffer[..length]).await?,
            }
        }
    });
    let client = tokio::spawn(async move {
        let mut stream = sockets.connect(address).await?;
        let (message, mut answer) = ([0x5a; MESSAGE], [0; MESSAGE]);
        let mut times = Vec::with_capacity(count);
        for _ in 0..count {
            let start = Instant::now();
            S::write_all(&mut stream, &message).await?;
            let mut length = 0;
            while length < MESSAGE {
                match S::read(&mut stream, &mut answer[length..]).await? {
                    0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                    more => length += more,
                }
            }
            times.push(start.elapsed());
        }
        S::finish(&mut stream).await?;
        Ok(times)
    });
    let times = ended(client).await?;
    ended(server).await?;
    Ok(times)
}

/// The times of `count` round trips of 64 bytes between two datagram sockets.
///
/// # Errors
/// See [`bulk`].
pub async fn udp_round_trips<S: Sockets>(sockets: S, count: usize) -> io::Result<Vec<Duration>> {
    let (answering, address) = sockets.bind().await?;
    let (asking, _) = sockets.bind().await?;
    let server = tokio::spawn(async move {
        let mut buffer = [0; MESSAGE];
        for _ in 0..count {
            let (length, from) = S::recv_from(&answering, &mut buffer).await?;
            S::send_to(&answering, &buffer[..length], from).await?;
        }
        Ok(())
    });
    let client = tokio::spawn(async move {
        let (message, mut answer) = ([0x5a; MESSAGE], [0; MESSAGE]);
        let mut times = Vec::with_capacity(count);
        for _ in 0..count {
            let start = Instant::now();
            S::send_to(&asking, &message, address).await?;
            S::recv_from(&asking, &mut answer).await?;
            times.push(start.elapsed());
        }
        Ok(times)
    });
    let times = ended(client).await?;
    ended(server).await?;
    Ok(times)
}

/// Opens and closes `count` connections, one after another; returns the connections per second.
///
/// # Errors
/// See [`bulk`].
pub async fn connections<S: Sockets>(sockets: S, count: usize) -> io::Result<f64> {
    let (mut listener, address) = sockets.listen().await?;
    let server = tokio::spawn(async move {
        for _ in 0..count {
            let mut stream = S::accept(&mut listener).await?;
            while S::read(&mut stream, &mut [0]).await? != 0 {}
        }
        Ok(())
    });
    let client = tokio::spawn(async move {
        let start = Instant::now();
        for _ in 0..count {
            let mut stream = sockets.connect(address).await?;
            S::finish(&mut stream).await?;
            while S::read(&mut stream, &mut [0]).await? != 0 {}
        }
        Ok(count as f64 / start.elapsed().as_secs_f64())
    });
    let rate = ended(client).await?;
    ended(server).await?;
    Ok(rate)
}

/// The bytes of a round trip's message.
const MESSAGE: usize = 64;

async fn ended<T>(task: JoinHandle<io::Result<T>>) -> io::Result<T> {
    task.await.map_err(io::Error::other)?
}
