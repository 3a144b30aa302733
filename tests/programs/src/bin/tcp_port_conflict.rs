//! A port belongs to one listener at a time, wildcard listeners included, and is free again when the listener is
//! dropped.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use xila_network_programs::*;

xila_network::main!(run);

async fn run() {
    for place in places() {
        let listener = TcpListener::bind(place).unwrap();
        let address = listener.local_addr();
        assert_ne!(address.port(), 0);
        assert_eq!(TcpListener::bind(address).unwrap_err(), Error::AddressInUse);
        let wildcard: IpAddr =
            if place.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
        assert_eq!(TcpListener::bind((wildcard, address.port())).unwrap_err(), Error::AddressInUse);
        // UDP ports are separate.
        drop(UdpSocket::bind(address).unwrap());

        // A connection that this listener accepted does not occupy the port, not even in TIME-WAIT.
        let (client, accepted) = join(TcpStream::connect(address), listener.accept()).await;
        let (client, (mut server, _)) = (client.unwrap(), accepted.unwrap());
        drop(listener);
        server.shutdown().await.unwrap();
        drop((client, server));
        let listener = TcpListener::bind(address).expect("nobody listens there now");
        drop(listener);

        let listener = TcpListener::bind((wildcard, address.port())).expect("nobody listens there now");
        assert_eq!(TcpListener::bind(address).unwrap_err(), Error::AddressInUse);
        drop(listener);
    }
}
