//! Takes one kind of resource until the host refuses one, then as many as become free, and keeps them.
//!
//! Argument: the kind.

use std::fmt::Debug;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;

use futures_util::future::poll_immediate;
use xila_network_programs::control::{Access, DeviceFile, watch};
use xila_network_programs::dns::resolve;
use xila_network_programs::matrix::{cause, keep};
use xila_network_programs::*;
use xila_network_programs::{p2, p3};

xila_network::main!(run);

/// The most that any limit of the test allows.
const MOST: usize = 1000;

async fn run() {
    let kind = std::env::args().nth(1).expect("a kind");
    let here: SocketAddr = ([10, 0, 0, 1], 0).into();
    let peer: SocketAddr = ([10, 0, 0, 2], 80).into();
    let large = UdpOptions { receive_buffer: Some(64 << 10), ..UdpOptions::default() };
    match kind.as_str() {
        "xila-listeners" => exhaust(async || TcpListener::bind(here)).await,
        "xila-connections" | "xila-connection-bytes" => exhaust(async || TcpStream::connect(peer).await).await,
        "xila-udp" => exhaust(async || UdpSocket::bind(here)).await,
        "xila-udp-bytes" => exhaust(async || UdpSocket::bind_with(here, &large)).await,
        "xila-icmp" => exhaust(async || IcmpSocket::bind(Family::V4, IcmpBinding::Echo(0))).await,
        "xila-files" => exhaust(async || DeviceFile::open("/devices/network/eth0", Access::READ)).await,
        "xila-watches" => exhaust(async || watch()).await,
        "xila-queries" => exhaust(async || started(resolve("a.silent."))).await,
        "xila-send-bytes" => {
            let small = UdpOptions { receive_buffer: Some(1), ..UdpOptions::default() };
            let socket = Rc::new(UdpSocket::bind_with(here, &small).expect("a socket"));
            let send = || {
                let socket = socket.clone();
                async move { socket.send_to(&[7; 60_000], peer).await }
            };
            use_up_the_rate(send).await;
            exhaust(async || started(send())).await;
        }
        "p2-tcp" => exhaust(async || p2::create_tcp_socket(p2::IpAddressFamily::Ipv4)).await,
        "p2-udp" => exhaust(async || p2::create_udp_socket(p2::IpAddressFamily::Ipv4)).await,
        "p2-udp-bytes" => {
            exhaust(async || {
                let socket = p2::create_udp_socket(p2::IpAddressFamily::Ipv4)?;
                socket.set_receive_buffer_size(64 << 10)?;
                p2::bind_udp(&socket, here).map(|()| socket)
            })
            .await;
        }
        "p2-connections" => {
            exhaust(async || {
                let socket = p2::create_tcp_socket(p2::IpAddressFamily::Ipv4)?;
                p2::connect(&socket, peer).map(|streams| (streams, socket))
            })
            .await;
        }
        "p2-queries" => {
            let network = p2::instance_network();
            exhaust(async || p2::resolve_addresses(&network, "a.silent.")).await;
        }
        "p3-tcp" => exhaust(async || p3::TcpSocket::create(p3::IpAddressFamily::Ipv4)).await,
        "p3-udp" => exhaust(async || p3::UdpSocket::create(p3::IpAddressFamily::Ipv4)).await,
        "p3-connections" => {
            exhaust(async || {
                let socket = p3::TcpSocket::create(p3::IpAddressFamily::Ipv4)?;
                socket.connect(p3::wit(peer)).await.map(|()| socket)
            })
            .await;
        }
        "p3-send-bytes" => {
            let socket = p3::udp(here);
            socket.set_receive_buffer_size(1).expect("an unbound socket");
            let socket = Rc::new(socket);
            let send = || {
                let socket = socket.clone();
                async move { socket.send(vec![7; 60_000], Some(p3::wit(peer))).await }
            };
            use_up_the_rate(send).await;
            exhaust(async || started(send())).await;
        }
        "p3-queries" => {
            let query = || p3::ip_name_lookup::resolve_addresses("a.silent.".to_owned());
            exhaust(async || started(query())).await;
        }
        other => panic!("no kind {other}"),
    }
}

/// Sends until a send must wait.
async fn use_up_the_rate<T, E: Debug, F: Future<Output = Result<T, E>>>(send: impl Fn() -> F) {
    while let Some(sent) = poll_immediate(Box::pin(send())).await {
        sent.expect("it is sent");
    }
}

type Query<T> = Pin<Box<dyn Future<Output = T>>>;

/// Starts a query that nobody answers, or a send that waits; the error if the host refuses it at once.
fn started<T, E>(query: impl Future<Output = Result<T, E>> + 'static) -> Result<Query<Result<T, E>>, E> {
    let mut query: Query<Result<T, E>> = Box::pin(query);
    match futures_util::FutureExt::now_or_never(poll_immediate(&mut query)).flatten() {
        None => Ok(query),
        Some(Err(error)) => Err(error),
        Some(Ok(_)) => panic!("it does not wait"),
    }
}

async fn exhaust<T, E: Debug>(take: impl AsyncFn() -> Result<T, E>) {
    let mut held = Vec::new();
    let refused = loop {
        match take().await {
            Ok(one) => held.push(one),
            Err(error) => break cause(&error),
        }
        assert!(held.len() <= MOST, "there is no limit");
    };
    let full = held.len();
    for round in 0..3 {
        let again = take().await.map(drop).expect_err("it was refused before");
        assert_eq!(cause(&again), refused);
        drop(held.pop());
        held.push(take().await.unwrap_or_else(|error| panic!("round {round}: one is free: {error:?}")));
    }
    assert_eq!(held.len(), full);
    keep(&format!("refused {refused} after {full}"));
}
