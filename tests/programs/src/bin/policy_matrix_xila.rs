//! One operation of `xila:network`, for the matrix of policies: see `matrix`.

use std::net::IpAddr;

use xila_network_programs::control::commands::{
    AddAddress, AddDnsServer, AddRoute, GetAutoconfiguration, GetAutoconfigurationStatus, GetDhcp, GetEchoReply,
    GetHardwareAddress, GetKind, GetLink, GetMaximumBurst, GetMtu, GetState, GetStatistics, ListAddresses,
    ListDnsServers, ListNeighbours, ListRoutes, ListSearchDomains, RemoveAddress, RemoveDnsServer, RemoveRoute,
    SetAutoconfiguration, SetDhcp, SetEchoReply, SetHardwareAddress, SetMtu, SetState,
};
use xila_network_programs::control::{Access, Cidr, DeviceFile, Interface, MacAddress, Route, State, watch};
use xila_network_programs::dns::{RecordType, ask, lookup, resolve, reverse};
use xila_network_programs::matrix::{Order, created, ended, prepared, resolved, unspecified};
use xila_network_programs::*;

xila_network::main!(run);

async fn run() {
    let mut order = Order::from_arguments();
    if let Some(name) = order.name_before() {
        resolve(&name).await.expect("the name is resolved");
        resolved();
    }
    let operation = order.word();
    match operation.split_once('-').map_or(operation.as_str(), |(protocol, _)| protocol) {
        "tcp" => tcp(&operation, &mut order).await,
        "udp" => udp(&operation, &mut order).await,
        "icmp" | "ping" => icmp(&operation, &mut order).await,
        "resolve" | "lookup" | "reverse" | "ask" => names(&operation, &mut order).await,
        _ => control(&operation, &mut order).await,
    }
}

async fn tcp(operation: &str, order: &mut Order) {
    match operation {
        "tcp-connect" => ended(TcpStream::connect(order.address()).await),
        "tcp-connect-from" => {
            let options = ConnectOptions { local: Some(order.address()), ..ConnectOptions::default() };
            ended(TcpStream::connect_with(order.address(), &options).await);
        }
        "tcp-listen" => ended(TcpListener::bind(order.address())),
        "tcp-accept" => match TcpListener::bind(order.address()) {
            Ok(listener) => {
                prepared(listener.local_addr().port());
                ended(listener.accept().await);
            }
            error => ended(error),
        },
        other => panic!("no operation {other}"),
    }
}

async fn udp(operation: &str, order: &mut Order) {
    let local = order.local();
    let remote = (!matches!(operation, "udp-bind" | "udp-receive" | "udp-join")).then(|| order.address());
    let local = local.unwrap_or_else(|| unspecified(remote.unwrap_or_else(|| ipv4_loopback(0))));
    let socket = match UdpSocket::bind(local) {
        Ok(socket) => socket,
        error => return ended(error),
    };
    created();
    if operation == "udp-send-connected"
        && let Err(error) = socket.connect(remote.expect("a remote")).await
    {
        return ended(Err::<(), _>(error));
    }
    if operation == "udp-bind" {
        return ended(Ok::<_, Error>(socket));
    }
    prepared(socket.local_addr().port());
    match (operation, remote) {
        ("udp-send", Some(remote)) => ended(socket.send_to(b"x", remote).await),
        ("udp-send-many", Some(remote)) => {
            let datagram = || OutgoingDatagram { data: b"x".to_vec(), remote: Some(remote) };
            ended(socket.send_many(vec![datagram(), datagram()]).await);
        }
        ("udp-send-connected", Some(_)) => ended(socket.send(b"x").await),
        ("udp-connect", Some(remote)) => ended(socket.connect(remote).await),
        ("udp-broadcast", Some(remote)) => {
            socket.set_broadcast(true).expect("an IPv4 socket");
            ended(socket.send_to(b"x", remote).await);
        }
        ("udp-receive", None) => ended(socket.recv_datagram().await),
        ("udp-join", None) => ended(socket.join_multicast(order.ip(), None)),
        (other, _) => panic!("no operation {other}"),
    }
}

async fn icmp(operation: &str, order: &mut Order) {
    match operation {
        "ping" => ended(ping(order.ip()).await),
        "icmp-bind" => ended(IcmpSocket::bind(Family::V4, IcmpBinding::Echo(7))),
        "icmp-watch-udp" => ended(IcmpSocket::bind(Family::V4, IcmpBinding::UdpPort(9))),
        "icmp-watch-tcp" => ended(IcmpSocket::bind(Family::V4, IcmpBinding::TcpPort(9))),
        "icmp-send" => {
            let remote = order.ip();
            let family = if remote.is_ipv4() { Family::V4 } else { Family::V6 };
            match IcmpSocket::bind(family, IcmpBinding::Echo(7)) {
                Ok(socket) => {
                    prepared(7);
                    ended(socket.send_to(remote, 1, b"x").await);
                }
                error => ended(error),
            }
        }
        other => panic!("no operation {other}"),
    }
}

async fn names(operation: &str, order: &mut Order) {
    if operation == "resolve" {
        return ended(resolve(&order.word()).await);
    }
    if operation == "lookup" {
        return ended(lookup(&order.word(), RecordType::A).await);
    }
    if operation == "reverse" {
        return ended(reverse(order.ip()).await);
    }
    let server = order.word();
    let server = (server != "-").then(|| server.parse::<IpAddr>().expect("an address"));
    ended(ask(server, &order.word(), RecordType::A).await);
}

async fn control(operation: &str, order: &mut Order) {
    match operation {
        "list" => ended(Interface::list()),
        "watch" => ended(watch()),
        "method" => {
            let command = order.word();
            let interface = Interface::open(&order.word()).expect("the interface exists");
            prepared(0);
            method(&command, &interface);
        }
        "device" => {
            let command = order.word();
            let device = DeviceFile::of_interface(&order.word(), Access::READ_WRITE).expect("the interface exists");
            prepared(0);
            file(&command, &device).await;
        }
        other => panic!("no operation {other}"),
    }
}

fn new_address() -> Cidr {
    "10.9.0.1/24".parse().expect("an address with a prefix")
}

fn old_address() -> Cidr {
    "10.0.0.4/24".parse().expect("an address with a prefix")
}

fn route(network: &str) -> Route {
    let destination = network.parse().expect("a network");
    Route::new(destination, [10, 0, 0, 2].into()).expect("a route to a gateway of its family")
}

fn hardware_address() -> MacAddress {
    MacAddress::new([2, 0, 0, 0, 0, 9]).expect("a host's address")
}

/// Executes a command by the method of the interface.
fn method(command: &str, interface: &Interface) {
    match command {
        "get-kind" => ended(interface.kind()),
        "get-state" => ended(interface.state()),
        "set-state" => ended(interface.set_state(State::Down)),
        "get-link" => ended(interface.link()),
        "get-hardware-address" => ended(interface.hardware_address()),
        "set-hardware-address" => ended(interface.set_hardware_address(hardware_address())),
        "get-mtu" => ended(interface.mtu()),
        "set-mtu" => ended(interface.set_mtu(1400)),
        "get-maximum-burst-size" => ended(interface.maximum_burst_size()),
        "get-echo-reply" => ended(interface.echo_reply()),
        "set-echo-reply" => ended(interface.set_echo_reply(false)),
        "list-addresses" => ended(interface.addresses()),
        "add-address" => ended(interface.add_address(new_address())),
        "remove-address" => ended(interface.remove_address(old_address())),
        "list-routes" => ended(interface.routes()),
        "add-route" => ended(interface.add_route(route("10.7.0.0/16"))),
        "remove-route" => ended(interface.remove_route(route("10.8.0.0/16"))),
        "list-dns-servers" => ended(interface.dns_servers()),
        "add-dns-server" => ended(interface.add_dns_server([10, 0, 0, 9].into())),
        "remove-dns-server" => ended(interface.remove_dns_server([10, 0, 0, 2].into())),
        "list-search-domains" => ended(interface.search_domains()),
        "get-dhcp" => ended(interface.dhcp()),
        "set-dhcp" => ended(interface.set_dhcp(true)),
        "get-autoconfiguration" => ended(interface.autoconfiguration()),
        "set-autoconfiguration" => ended(interface.set_autoconfiguration(true)),
        "get-autoconfiguration-status" => ended(interface.autoconfiguration_status()),
        "get-statistics" => ended(interface.statistics()),
        "list-neighbours" => ended(interface.neighbours()),
        other => panic!("no command {other}"),
    }
}

/// Executes a command by the device file of the interface.
async fn file(command: &str, device: &DeviceFile) {
    match command {
        "get-kind" => ended(device.control::<GetKind>(()).await),
        "get-state" => ended(device.control::<GetState>(()).await),
        "set-state" => ended(device.control::<SetState>(State::Down).await),
        "get-link" => ended(device.control::<GetLink>(()).await),
        "get-hardware-address" => ended(device.control::<GetHardwareAddress>(()).await),
        "set-hardware-address" => ended(device.control::<SetHardwareAddress>(hardware_address()).await),
        "get-mtu" => ended(device.control::<GetMtu>(()).await),
        "set-mtu" => ended(device.control::<SetMtu>(1400).await),
        "get-maximum-burst-size" => ended(device.control::<GetMaximumBurst>(()).await),
        "get-echo-reply" => ended(device.control::<GetEchoReply>(()).await),
        "set-echo-reply" => ended(device.control::<SetEchoReply>(false).await),
        "list-addresses" => ended(device.control::<ListAddresses>(()).await),
        "add-address" => ended(device.control::<AddAddress>(new_address()).await),
        "remove-address" => ended(device.control::<RemoveAddress>(old_address()).await),
        "list-routes" => ended(device.control::<ListRoutes>(()).await),
        "add-route" => ended(device.control::<AddRoute>(route("10.7.0.0/16")).await),
        "remove-route" => ended(device.control::<RemoveRoute>(route("10.8.0.0/16")).await),
        "list-dns-servers" => ended(device.control::<ListDnsServers>(()).await),
        "add-dns-server" => ended(device.control::<AddDnsServer>([10, 0, 0, 9].into()).await),
        "remove-dns-server" => ended(device.control::<RemoveDnsServer>([10, 0, 0, 2].into()).await),
        "list-search-domains" => ended(device.control::<ListSearchDomains>(()).await),
        "get-dhcp" => ended(device.control::<GetDhcp>(()).await),
        "set-dhcp" => ended(device.control::<SetDhcp>(true).await),
        "get-autoconfiguration" => ended(device.control::<GetAutoconfiguration>(()).await),
        "set-autoconfiguration" => ended(device.control::<SetAutoconfiguration>(true).await),
        "get-autoconfiguration-status" => ended(device.control::<GetAutoconfigurationStatus>(()).await),
        "get-statistics" => ended(device.control::<GetStatistics>(()).await),
        "list-neighbours" => ended(device.control::<ListNeighbours>(()).await),
        // A command of a driver, by its identifier.
        number => {
            let raw = u32::from_str_radix(number.trim_start_matches("0x"), 16);
            ended(device.control_raw(raw.expect("a command"), &[]).await);
        }
    }
}
