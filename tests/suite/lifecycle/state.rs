//! The administrative state, the cable, and the counters.

use std::time::Duration;

use xila_network_host::device::Link as Carrier;
use xila_network_host::interface::{Counters, State};
use xila_network_host::socket::{ListenOptions, TcpStream};
use xila_network_host::{AcceptError, ConnectError, ReadError};
use xila_network_tests::link::{Family, Link, PORT};

use super::{at, bind};

#[test]
fn setting_a_state_twice_is_setting_it_once() {
    let link = Link::plain(1);
    link.block_on(async {
        let (client, server) = link.pair(Family::V4).await;
        let interface = link.server.interface();
        assert_eq!(interface.state(), State::Up);
        interface.set_state(State::Up);
        client.write_all(b"1").await.unwrap();
        assert_eq!(server.read(&mut [0; 8]).await, Ok(1));
        for state in [State::Down, State::Down] {
            interface.set_state(state);
            assert_eq!(interface.state(), State::Down);
            assert_eq!(server.read(&mut [0; 8]).await, Err(ReadError::NetworkDown));
        }
        for state in [State::Up, State::Up] {
            interface.set_state(state);
            assert_eq!(interface.state(), State::Up);
        }
        client.write_all(b"2").await.unwrap();
        assert_eq!(server.read(&mut [0; 8]).await, Ok(1));
    });
}

#[test]
fn an_interface_that_is_down_neither_receives_nor_sends() {
    let link = Link::plain(1);
    link.block_on(async {
        let listener = link.server.listen(Family::V4, PORT, ListenOptions::default()).unwrap();
        let interface = link.server.interface();
        interface.set_state(State::Down);
        let before = interface.statistics();
        assert_eq!(listener.accept().await.unwrap_err(), AcceptError::NetworkDown);
        let connecting = TcpStream::connect(&link.server.network, link.client.at(Family::V4, PORT)).await;
        assert_eq!(connecting.unwrap_err(), ConnectError::NetworkDown);
        let connecting = TcpStream::connect(&link.client.network, link.server.at(Family::V4, PORT)).await;
        assert_eq!(connecting.unwrap_err(), ConnectError::RemoteUnreachable, "nobody answers for the address");
        let after = interface.statistics();
        assert_eq!(after.sent, before.sent, "not even an ARP reply");
        let came = after.received.packets - before.received.packets;
        assert!(came > 0 && after.received.dropped - before.received.dropped == came, "{before:?} {after:?}");
        interface.set_state(State::Up);
        link.client.listen(Family::V4, PORT, ListenOptions::default()).unwrap();
        TcpStream::connect(&link.client.network, link.server.at(Family::V4, PORT)).await.unwrap();
        listener.accept().await.unwrap();
    });
}

#[test]
fn a_pulled_cable_is_noticed_and_its_losses_are_repaired() {
    let link = Link::plain(1);
    link.block_on(async {
        let (client, server) = link.pair(Family::V6).await;
        assert_eq!(link.client.interface().link(), Carrier::Up);
        link.client.cable.set_link(Carrier::Down);
        assert_eq!(link.client.interface().link(), Carrier::Down);
        client.write_all(b"through").await.unwrap();
        link.cancelled_after(Duration::from_secs(5), server.read(&mut [0; 8])).await;
        link.client.cable.set_link(Carrier::Up);
        assert_eq!(link.client.interface().link(), Carrier::Up);
        let (read, _) = link.within(Duration::from_secs(30), server.read(&mut [0; 8])).await;
        assert_eq!(read, Ok(7));
    });
}

#[test]
fn packets_and_bytes_are_counted_each_way() {
    let link = Link::plain(1);
    link.block_on(async {
        let (client, server) = (link.client.interface(), link.server.interface());
        // The initial reports of IPv6 groups must not be counted.
        let before = [client.statistics(), server.statistics()];
        let sender = bind(&link.client.network, "10.0.0.1:0");
        let receiver = bind(&link.server.network, "10.0.0.2:9");
        for _ in 0..10 {
            sender.send_to(&[7; 100], receiver.local_addr()).await.unwrap();
        }
        for _ in 0..10 {
            receiver.recv_datagram().await.unwrap();
        }
        // An ARP request and ten datagrams in one direction, an ARP reply in the other, with their Ethernet headers.
        let there = (11, 42 + 10 * (14 + 20 + 8 + 100));
        let back = (1, 42);
        let (client, server) = (client.statistics(), server.statistics());
        let since = |now: Counters, then: Counters| (now.packets - then.packets, now.bytes - then.bytes);
        assert_eq!(since(client.sent, before[0].sent), there);
        assert_eq!(since(client.received, before[0].received), back);
        assert_eq!(since(server.received, before[1].received), there);
        assert_eq!(since(server.sent, before[1].sent), back);
        for counters in [client.sent, client.received, server.sent, server.received] {
            assert_eq!((counters.errors, counters.dropped), (0, 0));
        }
        assert_eq!((client.udp_sockets, server.udp_sockets), (1, 1));
    });
}

#[test]
fn sockets_and_endings_are_counted() {
    let link = Link::plain(1);
    link.block_on(async {
        let server = link.server.interface();
        let listener = link.server.listen(Family::V4, PORT, ListenOptions::default()).unwrap();
        let client = TcpStream::connect(&link.client.network, listener.local_addr()).await.unwrap();
        let (accepted, _) = listener.accept().await.unwrap();
        let counted = server.statistics();
        assert_eq!((counted.tcp_listeners, counted.tcp_flows, counted.time_wait), (1, 1, 0));
        client.abort();
        assert_eq!(accepted.read(&mut [0; 1]).await, Err(ReadError::ConnectionReset));
        assert_eq!(server.statistics().tcp_resets, 1);
        drop((listener, accepted, client));
        assert_eq!((server.statistics().tcp_listeners, server.statistics().tcp_flows), (0, 0));
    });
    link.assert_empty();
}

#[test]
fn packets_without_a_socket_are_counted_as_dropped() {
    let link = Link::plain(1);
    link.block_on(async {
        let before = link.server.interface().statistics();
        let sender = bind(&link.client.network, "0.0.0.0:0");
        sender.set_broadcast(true);
        for _ in 0..3 {
            sender.send_to(b"to nobody", at("10.0.0.255:9")).await.unwrap();
        }
        link.sleep(Duration::from_millis(10)).await;
        let after = link.server.interface().statistics();
        assert_eq!(after.received.packets - before.received.packets, 3);
        assert_eq!(after.received.dropped - before.received.dropped, 3);
        assert_eq!(after.sent, before.sent, "nobody is told off");
    });
}
