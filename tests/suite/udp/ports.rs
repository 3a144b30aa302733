//! The addresses and ports to which a socket can be bound.

use std::collections::BTreeSet;
use std::net::SocketAddr;

use xila_network_host::device::hub::HubOptions;
use xila_network_host::socket::{ListenOptions, Network, TcpListener, UdpOptions, UdpSocket};
use xila_network_host::{BindError, Manager};
use xila_network_tests::link::{Family, Link};

use super::{PORT, bind, text};

#[test]
fn one_port_of_one_address_has_one_socket() {
    let link = Link::plain(1);
    let network = &link.client.network;
    let at = |address: &str| UdpSocket::bind(network, SocketAddr::new(address.parse().unwrap(), PORT));
    for (first, second) in [
        ("10.0.0.1", "10.0.0.1"),
        ("0.0.0.0", "0.0.0.0"),
        ("0.0.0.0", "10.0.0.1"),
        ("10.0.0.1", "0.0.0.0"),
        ("0.0.0.0", "127.0.0.1"),
        ("fd00::1", "::"),
        ("::", "::1"),
    ] {
        let held = at(first).unwrap();
        assert_eq!(at(second).unwrap_err(), BindError::AddressInUse, "{first}, {second}");
        drop(held);
        at(second).unwrap();
    }
    let different = ["10.0.0.1", "127.0.0.1", "fd00::1", "::1"].map(|address| at(address).unwrap());
    drop(different);
    let _families = ["0.0.0.0", "::"].map(|address| at(address).unwrap());
    // TCP ports are separate.
    TcpListener::bind(network, link.client.at(Family::V4, PORT), ListenOptions::default()).unwrap();
}

#[test]
fn a_failed_bind_leaves_nothing_on_any_interface() {
    let link = Link::plain(1);
    let network = &link.client.network;
    let eth0 = link.client.interface().network();
    let held = bind(&eth0, Family::V4.unspecified(), PORT);
    assert_eq!(
        UdpSocket::bind(network, SocketAddr::new(Family::V4.unspecified(), PORT)).unwrap_err(),
        BindError::AddressInUse
    );
    // The socket was bound on `lo` before eth0 refused.
    bind(network, "127.0.0.1".parse().unwrap(), PORT);
    drop(held);
    bind(network, Family::V4.unspecified(), PORT);
    link.assert_empty();
}

#[test]
fn addresses_that_cannot_be_bound_have_different_errors() {
    let link = Link::plain(1);
    let network = &link.client.network;
    for (local, error) in [
        ("10.0.0.2:0", BindError::AddressNotAvailable),
        ("[fd00::2]:0", BindError::AddressNotAvailable),
        ("224.0.0.1:0", BindError::InvalidArgument),
        ("255.255.255.255:0", BindError::InvalidArgument),
        ("[ff02::1]:0", BindError::InvalidArgument),
        ("[::ffff:10.0.0.1]:0", BindError::InvalidArgument),
    ] {
        assert_eq!(UdpSocket::bind(network, local.parse().unwrap()).unwrap_err(), error, "{local}");
    }
    let options = UdpOptions { receive_buffer: 0, ..UdpOptions::default() };
    let bound = UdpSocket::bind_with(network, link.client.at(Family::V4, 0), &options);
    assert_eq!(bound.unwrap_err(), BindError::InvalidArgument);
    let nowhere = Manager::without_loopback(link.simulation.platform()).network();
    assert_eq!(UdpSocket::bind(&nowhere, "0.0.0.0:0".parse().unwrap()).unwrap_err(), BindError::NotFound);
}

#[test]
fn ephemeral_ports_run_out_and_come_back() {
    let link = Link::with_ephemeral_ports(1, HubOptions::default(), (50_000..=50_009).try_into().unwrap());
    let network = &link.client.network;
    for address in [link.client.address(Family::V4), Family::V4.unspecified()] {
        let mut sockets: Vec<UdpSocket> = (0..10).map(|_| bind(network, address, 0)).collect();
        let ports: BTreeSet<u16> = sockets.iter().map(|socket| socket.local_addr().port()).collect();
        assert_eq!(ports, (50_000..=50_009).collect(), "each port of the interface's range once");
        let next = UdpSocket::bind(network, SocketAddr::new(address, 0));
        assert_eq!(next.unwrap_err(), BindError::AddressInUse);
        let freed = sockets.swap_remove(3).local_addr();
        assert_eq!(bind(network, address, 0).local_addr(), freed);
    }
    link.assert_empty();
}

#[test]
fn a_dropped_socket_frees_its_port_for_the_next_one() {
    let link = Link::plain(1);
    link.block_on(async {
        let client = bind(&link.client.network, link.client.address(Family::V4), 0);
        for round in 0..3 {
            let server = bind(&link.server.network, link.server.address(Family::V4), PORT);
            client.send_to(format!("{round}").as_bytes(), server.local_addr()).await.unwrap();
            assert_eq!(text(&link, &server).await, format!("{round}"));
            assert_eq!(link.server.interface().statistics().udp_sockets, 1);
        }
    });
    link.assert_empty();
}

/// A guest gets no more than its share of the ephemeral ports, other guests get theirs, and the host always has some
/// for its resolver.
#[test]
fn no_guest_takes_all_ephemeral_ports() {
    let link = Link::plain(1);
    let any = || SocketAddr::new(Family::V4.unspecified(), 0);
    let take = |network: &Network| {
        let mut taken = Vec::new();
        let refused = loop {
            match UdpSocket::bind(network, any()) {
                Ok(socket) => taken.push(socket),
                Err(error) => break error,
            }
        };
        (taken, refused)
    };
    let [greedy, other] = [(); 2].map(|()| link.client.network.for_guest());
    let (first, refused) = take(&greedy);
    assert_eq!((first.len(), refused), ((16_384 - 256) / 2, BindError::LimitReached), "half of what the host leaves");
    let (second, refused) = take(&other);
    assert_eq!((second.len(), refused), ((16_384 - 256) / 4, BindError::LimitReached), "half of what is left then");
    let left = 16_384 - first.len() - second.len();
    let hosts: Vec<UdpSocket> = (0..left).map(|_| UdpSocket::bind(&link.client.network, any()).unwrap()).collect();
    assert_eq!(UdpSocket::bind(&link.client.network, any()).map(drop), Err(BindError::AddressInUse));
    let mut ports: Vec<u16> =
        first.iter().chain(&second).chain(&hosts).map(|socket| socket.local_addr().port()).collect();
    ports.sort_unstable();
    assert_eq!(ports, (49_152..=65_535).collect::<Vec<u16>>(), "each has been given once");
    drop((first, second, hosts));
    link.assert_empty();
}
