//! Apps that reach servers on the host's loopback through a gateway. What needs other hosts is in `tests/suite`.

pub(crate) mod leaping;

use core::net::{IpAddr, Ipv4Addr, SocketAddr};
use core::time::Duration;
use std::net::Shutdown;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use super::{Gateway, GatewayOptions, Outside, host_address};
use crate::address::Cidr;
use crate::error::{ConnectError, ReadError, ReceiveError};
use crate::interface::{DhcpState, InterfaceConfig};
use crate::manager::Manager;
use crate::platform::tokio::platform;
use crate::socket::{Network, TcpStream, UdpSocket};

/// A gateway, and an app's network on it.
struct World {
    gateway: Gateway,
    apps: Manager,
}

impl World {
    /// A gateway that leads to ports of the host's loopback.
    fn with_ports(ports: &[u16]) -> Self {
        let allowed = ports.iter().map(|port| port.to_string().parse().expect("a port")).collect();
        let options = GatewayOptions { outside: Outside { private: false, allowed }, ..GatewayOptions::default() };
        let gateway = Gateway::new(&platform(), options).expect("a gateway");
        let apps = Manager::new(platform());
        let configuration = gateway.configuration(0).expect("an address");
        apps.mount_interface("eth0", gateway.port(), configuration).expect("an interface");
        Self { gateway, apps }
    }

    fn network(&self) -> Network {
        self.apps.network()
    }

    /// The gateway's end with a port.
    fn at(&self, port: u16) -> SocketAddr {
        SocketAddr::new(self.gateway.router().v4.address(), port)
    }
}

/// A server on the host's loopback, and its port.
async fn server() -> (TcpListener, u16) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a listener");
    let port = listener.local_addr().expect("an address").port();
    (listener, port)
}

#[test]
fn apps_have_the_addresses_after_the_gateway_s() {
    let network = |text: &str| text.parse::<Cidr>().expect("a network");
    let address = |text: &str| text.parse::<IpAddr>().expect("an address");
    assert_eq!(host_address(network("10.0.2.2/24"), 0), Some(address("10.0.2.15")));
    assert_eq!(host_address(network("10.0.2.2/24"), 1), Some(address("10.0.2.16")));
    assert_eq!(host_address(network("fd00::2/64"), 0), Some(address("fd00::f")));
}

#[tokio::test]
async fn each_number_is_an_address_of_its_own_or_there_is_none() {
    for prefix in 24..=29 {
        let last = (1u32 << (32 - prefix)) - 1;
        let network = Ipv4Addr::new(10, 0, 2, 0).to_bits();
        for own in [1, last / 2, last - 1] {
            let own = Ipv4Addr::from_bits(network + own);
            let options = GatewayOptions { v4: (own, prefix), ..GatewayOptions::default() };
            let gateway = Gateway::new(&platform(), options).expect("a gateway");
            let mut taken = vec![own, Ipv4Addr::from_bits(network), Ipv4Addr::from_bits(network + last)];
            for number in 0..=u8::MAX {
                let Ok(configuration) = gateway.configuration(number) else {
                    // All addresses but these three have been given.
                    assert_eq!(u32::from(number), last - 2, "{own}/{prefix}");
                    break;
                };
                let IpAddr::V4(address) = configuration.addresses[0].address() else { panic!("the first is IPv4") };
                assert!(gateway.router().v4.contains(address.into()), "{own}/{prefix} {number}: {address}");
                assert!(!taken.contains(&address), "{own}/{prefix} {number}: {address}");
                taken.push(address);
            }
            assert_eq!(taken.len() as u32, last + 1, "{own}/{prefix}");
            let after = |number: u8| (number..=u8::MAX).all(|number| gateway.configuration(number).is_err());
            assert!(after(u8::try_from(last - 2).expect("a number")), "{own}/{prefix}");
        }
    }
}

/// The address that DHCP gives an interface on the gateway.
async fn leased(apps: &Manager, name: &str, gateway: &Gateway) -> IpAddr {
    let config = InterfaceConfig { dhcp: true, ..InterfaceConfig::default() };
    let interface = apps.mount_interface(name, gateway.port(), config).expect("an interface");
    let mut watch = interface.watch();
    while interface.dhcp().state != DhcpState::Bound {
        watch.next().await;
    }
    interface.addresses().into_iter().map(|known| known.address()).find(IpAddr::is_ipv4).expect("an address")
}

#[tokio::test]
async fn dhcp_and_configurations_give_no_address_twice() {
    let gateway = Gateway::new(&platform(), GatewayOptions::default()).expect("a gateway");
    let apps = Manager::new(platform());
    let address = |number| gateway.configuration(number).map(|config| config.addresses[0].address());
    assert_eq!(address(0).ok(), "10.0.2.15".parse().ok());
    assert_eq!(leased(&apps, "eth0", &gateway).await.to_string(), "10.0.2.16");
    assert!(address(1).is_err(), "it is leased");
    assert_eq!(address(2).ok(), "10.0.2.17".parse().ok());
    assert_eq!(leased(&apps, "eth1", &gateway).await.to_string(), "10.0.2.18");
}

#[tokio::test]
async fn an_interface_configures_itself_by_dhcp_and_router_advertisements() {
    let gateway = Gateway::new(&platform(), GatewayOptions::default()).expect("a gateway");
    let apps = Manager::new(platform());
    let config = InterfaceConfig { dhcp: true, autoconfiguration: true, ..InterfaceConfig::default() };
    let interface = apps.mount_interface("eth0", gateway.port(), config).expect("an interface");
    let router = gateway.router();
    let mut watch = interface.watch();
    let address = |is_v4: bool| {
        let network = if is_v4 { router.v4 } else { router.v6 };
        interface.addresses().into_iter().find(|known| network.contains(known.address()))
    };
    let has_route = |is_v4| interface.routes().iter().any(|route| route.gateway().is_ipv4() == is_v4);
    while [true, false].into_iter().any(|is_v4| address(is_v4).is_none() || !has_route(is_v4)) {
        watch.next().await;
    }
    assert_eq!(address(true), "10.0.2.15/24".parse().ok());
    assert_eq!((interface.mtu(), interface.dhcp().state), (65520, DhcpState::Bound));
    assert_eq!(interface.dns_servers(), [router.v4.address(), router.v6.address()]);
    let host = apps.resolver().resolve("host.internal", None).await.expect("the gateway's own name");
    assert!(host.contains(&router.v4.address()), "{host:?}");
}

#[tokio::test]
async fn a_connection_carries_data_both_ways_and_each_half_ends_by_itself() {
    let (listener, port) = server().await;
    let world = World::with_ports(&[port]);
    let data: Vec<u8> = (0..3_000_000_u32).map(|at| (at % 251) as u8).collect();
    let expected = data.clone();
    let serving = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.expect("a connection");
        let mut received = Vec::new();
        stream.read_to_end(&mut received).await.expect("data, and its end");
        assert!(received == expected, "{} bytes", received.len());
        // The app's half has ended; the server's goes on.
        stream.write_all(&received).await.expect("the other half is open");
    });
    let stream = TcpStream::connect(&world.network(), world.at(port)).await.expect("a connection");
    stream.write_all(&data).await.expect("room");
    stream.shutdown(Shutdown::Write).expect("a half to end");
    let mut received = Vec::new();
    let mut buffer = vec![0; 65536];
    loop {
        match stream.read(&mut buffer).await.expect("data") {
            0 => break,
            count => received.extend_from_slice(&buffer[..count]),
        }
    }
    assert!(received == data, "{} bytes", received.len());
    serving.await.expect("the server");
}

#[tokio::test]
async fn a_server_that_ends_its_half_first_still_hears_the_app() {
    let (listener, port) = server().await;
    let world = World::with_ports(&[port]);
    let serving = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.expect("a connection");
        stream.write_all(b"bye").await.expect("room");
        stream.shutdown().await.expect("a half to end");
        let mut received = String::new();
        stream.read_to_string(&mut received).await.expect("the app's half");
        received
    });
    let stream = TcpStream::connect(&world.network(), world.at(port)).await.expect("a connection");
    let mut buffer = [0; 16];
    assert_eq!(stream.read(&mut buffer).await, Ok(3));
    assert_eq!(stream.read(&mut buffer).await, Ok(0));
    stream.write_all(b"and now?").await.expect("room");
    drop(stream);
    assert_eq!(serving.await.expect("the server"), "and now?");
}

#[tokio::test]
async fn who_refuses_outside_refuses_the_app() {
    let (listener, port) = server().await;
    drop(listener);
    let world = World::with_ports(&[port]);
    let refused = TcpStream::connect(&world.network(), world.at(port)).await;
    assert_eq!(refused.err(), Some(ConnectError::ConnectionRefused));
    let not_allowed = TcpStream::connect(&world.network(), world.at(9)).await;
    assert_eq!(not_allowed.err(), Some(ConnectError::ConnectionRefused), "a port that is not allowed is a closed one");
}

#[tokio::test]
async fn nobody_serves_the_gateway_s_link_local_address_and_other_addresses_of_the_network() {
    let (_listener, port) = server().await;
    let world = World::with_ports(&[port]);
    // Until the gateway has verified it, there is none.
    let interface = world.gateway.services.interface();
    let mut watch = interface.watch();
    let link_local = loop {
        let is_usable = |address: &IpAddr| matches!(address, IpAddr::V6(address) if address.is_unicast_link_local());
        match interface.addresses().iter().map(Cidr::address).find(is_usable) {
            Some(found) => break found,
            None => {
                watch.next().await;
            }
        }
    };
    for port in [port, 53, 9] {
        let refused = TcpStream::connect(&world.network(), SocketAddr::new(link_local, port)).await;
        assert_eq!(refused.err(), Some(ConnectError::ConnectionRefused), "port {port}");
    }
}

#[tokio::test]
async fn an_answer_to_a_socket_on_the_gateway_s_own_network_comes_before_ports_of_the_host() {
    let published = {
        let world = World::with_ports(&[1]);
        let any = UdpSocket::bind(&world.gateway.network(), "0.0.0.0:0".parse().expect("an end")).expect("a socket");
        any.local_addr().port()
    };
    let world = World::with_ports(&[published]);
    let asking = SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), published);
    let asking = UdpSocket::bind(&world.gateway.network(), asking).expect("a socket");
    let app = UdpSocket::bind(&world.network(), "10.0.2.15:7".parse().expect("an end")).expect("a socket");
    asking.connect("10.0.2.15:7".parse().expect("an end")).expect("a peer");
    for length in [5, 65000] {
        asking.send(&vec![1; length]).await.expect("it is sent");
        let received = app.recv_datagram().await.expect("it arrives");
        assert_eq!(received.remote, world.at(published));
        app.send_to(&received.data, received.remote).await.expect("it is sent");
        assert_eq!(asking.recv_datagram().await.expect("the answer").data, vec![1; length]);
    }
}

#[tokio::test]
async fn private_destinations_are_prohibited() {
    let (_listener, port) = server().await;
    let world = World::with_ports(&[port]);
    for denied in ["10.9.9.9:80", "192.168.7.7:80", "169.254.169.254:80", "100.64.0.1:80"] {
        let denied: SocketAddr = denied.parse().expect("an end");
        let error = TcpStream::connect(&world.network(), denied).await.err();
        assert_eq!(error, Some(ConnectError::RemoteUnreachable), "{denied}");
        let socket = UdpSocket::bind(&world.network(), "0.0.0.0:0".parse().expect("an end")).expect("a socket");
        socket.connect(denied).expect("a peer");
        socket.send(b"hello").await.expect("it leaves the app");
        let error = socket.recv(&mut [0; 16]).await.err();
        assert_eq!(error, Some(ReceiveError::RemoteUnreachable), "{denied}");
    }
}

#[tokio::test]
async fn resets_pass_both_ways() {
    let (listener, port) = server().await;
    let world = World::with_ports(&[port]);
    let stream = TcpStream::connect(&world.network(), world.at(port)).await.expect("a connection");
    let (outside, _) = listener.accept().await.expect("a connection");
    outside.set_zero_linger().expect("a reset");
    drop(outside);
    assert_eq!(stream.read(&mut [0; 16]).await, Err(ReadError::ConnectionReset));

    let stream = TcpStream::connect(&world.network(), world.at(port)).await.expect("a connection");
    let (mut outside, _) = listener.accept().await.expect("a connection");
    stream.abort();
    let error = outside.read(&mut [0; 16]).await.expect_err("a reset");
    assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_connections_at_one_time_are_carried() {
    const CONNECTIONS: usize = 1000;
    // Each is a socket of the gateway and one of the server, both in this process.
    super::raise_file_limit();
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a listener");
    let port = listener.local_addr().expect("an address").port();
    let world = World::with_ports(&[port]);
    let serving = tokio::spawn(async move {
        let mut streams = Vec::new();
        while streams.len() < CONNECTIONS {
            streams.push(listener.accept().await.expect("a connection").0);
        }
        // All are open at this time.
        for stream in &mut streams {
            let mut byte = [0; 2];
            stream.read_exact(&mut byte).await.expect("a number");
            stream.write_all(&byte).await.expect("room");
        }
    });
    let (network, at) = (world.network(), world.at(port));
    let apps: Vec<_> = (0..CONNECTIONS as u16)
        .map(|number| {
            let network = network.clone();
            tokio::spawn(async move {
                let stream = TcpStream::connect(&network, at).await.expect("a connection");
                stream.write_all(&number.to_be_bytes()).await.expect("room");
                let mut received = Vec::new();
                while received.len() < 2 {
                    let mut buffer = [0; 2];
                    let count = stream.read(&mut buffer).await.expect("the number");
                    assert_ne!(count, 0, "the server answers first");
                    received.extend_from_slice(&buffer[..count]);
                }
                assert_eq!(received, number.to_be_bytes());
            })
        })
        .collect();
    for app in apps {
        app.await.expect("an app");
    }
    serving.await.expect("the server");
}

#[tokio::test]
async fn a_slow_reader_on_either_side_holds_up_the_other() {
    const MOST: usize = 64 << 20;
    let (listener, port) = server().await;
    let world = World::with_ports(&[port]);
    let stream = TcpStream::connect(&world.network(), world.at(port)).await.expect("a connection");
    let (mut outside, _) = listener.accept().await.expect("a connection");
    // Nobody reads outside: what the app writes ends up in the buffers on the way, and then waits.
    let chunk = vec![7; 65536];
    let mut written = 0;
    while let Ok(count) = tokio::time::timeout(Duration::from_millis(500), stream.write(&chunk)).await {
        written += count.expect("room");
        assert!(written < MOST, "the gateway buffers without end");
    }
    let mut left = written;
    let mut buffer = vec![0; 65536];
    while left > 0 {
        left -= outside.read(&mut buffer).await.expect("data");
    }
    // And the other way.
    let mut written = 0;
    while let Ok(count) = tokio::time::timeout(Duration::from_millis(500), outside.write(&chunk)).await {
        written += count.expect("room");
        assert!(written < MOST, "the gateway buffers without end");
    }
    while written > 0 {
        written -= stream.read(&mut buffer).await.expect("data");
    }
}

#[tokio::test]
async fn datagrams_pass_both_ways_and_a_closed_port_is_told() {
    let outside = tokio::net::UdpSocket::bind("127.0.0.1:0").await.expect("a socket");
    let port = outside.local_addr().expect("an address").port();
    let closed = {
        let socket = tokio::net::UdpSocket::bind("127.0.0.1:0").await.expect("a socket");
        socket.local_addr().expect("an address").port()
    };
    let world = World::with_ports(&[port, closed]);
    let socket = UdpSocket::bind(&world.network(), "0.0.0.0:0".parse().expect("an end")).expect("a socket");
    let mut buffer = vec![0; 65536];
    for length in [0, 1, 1400, 9000, 65507] {
        let payload = vec![length as u8; length];
        socket.send_to(&payload, world.at(port)).await.expect("it leaves the app");
        let (count, from) = outside.recv_from(&mut buffer).await.expect("a datagram");
        assert_eq!((count, &buffer[..count]), (length, &payload[..]));
        outside.send_to(&payload, from).await.expect("an answer");
        let (count, from) = socket.recv_from(&mut buffer).await.expect("the answer");
        assert_eq!((count, from), (length, world.at(port)), "it comes from where the app has sent to");
    }
    eprintln!("closed");
    let connected = UdpSocket::bind(&world.network(), "0.0.0.0:0".parse().expect("an end")).expect("a socket");
    connected.connect(world.at(closed)).expect("a peer");
    connected.send(b"anybody?").await.expect("it leaves the app");
    assert_eq!(connected.recv(&mut buffer).await.err(), Some(ReceiveError::ConnectionRefused));
    eprintln!("not allowed");
    connected.connect(world.at(9)).expect("a peer");
    connected.send(b"anybody?").await.expect("it leaves the app");
    assert_eq!(connected.recv(&mut buffer).await.err(), Some(ReceiveError::ConnectionRefused), "it is not allowed");
}

#[tokio::test]
async fn strangers_are_not_heard() {
    let outside = tokio::net::UdpSocket::bind("127.0.0.1:0").await.expect("a socket");
    let stranger = tokio::net::UdpSocket::bind("127.0.0.2:0").await.expect("a socket");
    let port = outside.local_addr().expect("an address").port();
    let world = World::with_ports(&[port]);
    let socket = UdpSocket::bind(&world.network(), "0.0.0.0:0".parse().expect("an end")).expect("a socket");
    socket.send_to(b"hello", world.at(port)).await.expect("it leaves the app");
    let mut buffer = [0; 64];
    let (_, from) = outside.recv_from(&mut buffer).await.expect("a datagram");
    stranger.send_to(b"psst", from).await.expect("sent");
    outside.send_to(b"world", from).await.expect("sent");
    let (count, _) = socket.recv_from(&mut buffer).await.expect("the answer");
    assert_eq!(&buffer[..count], b"world");
}
