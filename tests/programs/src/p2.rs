//! Direct bindings to `wasi:sockets` 0.2 and `wasi:io`, for programs that test what `std::net` hides.
//!
//! [`each_family`] runs a test on 127.0.0.1 and on ::1. The helpers use the addresses of `std`, which can be compared.

mod addresses;
mod datagrams;
mod expectations;
mod streams;

pub use addresses::{any, each_family, from_wit, loopback, other, to_wit};
pub use datagrams::{
    Association, await_datagrams, bind_udp, bound_udp, datagram, send_all, send_one, stream, udp_socket,
};
pub use expectations::{assert_closed, assert_error, assert_failed, network_error_code};
pub use streams::{drain, fill, read_exact, read_to_end, wait_closed, write_all};

pub use std::net::SocketAddr;
pub use wasip2::io::poll::{Pollable, poll};
pub use wasip2::io::streams::{InputStream, OutputStream, StreamError};
pub use wasip2::sockets::instance_network::instance_network;
pub use wasip2::sockets::ip_name_lookup::{ResolveAddressStream, resolve_addresses};
pub use wasip2::sockets::network::{ErrorCode, IpAddress, IpAddressFamily, IpSocketAddress, Network};
pub use wasip2::sockets::tcp::{ShutdownType, TcpSocket};
pub use wasip2::sockets::tcp_create_socket::create_tcp_socket;
pub use wasip2::sockets::udp::{IncomingDatagramStream, OutgoingDatagram, OutgoingDatagramStream, UdpSocket};
pub use wasip2::sockets::udp_create_socket::create_udp_socket;

pub use super::{assert_same, pattern};

/// One end of a connection: the socket and its streams.
#[derive(Debug)]
pub struct End {
    /// The stream of received bytes.
    pub input: InputStream,
    /// The stream of sent bytes.
    pub output: OutputStream,
    /// The socket.
    pub socket: TcpSocket,
}

/// A new TCP socket.
#[track_caller]
pub fn tcp_socket(family: IpAddressFamily) -> TcpSocket {
    create_tcp_socket(family).expect("a TCP socket")
}

/// Binds a TCP socket: `start-bind` and `finish-bind`.
///
/// # Errors
/// Those of `start-bind` and `finish-bind`.
pub fn bind(socket: &TcpSocket, local: SocketAddr) -> Result<(), ErrorCode> {
    socket.start_bind(&instance_network(), to_wit(local))?;
    finish(&socket.subscribe(), || socket.finish_bind())
}

/// Connects a TCP socket: `start-connect` and `finish-connect`.
///
/// # Errors
/// Those of `start-connect` and `finish-connect`.
pub fn connect(socket: &TcpSocket, remote: SocketAddr) -> Result<(InputStream, OutputStream), ErrorCode> {
    socket.start_connect(&instance_network(), to_wit(remote))?;
    finish_connect(socket)
}

/// Waits for a connection that has been started.
///
/// # Errors
/// Those of `finish-connect`.
pub fn finish_connect(socket: &TcpSocket) -> Result<(InputStream, OutputStream), ErrorCode> {
    finish(&socket.subscribe(), || socket.finish_connect())
}

/// Makes a bound socket listen: `start-listen` and `finish-listen`.
///
/// # Errors
/// Those of `start-listen` and `finish-listen`.
pub fn listen(socket: &TcpSocket) -> Result<(), ErrorCode> {
    socket.start_listen()?;
    finish(&socket.subscribe(), || socket.finish_listen())
}

/// Waits for a connection and takes it.
///
/// # Errors
/// Those of `accept`.
pub fn accept(listener: &TcpSocket) -> Result<End, ErrorCode> {
    let (socket, input, output) = finish(&listener.subscribe(), || listener.accept())?;
    Ok(End { input, output, socket })
}

/// A socket bound to a free port of the loopback, and its address.
#[track_caller]
pub fn bound_tcp(family: IpAddressFamily) -> (TcpSocket, SocketAddr) {
    let socket = tcp_socket(family);
    bind(&socket, loopback(family, 0)).expect("a free port");
    let local = local_address(&socket);
    (socket, local)
}

/// A listener on a free port of the loopback, and its address.
#[track_caller]
pub fn listener(family: IpAddressFamily) -> (TcpSocket, SocketAddr) {
    let (socket, local) = bound_tcp(family);
    listen(&socket).expect("a listener");
    (socket, local)
}

/// Makes a connection to `remote`.
#[track_caller]
pub fn client(remote: SocketAddr) -> End {
    let family = if remote.is_ipv4() { IpAddressFamily::Ipv4 } else { IpAddressFamily::Ipv6 };
    let socket = tcp_socket(family);
    let (input, output) = connect(&socket, remote).expect("a connection");
    End { input, output, socket }
}

/// Makes a connection; returns the connecting end and the accepting end.
#[track_caller]
pub fn connected(family: IpAddressFamily) -> (End, End) {
    let (listener, local) = listener(family);
    let client = client(local);
    let server = accept(&listener).expect("an accepted connection");
    assert_eq!(remote_address(&server.socket), local_address(&client.socket));
    (client, server)
}

/// An address with a port that no socket uses: it was just bound and released.
#[track_caller]
pub fn unused_tcp(family: IpAddressFamily) -> SocketAddr {
    bound_tcp(family).1
}

/// A closed socket, whose connection was refused.
#[track_caller]
pub fn refused(family: IpAddressFamily) -> TcpSocket {
    let socket = tcp_socket(family);
    assert_error(connect(&socket, unused_tcp(family)), ErrorCode::ConnectionRefused);
    socket
}

/// This end's address.
#[track_caller]
pub fn local_address(socket: &TcpSocket) -> SocketAddr {
    from_wit(socket.local_address().expect("a local address"))
}

/// The other end's address.
#[track_caller]
pub fn remote_address(socket: &TcpSocket) -> SocketAddr {
    from_wit(socket.remote_address().expect("a remote address"))
}

/// Waits for the end of an operation.
fn finish<T>(pollable: &Pollable, end: impl Fn() -> Result<T, ErrorCode>) -> Result<T, ErrorCode> {
    loop {
        match end() {
            Err(ErrorCode::WouldBlock) => pollable.block(),
            result => return result,
        }
    }
}
