//! Helpers for datagram sockets and their streams.

use std::net::SocketAddr;

use wasip2::sockets::instance_network::instance_network;
use wasip2::sockets::network::{ErrorCode, IpAddressFamily};
use wasip2::sockets::udp::{IncomingDatagramStream, OutgoingDatagram, OutgoingDatagramStream, UdpSocket};
use wasip2::sockets::udp_create_socket::create_udp_socket;

use super::{finish, from_wit, loopback, to_wit};

/// A pair of streams of a socket.
#[derive(Debug)]
pub struct Association {
    /// The stream of received datagrams.
    pub incoming: IncomingDatagramStream,
    /// The stream of sent datagrams.
    pub outgoing: OutgoingDatagramStream,
}

/// A new UDP socket.
#[track_caller]
pub fn udp_socket(family: IpAddressFamily) -> UdpSocket {
    create_udp_socket(family).expect("a UDP socket")
}

/// Binds a UDP socket: `start-bind` and `finish-bind`.
///
/// # Errors
/// Those of `start-bind` and `finish-bind`.
pub fn bind_udp(socket: &UdpSocket, local: SocketAddr) -> Result<(), ErrorCode> {
    socket.start_bind(&instance_network(), to_wit(local))?;
    finish(&socket.subscribe(), || socket.finish_bind())
}

/// A socket bound to a free port of the loopback, and its address.
#[track_caller]
pub fn bound_udp(family: IpAddressFamily) -> (UdpSocket, SocketAddr) {
    let socket = udp_socket(family);
    bind_udp(&socket, loopback(family, 0)).expect("a free port");
    let local = from_wit(socket.local_address().expect("a local address"));
    (socket, local)
}

/// The streams of a socket.
///
/// # Errors
/// Those of `stream`.
pub fn stream(socket: &UdpSocket, remote: Option<SocketAddr>) -> Result<Association, ErrorCode> {
    let (incoming, outgoing) = socket.stream(remote.map(to_wit))?;
    Ok(Association { incoming, outgoing })
}

/// A datagram to be sent.
pub fn datagram(data: &[u8], remote: Option<SocketAddr>) -> OutgoingDatagram {
    OutgoingDatagram { data: data.to_vec(), remote_address: remote.map(to_wit) }
}

/// Waits for a permit and sends one datagram.
///
/// # Errors
/// Those of `check-send` and `send`.
pub fn send_one(outgoing: &OutgoingDatagramStream, data: &[u8], remote: Option<SocketAddr>) -> Result<(), ErrorCode> {
    let pollable = outgoing.subscribe();
    loop {
        if outgoing.check_send()? == 0 {
            pollable.block();
        } else if outgoing.send(&[datagram(data, remote)])? == 1 {
            return Ok(());
        }
    }
}

/// Sends all datagrams, each time as many as are permitted.
///
/// # Errors
/// Those of `check-send` and `send`.
pub fn send_all(outgoing: &OutgoingDatagramStream, mut datagrams: &[OutgoingDatagram]) -> Result<(), ErrorCode> {
    let pollable = outgoing.subscribe();
    while !datagrams.is_empty() {
        let permit = usize::try_from(outgoing.check_send()?).expect("a permit");
        if permit == 0 {
            pollable.block();
            continue;
        }
        let count = permit.min(datagrams.len());
        let sent = usize::try_from(outgoing.send(&datagrams[..count])?).expect("a count");
        assert!(sent <= count, "{sent} of {count} were sent");
        datagrams = &datagrams[sent..];
    }
    Ok(())
}

/// Waits for at least one datagram and receives at most `most`; returns their payloads and senders.
///
/// # Errors
/// Those of `receive`.
#[track_caller]
pub fn await_datagrams(
    incoming: &IncomingDatagramStream,
    most: usize,
) -> Result<Vec<(Vec<u8>, SocketAddr)>, ErrorCode> {
    let pollable = incoming.subscribe();
    loop {
        let received = incoming.receive(most as u64)?;
        assert!(received.len() <= most, "{} datagrams instead of at most {most}", received.len());
        if received.is_empty() {
            pollable.block();
        } else {
            return Ok(received.into_iter().map(|one| (one.data, from_wit(one.remote_address))).collect());
        }
    }
}
