//! Abandons the future or stream of every operation that waits, after each number of turns that it may take, and then
//! does all of it to the end.
//!
//! Argument: the surface, `xila` or `p3`. The peer is 10.0.0.2, and has all names below `fleeting`, which nobody keeps
//! in a cache. 10.0.0.9 does not exist.

use std::future::{Future, IntoFuture};
use std::net::IpAddr;

use xila_network_programs::control::watch;
use xila_network_programs::dns::{RecordType, ask, lookup, resolve, reverse};
use xila_network_programs::matrix::keep;
use xila_network_programs::p3;
use xila_network_programs::*;

xila_network::main!(run);

/// The numbers of turns after which the operations are abandoned. A turn takes about a tenth of a millisecond.
const TURNS: [usize; 12] = [0, 1, 2, 3, 5, 8, 13, 21, 34, 55, 89, 144];

const PEER: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(10, 0, 0, 2));
const NOBODY: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(10, 0, 0, 9));

async fn run() {
    let surface = std::env::args().nth(1).expect("a surface");
    for (round, turns) in TURNS.into_iter().enumerate() {
        match surface.as_str() {
            "xila" => xila(round, turns).await,
            "p3" => wasi(round, turns).await,
            other => panic!("no surface {other}"),
        }
    }
    match surface.as_str() {
        "xila" => xila_works().await,
        _ => wasi_works().await,
    }
    keep("over");
}

/// Polls a future and lets all other tasks run, `turns` times at most, and drops it and its result.
async fn abandon<F: Future>(future: F, turns: usize) {
    let _result = start_and_cancel(future, turns).await;
}

async fn xila(round: usize, turns: usize) {
    let web = SocketAddr::new(PEER, 80);
    abandon(TcpStream::connect(web), turns).await;
    abandon(TcpStream::connect(SocketAddr::new(NOBODY, 80)), turns).await;
    abandon(TcpStream::connect(format!("connect-{round}.fleeting:80")), turns).await;

    let listener = TcpListener::bind("10.0.0.1:0").expect("a listener");
    let here = listener.local_addr();
    join(abandon(listener.accept(), turns), abandon(TcpStream::connect(here), turns)).await;
    let mut incoming = listener.incoming();
    join(abandon(incoming.next(), turns), abandon(TcpStream::connect(here), turns)).await;
    drop((incoming, listener));

    let mut stream = TcpStream::connect(web).await.expect("a connection");
    abandon(stream.read(&mut [0; 100]), turns).await;
    abandon(stream.write_all(&pattern(1, 300_000)), turns).await;
    abandon(stream.acknowledged(), turns).await;
    abandon(stream.shutdown(), turns).await;
    let (mut read, mut write) = stream.into_split();
    join(abandon(read.read(&mut [0; 1]), turns), abandon(write.shutdown(), turns)).await;
    drop((read, write));

    let socket = UdpSocket::bind("10.0.0.1:0").expect("a socket");
    abandon(socket.send_to(b"x", SocketAddr::new(NOBODY, 7)), turns).await;
    abandon(socket.send_to(&pattern(2, 20_000), SocketAddr::new(PEER, 7)), turns).await;
    let datagram = || OutgoingDatagram { data: vec![0; 1000], remote: Some(SocketAddr::new(NOBODY, 7)) };
    abandon(socket.send_many((0..50).map(|_| datagram()).collect()), turns).await;
    abandon(socket.recv_datagram(), turns).await;
    abandon(socket.recv_many(10), turns).await;
    drop(socket);

    for name in [format!("resolve-{round}.fleeting"), "resolve.silent".to_owned()] {
        abandon(resolve(&name), turns).await;
        abandon(lookup(&name, RecordType::MX), turns).await;
        abandon(ask(Some(PEER), &name, RecordType::A), turns).await;
    }
    abandon(ask(Some(NOBODY), "ask.fleeting", RecordType::A), turns).await;
    abandon(reverse(PEER), turns).await;

    abandon(ping(PEER), turns).await;
    abandon(ping(NOBODY), turns).await;
    let socket = IcmpSocket::bind(Family::V4, IcmpBinding::Echo(0)).expect("a socket");
    abandon(socket.send_to(NOBODY, 1, b"x"), turns).await;
    abandon(socket.recv(), turns).await;

    let mut watch = watch().expect("a watch");
    abandon(watch.next(), turns).await;
}

async fn xila_works() {
    let mut stream = TcpStream::connect((PEER, 80)).await.expect("a connection");
    stream.write_all(&pattern(3, 100_000)).await.expect("the peer reads");
    stream.shutdown().await.expect("the peer reads to the end");
    assert_eq!(stream.read(&mut [0; 1]).await, Ok(0), "the peer closes");
    drop(stream);
    let socket = UdpSocket::bind("10.0.0.1:0").expect("a socket");
    socket.send_to(b"x", (PEER, 7)).await.expect("sent");
    assert_eq!(resolve("works.fleeting").await, Ok(vec![PEER]));
    ping(PEER).await.expect("the peer answers");
    watch().expect("a watch");
}

async fn wasi(round: usize, turns: usize) {
    let place: SocketAddr = ([10, 0, 0, 1], 0).into();
    let web = p3::wit(SocketAddr::new(PEER, 80));
    for remote in [web, p3::wit(SocketAddr::new(NOBODY, 80))] {
        abandon(p3::tcp(place).connect(remote), turns).await;
    }
    let (listener, mut incoming, here) = p3::listening(place);
    let client = p3::tcp(place);
    join(abandon(incoming.next(), turns), abandon(client.connect(here), turns)).await;
    drop((listener, incoming, client));

    let socket = p3::tcp(place);
    socket.connect(web).await.expect("a connection");
    let (mut writer, sent) = p3::sending(&socket);
    let (mut received, end) = socket.receive();
    abandon(received.next(), turns).await;
    abandon(writer.write_all(pattern(1, 300_000)), turns).await;
    drop(writer);
    abandon(sent.into_future(), turns).await;
    abandon(end.into_future(), turns).await;
    drop((received, socket));

    let (socket, _) = p3::bound_udp(place);
    for (host, length) in [(NOBODY, 1), (PEER, 20_000)] {
        let remote = p3::wit(SocketAddr::new(host, 7));
        abandon(socket.send(pattern(2, length), Some(remote)), turns).await;
    }
    abandon(socket.receive(), turns).await;

    for name in [format!("wasi-{round}.fleeting"), "resolve.silent".to_owned()] {
        abandon(p3::ip_name_lookup::resolve_addresses(name), turns).await;
    }
}

async fn wasi_works() {
    let place: SocketAddr = ([10, 0, 0, 1], 0).into();
    let socket = p3::tcp(place);
    socket.connect(p3::wit(SocketAddr::new(PEER, 80))).await.expect("a connection");
    p3::send_all(&socket, pattern(3, 100_000)).await.expect("the peer reads");
    assert_eq!(p3::receive_all(&socket).await, (Vec::new(), Ok(())), "the peer closes");
    let (socket, _) = p3::bound_udp(place);
    socket.send(b"x".to_vec(), Some(p3::wit(SocketAddr::new(PEER, 7)))).await.expect("sent");
    p3::ip_name_lookup::resolve_addresses("works.fleeting".to_owned()).await.expect("resolved");
}
