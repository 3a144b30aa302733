//! A peer may be given by name, or have several addresses: the addresses are tried in turn until one answers.

use std::net::{Ipv4Addr, Ipv6Addr};
use std::time::{Duration, Instant};

use xila_network_programs::*;

xila_network::main!(run);

async fn run() {
    for place in [ipv4_loopback(0), ipv6_loopback(0)] {
        // `localhost` also has an address of the other family, on which no socket listens.
        let listener = TcpListener::bind(place).unwrap();
        let port = listener.local_addr().port();
        let text = format!("localhost:{port}");
        for attempt in 0..4 {
            let connect = async {
                let connected = match attempt {
                    0 => TcpStream::connect(text.as_str()).await,
                    1 => TcpStream::connect(&text).await,
                    2 => TcpStream::connect(("localhost", port)).await,
                    _ => TcpStream::connect(("localhost".to_owned(), port)).await,
                };
                // Unwrapped here: otherwise the listener would wait for a connection that has failed.
                connected.unwrap()
            };
            let (client, server) = join(connect, listener.accept()).await;
            let (server, _) = server.unwrap();
            assert_eq!(client.peer_addr(), listener.local_addr());
            assert_eq!(server.peer_addr(), client.local_addr());
        }

        // With a local address, a name is resolved in the family of that address.
        let options = ConnectOptions { local: Some(place), ..ConnectOptions::default() };
        let connect = async { TcpStream::connect_with(&text, &options).await.unwrap() };
        let (client, _server) = join(connect, listener.accept()).await;
        assert_eq!(client.local_addr().ip(), place.ip());

        let closed = unused_port(place);
        let addresses = [closed, listener.local_addr()];
        let connect = async { TcpStream::connect(addresses).await.unwrap() };
        let (client, _server) = join(connect, listener.accept()).await;
        assert_eq!(client.peer_addr(), listener.local_addr());
        let bound = TcpListener::bind([listener.local_addr(), place]).unwrap();
        assert_ne!(bound.local_addr(), listener.local_addr());
    }

    // If no address answers, a refusal is reported in preference to a missing route.
    let closed = unused_port(ipv4_loopback(0));
    let nowhere = SocketAddr::from(([0, 0, 0, 0], 0));
    assert_eq!(TcpStream::connect([closed, nowhere]).await.unwrap_err(), Error::ConnectionRefused);
    assert_eq!(TcpStream::connect(("localhost", closed.port())).await.unwrap_err(), Error::ConnectionRefused);

    // The timeout applies to all attempts together.
    let options = ConnectOptions { timeout: Some(Duration::ZERO), ..ConnectOptions::default() };
    let begin = Instant::now();
    let error = TcpStream::connect_with([closed; 100], &options).await.unwrap_err();
    assert_eq!(error, Error::InvalidArgument);
    assert!(begin.elapsed() < Duration::from_secs(5));

    for text in ["localhost", "localhost:", "localhost:http", "localhost:65536", "::1:80", ""] {
        assert_eq!(TcpStream::connect(text).await.unwrap_err(), Error::InvalidArgument, "{text}");
    }
    assert_eq!(TcpStream::connect("a..b:80").await.unwrap_err(), Error::InvalidName);
    assert_eq!(TcpStream::connect(Vec::new()).await.unwrap_err(), Error::InvalidArgument);
    assert_eq!(TcpListener::bind("localhost:0").unwrap_err(), Error::InvalidArgument);
    assert_eq!(UdpSocket::bind("localhost:0").unwrap_err(), Error::InvalidArgument);
    TcpListener::bind("127.0.0.1:0").unwrap();

    // Datagrams are sent to the name's address of the socket's family.
    let any4 = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).unwrap();
    let any6 = UdpSocket::bind((Ipv6Addr::UNSPECIFIED, 0)).unwrap();
    for (socket, place) in [(any4, ipv4_loopback(0)), (any6, ipv6_loopback(0))] {
        let peer = UdpSocket::bind(place).unwrap();
        let name = ("localhost", peer.local_addr().port());
        socket.send_to(b"one", name).await.unwrap();
        assert_eq!(peer.recv_datagram().await.unwrap().data, b"one");
        socket.connect(name).await.unwrap();
        assert_eq!(socket.peer_addr(), Some(peer.local_addr()));
        socket.send(b"two").await.unwrap();
        assert_eq!(peer.recv_datagram().await.unwrap().data, b"two");
    }
}
