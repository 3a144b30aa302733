//! Datagrams to a host that does not answer do not hold up those to others.
//!
//! The arguments are the address of a host that does not exist, and one of this host.

use xila_network_programs::p2::*;

fn main() {
    let mut arguments = std::env::args().skip(1).map(|word| word.parse().expect("ADDRESS:PORT"));
    let (dead, live): (SocketAddr, SocketAddr) = (arguments.next().expect("two"), arguments.next().expect("two"));
    let receiver = udp_socket(IpAddressFamily::Ipv4);
    bind_udp(&receiver, live).expect("a free port");
    let received = stream(&receiver, None).expect("streams");
    let sender = udp_socket(IpAddressFamily::Ipv4);
    bind_udp(&sender, any(IpAddressFamily::Ipv4, 0)).expect("a free port");
    let streams = stream(&sender, None).expect("streams");
    let pollable = streams.outgoing.subscribe();
    for _ in 0..1000 {
        assert!(pollable.ready(), "it may send to somebody");
        assert_ne!(streams.outgoing.check_send().expect("an open stream"), 0);
        assert_eq!(streams.outgoing.send(&[datagram(b"dead", Some(dead))]), Ok(1));
    }
    let permit = streams.outgoing.check_send().expect("an open stream");
    assert!(permit >= 2, "{permit}");
    let both = [datagram(b"dead", Some(dead)), datagram(b"live", Some(live))];
    assert_eq!(streams.outgoing.send(&both), Ok(2));
    let arrived = await_datagrams(&received.incoming, 10).expect("one");
    assert_eq!(arrived.into_iter().map(|(data, _)| data).collect::<Vec<_>>(), [b"live"]);
}
