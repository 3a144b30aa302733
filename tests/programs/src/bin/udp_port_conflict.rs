//! A port belongs to one socket at a time, wildcard sockets included; ephemeral ports are never given twice.

use std::collections::HashSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use xila_network_programs::*;

xila_network::main!(run);

async fn run() {
    for place in places() {
        let socket = UdpSocket::bind(place).unwrap();
        let address = socket.local_addr();
        assert_eq!(UdpSocket::bind(address).unwrap_err(), Error::AddressInUse);
        let wildcard: IpAddr =
            if place.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
        assert_eq!(UdpSocket::bind((wildcard, address.port())).unwrap_err(), Error::AddressInUse);
        // TCP ports are separate.
        drop(TcpListener::bind(address).unwrap());
        drop(socket);
        drop(UdpSocket::bind((wildcard, address.port())).unwrap());

        let sockets: Vec<UdpSocket> = (0..500).map(|_| UdpSocket::bind((place.ip(), 0)).unwrap()).collect();
        let ports: HashSet<u16> = sockets.iter().map(|socket| socket.local_addr().port()).collect();
        assert_eq!(ports.len(), sockets.len());
        assert!(ports.iter().all(|port| (49152..=65535).contains(port)));
    }
}
