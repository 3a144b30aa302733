//! Options read back as they were set, before and after the socket is bound.

use xila_network_programs::p2::*;

fn main() {
    each_family(|family| {
        let socket = udp_socket(family);
        assert_options(&socket);
        set(&socket, 33, 100_000, 50_000);
        start_and_finish(&socket, family);
        assert_eq!(options(&socket), (33, 100_000, 50_000));
        assert_options(&socket);

        let (_peer, there) = bound_udp(family);
        let streams = stream(&socket, Some(there)).expect("streams");
        assert_options(&socket);
        drop(streams);

        // Any value but 0 is accepted and causes no failure.
        for value in [1, u64::MAX] {
            let (bound, unbound) = (bound_udp(family).0, udp_socket(family));
            for socket in [&bound, &unbound] {
                socket.set_receive_buffer_size(value).expect("set");
                socket.set_send_buffer_size(value).expect("set");
                assert_ne!(socket.receive_buffer_size().expect("a size"), 0);
                assert_ne!(socket.send_buffer_size().expect("a size"), 0);
            }
            start_and_finish(&unbound, family);
        }
    });
    each_family(a_full_buffer);
}

#[track_caller]
fn assert_options(socket: &UdpSocket) {
    for (hop_limit, receive, send) in [(1, 200_000, 10_000), (255, 70_000, 80_000)] {
        set(socket, hop_limit, receive, send);
        assert_eq!(options(socket), (hop_limit, receive, send));
    }
    let before = options(socket);
    assert_error(socket.set_unicast_hop_limit(0), ErrorCode::InvalidArgument);
    assert_error(socket.set_receive_buffer_size(0), ErrorCode::InvalidArgument);
    assert_error(socket.set_send_buffer_size(0), ErrorCode::InvalidArgument);
    assert_eq!(options(socket), before);
}

fn set(socket: &UdpSocket, hop_limit: u8, receive_buffer: u64, send_buffer: u64) {
    socket.set_unicast_hop_limit(hop_limit).expect("set");
    socket.set_receive_buffer_size(receive_buffer).expect("set");
    socket.set_send_buffer_size(send_buffer).expect("set");
}

fn options(socket: &UdpSocket) -> (u8, u64, u64) {
    (
        socket.unicast_hop_limit().expect("a limit"),
        socket.receive_buffer_size().expect("a size"),
        socket.send_buffer_size().expect("a size"),
    )
}

fn start_and_finish(socket: &UdpSocket, family: IpAddressFamily) {
    bind_udp(socket, loopback(family, 0)).expect("a free port");
}

/// If the receive buffer is full, new datagrams are dropped and the oldest are kept; the sender neither waits nor gets
/// an error.
fn a_full_buffer(family: IpAddressFamily) {
    let socket = udp_socket(family);
    socket.set_receive_buffer_size(10_000).expect("set");
    start_and_finish(&socket, family);
    let local = from_wit(socket.local_address().expect("a bound socket"));
    let streams = stream(&socket, None).expect("streams");
    for i in 0..100 {
        send_one(&streams.outgoing, &[i; 1000], Some(local)).expect("sent");
    }
    let mut received = await_datagrams(&streams.incoming, 1000).expect("datagrams");
    while streams.incoming.subscribe().ready() {
        received.extend(await_datagrams(&streams.incoming, 1000).expect("datagrams"));
    }
    assert!((1..100).contains(&received.len()), "{} of 1000 bytes each in 10000", received.len());
    for (i, (data, _)) in received.iter().enumerate() {
        assert_same(data, &[u8::try_from(i).unwrap(); 1000]);
    }
}
