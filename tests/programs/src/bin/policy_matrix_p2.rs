//! One operation of `wasi:sockets` 0.2, for the matrix of policies: see `matrix`.

use xila_network_programs::matrix::{Order, created, ended, prepared, resolved, unspecified};
use xila_network_programs::p2::*;

fn main() {
    let mut order = Order::from_arguments();
    if let Some(name) = order.name_before() {
        resolve(&name).expect("the name is resolved");
        resolved();
    }
    let operation = order.word();
    match operation.split_once('-').map_or(operation.as_str(), |(protocol, _)| protocol) {
        "tcp" => tcp(&operation, &mut order),
        "udp" => udp(&operation, &mut order),
        "resolve" => ended(resolve(&order.word())),
        _ => panic!("no operation {operation}"),
    }
}

fn family(address: SocketAddr) -> IpAddressFamily {
    if address.is_ipv4() { IpAddressFamily::Ipv4 } else { IpAddressFamily::Ipv6 }
}

fn tcp(operation: &str, order: &mut Order) {
    let address = order.address();
    let socket = tcp_socket(family(address));
    if operation == "tcp-connect" {
        prepared(0);
        return ended(connect(&socket, address));
    }
    if operation == "tcp-bind" {
        prepared(0);
        return ended(bind(&socket, address));
    }
    created();
    if let Err(error) = bind(&socket, address) {
        return ended(Err::<(), _>(error));
    }
    if operation != "tcp-accept" {
        prepared(local_address(&socket).port());
    }
    match operation {
        "tcp-connect-from" => ended(connect(&socket, order.address())),
        "tcp-listen" => ended(listen(&socket)),
        "tcp-accept" => {
            if let Err(error) = listen(&socket) {
                return ended(Err::<(), _>(error));
            }
            prepared(local_address(&socket).port());
            ended(accept(&socket));
        }
        other => panic!("no operation {other}"),
    }
}

fn udp(operation: &str, order: &mut Order) {
    let local = order.local();
    let remote = (!matches!(operation, "udp-bind" | "udp-receive")).then(|| order.address());
    let like = local.or(remote).unwrap_or_else(|| loopback(IpAddressFamily::Ipv4, 0));
    let socket = udp_socket(family(like));
    if operation == "udp-bind" {
        prepared(0);
        return ended(bind_udp(&socket, local.expect("a local address")));
    }
    created();
    if let Err(error) = bind_udp(&socket, local.unwrap_or_else(|| unspecified(like))) {
        return ended(Err::<(), _>(error));
    }
    let port = from_wit(socket.local_address().expect("a bound socket")).port();
    if operation == "udp-connect" {
        prepared(port);
        return ended(stream(&socket, remote));
    }
    let peer = remote.filter(|_| operation == "udp-send-connected");
    created();
    let streams = match stream(&socket, peer) {
        Ok(streams) => streams,
        error => return ended(error),
    };
    prepared(port);
    match operation {
        "udp-send" => ended(send_one(&streams.outgoing, b"x", remote)),
        "udp-send-connected" => ended(send_one(&streams.outgoing, b"x", None)),
        "udp-receive" => ended(await_datagrams(&streams.incoming, 1)),
        other => panic!("no operation {other}"),
    }
}

/// Waits for all addresses of a name; returns their number.
fn resolve(name: &str) -> Result<usize, ErrorCode> {
    let stream = resolve_addresses(&instance_network(), name)?;
    let pollable = stream.subscribe();
    let mut count = 0;
    loop {
        match stream.resolve_next_address() {
            Ok(Some(_)) => count += 1,
            Ok(None) => return Ok(count),
            Err(ErrorCode::WouldBlock) => pollable.block(),
            Err(error) => return Err(error),
        }
    }
}
