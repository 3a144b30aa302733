//! One operation of `wasi:sockets` 0.3, for the matrix of policies: see `matrix`.

use xila_network_programs::matrix::{Order, created, ended, prepared, resolved, unspecified};
use xila_network_programs::p3::ip_name_lookup::resolve_addresses;
use xila_network_programs::p3::*;

xila_network::main!(run);

async fn run() {
    let mut order = Order::from_arguments();
    if let Some(name) = order.name_before() {
        resolve_addresses(name).await.expect("the name is resolved");
        resolved();
    }
    let operation = order.word();
    match operation.split_once('-').map_or(operation.as_str(), |(protocol, _)| protocol) {
        "tcp" => tcp_operation(&operation, &mut order).await,
        "udp" => udp_operation(&operation, &mut order).await,
        "resolve" => ended(resolve_addresses(order.word()).await),
        _ => panic!("no operation {operation}"),
    }
}

async fn tcp_operation(operation: &str, order: &mut Order) {
    let Some(address) = order.local() else { return listen_unbound(operation) };
    let socket = tcp(address);
    if operation == "tcp-connect" {
        prepared(0);
        return ended(socket.connect(wit(address)).await);
    }
    if operation == "tcp-bind" {
        prepared(0);
        return ended(socket.bind(wit(address)));
    }
    created();
    if let Err(error) = socket.bind(wit(address)) {
        return ended(Err::<(), _>(error));
    }
    if operation != "tcp-accept" {
        prepared(std(socket.get_local_address().expect("a bound socket")).port());
    }
    match operation {
        "tcp-connect-from" => ended(socket.connect(wit(order.address())).await),
        "tcp-listen" => ended(socket.listen()),
        "tcp-accept" => match socket.listen() {
            Ok(mut incoming) => {
                prepared(std(socket.get_local_address().expect("a listener")).port());
                ended(incoming.next().await.ok_or("the stream has ended"));
            }
            Err(error) => ended(Err::<(), _>(error)),
        },
        other => panic!("no operation {other}"),
    }
}

fn listen_unbound(operation: &str) {
    assert_eq!(operation, "tcp-listen", "only listening binds implicitly");
    let socket = tcp(SocketAddr::from(([127, 0, 0, 1], 0)));
    prepared(0);
    let listening = socket.listen();
    assert_eq!(socket.get_local_address().is_ok(), listening.is_ok(), "it is bound only if it listens");
    ended(listening);
}

async fn udp_operation(operation: &str, order: &mut Order) {
    let local = order.local();
    let remote = (!matches!(operation, "udp-bind" | "udp-receive")).then(|| order.address());
    let like = local.or(remote).unwrap_or_else(|| SocketAddr::from(([127, 0, 0, 1], 0)));
    let socket = udp(like);
    if operation == "udp-bind" {
        prepared(0);
        return ended(socket.bind(wit(local.expect("a local address"))));
    }
    // Only a socket that receives must be bound: sending and connecting bind implicitly.
    let bound = local.or((operation == "udp-receive").then(|| unspecified(like)));
    created();
    if let Some(Err(error)) = bound.map(|local| socket.bind(wit(local))) {
        return ended(Err::<(), _>(error));
    }
    created();
    if operation == "udp-send-connected"
        && let Err(error) = socket.connect(wit(remote.expect("a remote")))
    {
        return ended(Err::<(), _>(error));
    }
    prepared(socket.get_local_address().map_or(0, |local| std(local).port()));
    match (operation, remote) {
        ("udp-send", Some(remote)) => ended(socket.send(b"x".to_vec(), Some(wit(remote))).await),
        ("udp-send-connected", Some(_)) => ended(socket.send(b"x".to_vec(), None).await),
        ("udp-connect", Some(remote)) => ended(socket.connect(wit(remote))),
        ("udp-receive", None) => ended(socket.receive().await),
        (other, _) => panic!("no operation {other}"),
    }
}
