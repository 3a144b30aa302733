//! Published ports, from the host's loopback to apps on a loopback of their own.

use std::sync::{Arc, OnceLock};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::*;
use crate::gateway::{Gateway, GatewayOptions};
use crate::manager::Manager;
use crate::platform::tokio::platform;
use crate::socket::{ListenOptions, TcpListener, UdpSocket};

fn end(text: &str) -> SocketAddr {
    text.parse().expect("an end")
}

/// Publishes port 80 of a manager's loopback. Returns the host's end.
async fn published(manager: &Manager, targets: &[&str], proxy_protocol: Option<ProxyProtocol>) -> SocketAddr {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let at = listener.local_addr().expect("an address");
    let targets = targets.iter().map(|target| end(target)).collect::<Vec<_>>().into();
    tokio::spawn(TcpPublication { listener, network: manager.network(), targets, proxy_protocol }.run());
    at
}

#[tokio::test]
async fn a_connection_to_a_published_port_reaches_the_app() {
    let manager = Manager::new(platform());
    let app = TcpListener::bind(&manager.network(), end("127.0.0.1:80"), ListenOptions::default()).expect("a listener");
    // The app does not listen at the first address.
    let at = published(&manager, &["127.0.0.1:79", "127.0.0.1:80"], None).await;
    let serving = tokio::spawn(async move {
        let (stream, _) = app.accept().await.expect("a connection");
        let mut buffer = [0; 64];
        let count = stream.read(&mut buffer).await.expect("data");
        stream.write_all(&buffer[..count]).await.expect("room");
        assert_eq!(stream.read(&mut buffer).await, Ok(0), "the peer has ended its half");
        stream.write_all(b" there").await.expect("room");
    });
    let mut peer = tokio::net::TcpStream::connect(at).await.expect("a connection");
    peer.write_all(b"hello").await.expect("room");
    peer.shutdown().await.expect("a half to end");
    let mut received = String::new();
    peer.read_to_string(&mut received).await.expect("an answer");
    assert_eq!(received, "hello there");
    serving.await.expect("the app");
}

#[tokio::test]
async fn a_peer_is_reset_where_no_app_listens() {
    let manager = Manager::new(platform());
    let at = published(&manager, &["127.0.0.1:80"], None).await;
    let mut peer = tokio::net::TcpStream::connect(at).await.expect("the host accepts");
    let error = peer.read(&mut [0; 8]).await.expect_err("a reset");
    assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
}

#[tokio::test]
async fn the_app_is_told_the_peer_s_address() {
    let manager = Manager::new(platform());
    let app = TcpListener::bind(&manager.network(), end("0.0.0.0:80"), ListenOptions::default()).expect("a listener");
    let at = published(&manager, &["127.0.0.1:80"], Some(ProxyProtocol::V1)).await;
    let mut peer = tokio::net::TcpStream::connect(at).await.expect("a connection");
    peer.write_all(b"data").await.expect("room");
    let (stream, _) = app.accept().await.expect("a connection");
    let from = peer.local_addr().expect("an address");
    let expected = format!("PROXY TCP4 127.0.0.1 127.0.0.1 {} {}\r\ndata", from.port(), at.port());
    let (mut received, mut buffer) = (Vec::new(), [0; 128]);
    while received.len() < expected.len() {
        let count = stream.read(&mut buffer).await.expect("data");
        received.extend_from_slice(&buffer[..count]);
    }
    assert_eq!(String::from_utf8_lossy(&received), expected);
}

#[tokio::test]
async fn datagrams_of_several_peers_reach_the_app_and_its_answers_each_of_them() {
    let manager = Manager::new(platform());
    let app = UdpSocket::bind(&manager.network(), end("127.0.0.1:53")).expect("a socket");
    let socket = tokio::net::UdpSocket::bind("127.0.0.1:0").await.expect("a port");
    let at = socket.local_addr().expect("an address");
    // The app does not receive at the first address.
    let targets = vec![end("[::1]:53"), end("127.0.0.1:53")].into();
    tokio::spawn(UdpPublication { socket, network: manager.network(), targets }.run());
    let echo = tokio::spawn(async move {
        let mut buffer = [0; 64];
        for _ in 0..4 {
            let (count, from) = app.recv_from(&mut buffer).await.expect("a datagram");
            app.send_to(&buffer[..count], from).await.expect("sent");
        }
    });
    let peers = [tokio::net::UdpSocket::bind("127.0.0.1:0").await, tokio::net::UdpSocket::bind("127.0.0.1:0").await];
    for round in 0..2 {
        for (number, peer) in peers.iter().enumerate() {
            let peer = peer.as_ref().expect("a socket");
            let text = format!("{number} in round {round}");
            peer.send_to(text.as_bytes(), at).await.expect("sent");
            let mut buffer = [0; 64];
            let (count, from) = peer.recv_from(&mut buffer).await.expect("the answer");
            assert_eq!((from, &buffer[..count]), (at, text.as_bytes()));
        }
    }
    echo.await.expect("the app");
}

#[tokio::test]
async fn datagrams_to_an_app_on_a_gateway_are_answered() {
    let gateway = Gateway::new(&platform(), GatewayOptions::default()).expect("a gateway");
    let apps = Manager::new(platform());
    let configuration = gateway.configuration(0).expect("an address");
    apps.mount_interface("eth0", gateway.port(), configuration).expect("an interface");
    let app = UdpSocket::bind(&apps.network(), end("0.0.0.0:53")).expect("a socket");
    let socket = tokio::net::UdpSocket::bind("127.0.0.1:0").await.expect("a port");
    let at = socket.local_addr().expect("an address");
    let targets = vec![end("10.0.2.15:53")].into();
    tokio::spawn(UdpPublication { socket, network: gateway.network(), targets }.run());
    let peer = tokio::net::UdpSocket::bind("127.0.0.1:0").await.expect("a socket");
    peer.send_to(b"question", at).await.expect("sent");
    let mut buffer = [0; 64];
    let (count, from) = app.recv_from(&mut buffer).await.expect("the question");
    assert_eq!((&buffer[..count], from.ip()), (&b"question"[..], gateway.router().v4.address()));
    app.send_to(b"answer", from).await.expect("sent");
    let count = peer.recv(&mut buffer).await.expect("the answer");
    assert_eq!(&buffer[..count], b"answer");
}

/// An app that answers each datagram with the same one, until the task is aborted.
fn echo(manager: &Manager) -> tokio::task::JoinHandle<()> {
    let app = UdpSocket::bind(&manager.network(), end("127.0.0.1:53")).expect("a socket");
    tokio::spawn(async move {
        let mut buffer = [0; 64];
        loop {
            let (count, from) = app.recv_from(&mut buffer).await.expect("a datagram");
            app.send_to(&buffer[..count], from).await.expect("sent");
        }
    })
}

#[tokio::test]
async fn an_answer_comes_from_the_address_that_was_asked() {
    let manager = Manager::new(platform());
    let echo = echo(&manager);
    for (all, own, asked) in [
        ("0.0.0.0:0", "127.0.0.1:0", "127.0.0.2"),
        ("[::]:0", "127.0.0.1:0", "127.0.0.3"),
        ("[::]:0", "[::1]:0", "::1"),
    ] {
        let socket = tokio::net::UdpSocket::bind(all).await.expect("a port");
        let port = socket.local_addr().expect("an address").port();
        let targets = vec![end("127.0.0.1:53")].into();
        let publication = tokio::spawn(UdpPublication { socket, network: manager.network(), targets }.run());
        let peer = tokio::net::UdpSocket::bind(own).await.expect("a socket");
        // A connected socket takes answers from there alone.
        peer.connect((asked, port)).await.expect("an address");
        for text in [&b"first"[..], b"second"] {
            peer.send(text).await.expect("sent");
            let mut buffer = [0; 64];
            let count = peer.recv(&mut buffer).await.expect("the answer");
            assert_eq!(&buffer[..count], text, "{all} asked at {asked}");
        }
        publication.abort();
    }
    echo.abort();
}

/// Each query of a resolver comes from a port of its own, so peers are many and forgotten soon.
#[tokio::test]
async fn more_peers_than_can_be_known_are_answered_nevertheless() {
    let manager = Manager::new(platform());
    let echo = echo(&manager);
    let socket = tokio::net::UdpSocket::bind("127.0.0.1:0").await.expect("a port");
    let at = socket.local_addr().expect("an address");
    let targets = vec![end("127.0.0.1:53")].into();
    tokio::spawn(UdpPublication { socket, network: manager.network(), targets }.run());
    for number in 0..5000_u32 {
        let peer = tokio::net::UdpSocket::bind("127.0.0.1:0").await.expect("a socket");
        peer.send_to(&number.to_be_bytes(), at).await.expect("sent");
        let mut buffer = [0; 64];
        let count = peer.recv(&mut buffer).await.expect("the answer");
        assert_eq!(buffer[..count], number.to_be_bytes());
    }
    echo.abort();
}

/// An app that gets its address later.
fn later(manager: &Manager) -> (Network, Targets, Arc<OnceLock<SocketAddr>>) {
    let place = Arc::new(OnceLock::new());
    let known = place.clone();
    (manager.network(), Targets::from_fn(move || known.get().copied().into_iter().collect()), place)
}

#[tokio::test]
async fn each_connection_goes_where_the_app_is_by_then() {
    let manager = Manager::new(platform());
    let (network, targets, place) = later(&manager);
    let app = TcpListener::bind(&network, end("127.0.0.1:80"), ListenOptions::default()).expect("a listener");
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let at = listener.local_addr().expect("an address");
    tokio::spawn(TcpPublication { listener, network, targets, proxy_protocol: None }.run());
    let mut early = tokio::net::TcpStream::connect(at).await.expect("the host accepts");
    let error = early.read(&mut [0; 8]).await.expect_err("a reset");
    assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
    place.set(end("127.0.0.1:80")).expect("it is set once");
    let mut peer = tokio::net::TcpStream::connect(at).await.expect("a connection");
    let (stream, _) = app.accept().await.expect("a connection");
    stream.write_all(b"here").await.expect("room");
    let mut received = [0; 4];
    peer.read_exact(&mut received).await.expect("data");
    assert_eq!(&received, b"here");
}

#[tokio::test]
async fn each_datagram_goes_where_the_app_is_by_then_also_one_of_a_known_peer() {
    let manager = Manager::new(platform());
    let (network, targets, place) = later(&manager);
    let app = UdpSocket::bind(&network, end("127.0.0.1:53")).expect("a socket");
    let socket = tokio::net::UdpSocket::bind("127.0.0.1:0").await.expect("a port");
    let at = socket.local_addr().expect("an address");
    tokio::spawn(UdpPublication { socket, network, targets }.run());
    let [peer, other] = [(); 2].map(|()| std::net::UdpSocket::bind("127.0.0.1:0").expect("a socket"));
    peer.send_to(b"early", at).expect("sent");
    place.set(end("127.0.0.1:53")).expect("it is set once");
    let mut buffer = [0; 64];
    let mut heard = Vec::new();
    for (sender, text) in [(&peer, "now"), (&other, "too")] {
        sender.send_to(text.as_bytes(), at).expect("sent");
        // Whether the early one was carried before the app had its address is left to chance.
        while heard.last().map(String::as_str) != Some(text) {
            let (count, _) = app.recv_from(&mut buffer).await.expect("a datagram");
            heard.push(String::from_utf8_lossy(&buffer[..count]).into_owned());
        }
    }
}
