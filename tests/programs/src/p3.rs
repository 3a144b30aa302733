//! Direct bindings to `wasi:sockets` 0.3, and helpers that the programs that test it share.

pub use bindings::wasi::sockets0_3_0::ip_name_lookup;
pub use bindings::wasi::sockets0_3_0::types::{
    ErrorCode, IpAddress, IpAddressFamily, IpSocketAddress, Ipv4SocketAddress, Ipv6SocketAddress, TcpSocket, UdpSocket,
};
pub use wit_bindgen::{FutureReader, StreamReader, StreamResult, StreamWriter};

pub use super::{SocketAddr, assert_same, join, join_all, pattern, places, poll_once, start_and_cancel, yield_now};
use std::net::IpAddr;
use std::task::Poll;

#[allow(unsafe_code, missing_docs, unreachable_pub, unused_qualifications, clippy::all, clippy::use_self)]
#[allow(clippy::semicolon_if_nothing_returned, clippy::needless_pass_by_value)]
mod bindings {
    wit_bindgen::generate!({
        path: "../../wit",
        inline: "
            package xila:wasi-sockets;

            world imports {
                import wasi:sockets/types@0.3.0;
                import wasi:sockets/ip-name-lookup@0.3.0;
            }
        ",
        world: "xila:wasi-sockets/imports",
        generate_all,
        additional_derives: [PartialEq],
        type_section_suffix: "p3",
    });
}

/// The future with the result of a half of a connection.
pub type End = FutureReader<Result<(), ErrorCode>>;

/// Converts an address to the standard library's type.
pub fn std(address: IpSocketAddress) -> SocketAddr {
    match address {
        IpSocketAddress::Ipv4(Ipv4SocketAddress { port, address: (a, b, c, d) }) => {
            SocketAddr::from(([a, b, c, d], port))
        }
        IpSocketAddress::Ipv6(Ipv6SocketAddress { port, address: (a, b, c, d, e, f, g, h), .. }) => {
            SocketAddr::from(([a, b, c, d, e, f, g, h], port))
        }
    }
}

/// Converts an address to the WIT package's type.
pub fn wit(address: SocketAddr) -> IpSocketAddress {
    let port = address.port();
    match address.ip() {
        IpAddr::V4(ip) => IpSocketAddress::Ipv4(Ipv4SocketAddress { port, address: ip.octets().into() }),
        IpAddr::V6(ip) => {
            let address = ip.segments().into();
            IpSocketAddress::Ipv6(Ipv6SocketAddress { port, flow_info: 0, address, scope_id: 0 })
        }
    }
}

/// Parses an address.
pub fn at(text: &str) -> IpSocketAddress {
    wit(text.parse().expect("ADDRESS:PORT"))
}

/// The family of a place.
pub fn family(place: SocketAddr) -> IpAddressFamily {
    if place.is_ipv4() { IpAddressFamily::Ipv4 } else { IpAddressFamily::Ipv6 }
}

/// One of the two values, according to the place's family.
pub fn either<T>(place: SocketAddr, ipv4: T, ipv6: T) -> T {
    if place.is_ipv4() { ipv4 } else { ipv6 }
}

/// A new TCP socket of a place's family.
pub fn tcp(place: SocketAddr) -> TcpSocket {
    TcpSocket::create(family(place)).expect("a TCP socket")
}

/// A new UDP socket of a place's family.
pub fn udp(place: SocketAddr) -> UdpSocket {
    UdpSocket::create(family(place)).expect("a UDP socket")
}

/// A TCP socket that is bound to a place.
pub fn bound_tcp(place: SocketAddr) -> TcpSocket {
    let socket = tcp(place);
    socket.bind(wit(place)).expect("bound");
    socket
}

/// A UDP socket that is bound to a place, and its address.
pub fn bound_udp(place: SocketAddr) -> (UdpSocket, IpSocketAddress) {
    let socket = udp(place);
    socket.bind(wit(place)).expect("bound");
    let address = socket.get_local_address().expect("an address");
    (socket, address)
}

/// A listener at a place, its stream of connections, and its address.
pub fn listening(place: SocketAddr) -> (TcpSocket, StreamReader<TcpSocket>, IpSocketAddress) {
    let socket = bound_tcp(place);
    let incoming = socket.listen().expect("a listener");
    let address = socket.get_local_address().expect("an address");
    (socket, incoming, address)
}

/// Makes a connection; returns the connecting end and the accepting end.
pub async fn connected(place: SocketAddr) -> (TcpSocket, TcpSocket) {
    let (_listener, mut incoming, address) = listening(place);
    connect_through(&mut incoming, place, address).await
}

/// Makes a further connection to a listener; returns the connecting end and the accepting end.
pub async fn connect_through(
    incoming: &mut StreamReader<TcpSocket>,
    place: SocketAddr,
    address: IpSocketAddress,
) -> (TcpSocket, TcpSocket) {
    let client = tcp(place);
    let (connected, server) = join(client.connect(address), incoming.next()).await;
    connected.expect("a connection");
    (client, server.expect("an accepted connection"))
}

/// The stream to write to, and the future with the result of this half.
pub fn sending(socket: &TcpSocket) -> (StreamWriter<u8>, End) {
    let (writer, reader) = bindings::wit_stream::new();
    (writer, socket.send(reader))
}

/// Sends all of some bytes and ends the stream.
pub async fn send_all(socket: &TcpSocket, bytes: Vec<u8>) -> Result<(), ErrorCode> {
    let (mut writer, sent) = sending(socket);
    // If bytes are left over, the future returns the error.
    writer.write_all(bytes).await;
    drop(writer);
    sent.await
}

/// Reads to the end of the stream; returns the bytes and the result of this half.
pub async fn receive_all(socket: &TcpSocket) -> (Vec<u8>, Result<(), ErrorCode>) {
    let (received, end) = socket.receive();
    let bytes = received.collect().await;
    (bytes, end.await)
}

/// Reads exactly `length` bytes.
pub async fn read_exactly(stream: &mut StreamReader<u8>, length: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    while bytes.len() < length {
        let (result, more) = stream.read(Vec::with_capacity(length - bytes.len())).await;
        bytes.extend(more);
        assert!(result != StreamResult::Dropped || bytes.len() == length, "an early end, after {}", bytes.len());
    }
    bytes
}

/// Checks that a connection works: each end sends a word, which the other end reads.
pub async fn talks(one: &TcpSocket, other: &TcpSocket) {
    let ((sent, received), (heard, said)) = join(
        join(send_all(one, b"ping".to_vec()), receive_all(one)),
        join(receive_all(other), send_all(other, b"pong".to_vec())),
    )
    .await;
    assert_eq!((sent, said), (Ok(()), Ok(())));
    assert_eq!(received, (b"pong".to_vec(), Ok(())));
    assert_eq!(heard, (b"ping".to_vec(), Ok(())));
}

/// Checks that both halves of a socket are refused, because it is not connected or they were taken before.
pub async fn has_no_halves(socket: &TcpSocket) {
    let (mut writer, sent) = sending(socket);
    assert_eq!(writer.write_all(vec![1; 3]).await.len(), 3, "nobody takes it");
    assert_eq!(sent.await, Err(ErrorCode::InvalidState));
    assert_eq!(receive_all(socket).await, (Vec::new(), Err(ErrorCode::InvalidState)));
}

/// A listener whose backlog is full: the listener, its stream, its address, and the connection that waits in the
/// backlog. Further connection attempts wait.
pub async fn full_listener(place: SocketAddr) -> (TcpSocket, StreamReader<TcpSocket>, IpSocketAddress, TcpSocket) {
    let listener = bound_tcp(place);
    listener.set_listen_backlog_size(1).expect("a backlog");
    let incoming = listener.listen().expect("a listener");
    let address = listener.get_local_address().expect("an address");
    let first = tcp(place);
    first.connect(address).await.expect("the first connection");
    (listener, incoming, address, first)
}

/// An address of the place on which no socket listens: it was just bound and released.
pub fn nobody(place: SocketAddr) -> IpSocketAddress {
    bound_tcp(SocketAddr::new(place.ip(), 0)).get_local_address().expect("an address")
}

/// Starts a read and cancels it; returns whether it had to be cancelled and read nothing.
pub async fn cancelled_read(stream: &mut StreamReader<u8>) -> bool {
    let mut read = Box::pin(stream.read(Vec::with_capacity(100)));
    poll_once(&mut read).await.is_pending() && read.as_mut().cancel() == (StreamResult::Cancelled, Vec::new())
}

/// Writes `length` bytes with the value 2, as many as the host takes at once. `None` if it takes none: then the write
/// was cancelled.
pub async fn write_at_once(stream: &mut StreamWriter<u8>, length: usize) -> Option<usize> {
    let mut write = Box::pin(stream.write(vec![2; length]));
    let (result, rest) = match poll_once(&mut write).await {
        Poll::Ready(done) => done,
        Poll::Pending => write.as_mut().cancel(),
    };
    match result {
        StreamResult::Complete(taken) => {
            assert_eq!(taken, length - rest.remaining());
            Some(taken)
        }
        StreamResult::Cancelled => {
            assert_eq!(rest.remaining(), length, "a cancelled write sends nothing");
            None
        }
        StreamResult::Dropped => panic!("the connection failed"),
    }
}
