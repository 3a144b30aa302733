//! Makes resources that depend on each other, and drops them in random orders: parents before children, streams before
//! and after their sockets.
//!
//! Argument: the surface, and `pollables` for handles whose parents must outlive them.

use std::any::Any;

use xila_network_programs::control::{Access, DeviceFile, Interface, watch};
use xila_network_programs::matrix::keep;
use xila_network_programs::*;
use xila_network_programs::{p2, p3};

xila_network::main!(run);

const ORDERS: u64 = 100;

async fn run() {
    let surface = std::env::args().nth(1).expect("a surface");
    if surface == "pollables" {
        parent_before_child();
    }
    for seed in 1..=ORDERS {
        let mut resources = match surface.as_str() {
            "xila" => xila().await,
            "p2" => wasi_2(),
            "p3" => wasi_3().await,
            other => panic!("no surface {other}"),
        };
        shuffle(&mut resources, seed);
        for resource in resources {
            drop(resource);
            yield_now().await;
        }
    }
    keep("over");
}

type Resources = Vec<Box<dyn Any>>;

/// Permutes the resources by numbers that are derived from a seed (Marsaglia's xorshift).
fn shuffle(resources: &mut Resources, seed: u64) {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    for last in (1..resources.len()).rev() {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        resources.swap(last, (state % (last as u64 + 1)) as usize);
    }
}

async fn xila() -> Resources {
    let listener = TcpListener::bind(ipv4_loopback(0)).expect("a listener");
    let (client, server) = join(TcpStream::connect(listener.local_addr()), listener.accept()).await;
    let (mut read, mut write) = client.expect("a connection").into_split();
    let mut server = server.expect("a connection").0;
    write.write_all(b"to be read").await.expect("written");
    server.write_all(b"not to be read").await.expect("written");
    read.read(&mut [0; 1]).await.expect("read");
    let waiting = TcpStream::connect(listener.local_addr()).await.expect("a connection in the backlog");
    let incoming = listener.incoming();
    let (one, other) = socket_pair(ipv4_loopback(0));
    one.send_to(b"not to be read", other.local_addr()).await.expect("sent");
    let echo = IcmpSocket::bind(Family::V4, IcmpBinding::Echo(0)).expect("a socket");
    vec![
        Box::new(listener),
        Box::new(incoming),
        Box::new(waiting),
        Box::new(read),
        Box::new(write),
        Box::new(server),
        Box::new(one),
        Box::new(other),
        Box::new(echo),
        Box::new(watch().expect("a watch")),
        Box::new(Interface::open("lo").expect("lo")),
        Box::new(DeviceFile::of_interface("lo", Access::READ).expect("lo")),
    ]
}

fn wasi_2() -> Resources {
    let family = p2::IpAddressFamily::Ipv4;
    let (listener, local) = p2::listener(family);
    let client = p2::client(local);
    let server = p2::accept(&listener).expect("a connection");
    let waiting = p2::client(local);
    p2::write_all(&client.output, b"not to be read");
    let (socket, here) = p2::bound_udp(family);
    let streams = p2::stream(&socket, None).expect("streams");
    p2::send_one(&streams.outgoing, b"not to be read", Some(here)).expect("sent");
    let connecting = p2::tcp_socket(family);
    connecting.start_connect(&p2::instance_network(), p2::to_wit(local)).expect("a start");
    let query = p2::resolve_addresses(&p2::instance_network(), "localhost").expect("a query");
    vec![
        Box::new(listener),
        Box::new(client.input),
        Box::new(client.output),
        Box::new(client.socket),
        Box::new(server.socket),
        Box::new(server.output),
        Box::new(server.input),
        Box::new(waiting),
        Box::new(socket),
        Box::new(streams.incoming),
        Box::new(streams.outgoing),
        Box::new(connecting),
        Box::new(query),
        Box::new(p2::instance_network()),
    ]
}

async fn wasi_3() -> Resources {
    let place = ipv4_loopback(0);
    let (listener, mut incoming, address) = p3::listening(place);
    let (client, server) = p3::connect_through(&mut incoming, place, address).await;
    let waiting = p3::tcp(place);
    waiting.connect(address).await.expect("a connection in the backlog");
    let (mut writer, sent) = p3::sending(&client);
    let (received, end) = server.receive();
    let (idle, unsent) = p3::sending(&server);
    assert!(writer.write_all(b"not to be read".to_vec()).await.is_empty());
    let (socket, here) = p3::bound_udp(place);
    socket.send(b"not to be read".to_vec(), Some(here)).await.expect("sent");
    vec![
        Box::new(listener),
        Box::new(incoming),
        Box::new(client),
        Box::new(server),
        Box::new(waiting),
        Box::new(writer),
        Box::new(sent),
        Box::new(received),
        Box::new(end),
        Box::new(idle),
        Box::new(unsent),
        Box::new(socket),
    ]
}

/// A pollable of 0.2 is a child of what it was made of, which must not be dropped first: the host ends the program.
fn parent_before_child() -> ! {
    let (listener, _) = p2::listener(p2::IpAddressFamily::Ipv4);
    let child = listener.subscribe();
    println!("parent first");
    drop(listener);
    drop(child);
    panic!("the parent was dropped before its child");
}
