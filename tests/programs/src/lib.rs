//! Code that the test programs share.
//!
//! Each program in `bin/` tests one behaviour of `xila:network` or `wasi:sockets` and panics if the behaviour is wrong,
//! so that its exit status shows the result. The programs run on the loopback interface, or on the local addresses that
//! are given as arguments (`ADDRESS:PORT`).

pub mod http;
pub mod matrix;
pub mod p2;
pub mod p3;
pub mod raw;
pub mod std_net;

pub use futures_util::future::{join, join_all};
use std::future::{Future, poll_fn};
pub use std::net::SocketAddr;
use std::pin::Pin;
use std::task::Poll;
pub use xila_network::*;

/// The addresses to test on: the arguments, or else a free port of the loopback interface in each family.
pub fn places() -> Vec<SocketAddr> {
    let given: Vec<SocketAddr> =
        std::env::args().skip(1).map(|word| word.parse().expect("arguments are ADDRESS:PORT")).collect();
    if given.is_empty() { vec![ipv4_loopback(0), ipv6_loopback(0)] } else { given }
}

/// 127.0.0.1, with a port.
pub fn ipv4_loopback(port: u16) -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], port))
}

/// ::1, with a port.
pub fn ipv6_loopback(port: u16) -> SocketAddr {
    SocketAddr::from(([0, 0, 0, 0, 0, 0, 0, 1], port))
}

/// Makes a connection; returns the connecting end and the accepting end.
pub async fn connected(place: SocketAddr) -> (TcpStream, TcpStream) {
    connected_with(place, &ConnectOptions::default(), &ListenOptions::default()).await
}

/// Makes a connection with options; returns the connecting end and the accepting end.
pub async fn connected_with(
    place: SocketAddr,
    connect: &ConnectOptions,
    listen: &ListenOptions,
) -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind_with(place, listen).expect("a listener");
    let (client, accepted) = join(TcpStream::connect_with(listener.local_addr(), connect), listener.accept()).await;
    let (client, (server, peer)) = (client.expect("a connection"), accepted.expect("an accepted connection"));
    assert_eq!(peer, client.local_addr());
    (client, server)
}

/// Two UDP sockets on the address of a place.
pub fn socket_pair(place: SocketAddr) -> (UdpSocket, UdpSocket) {
    let first = UdpSocket::bind(place).expect("a socket");
    let second = UdpSocket::bind((place.ip(), 0)).expect("another socket");
    (first, second)
}

/// A port of the place that no socket uses: it was just bound and released.
pub fn unused_port(place: SocketAddr) -> SocketAddr {
    TcpListener::bind((place.ip(), 0)).expect("a listener").local_addr()
}

/// Polls a future once.
pub async fn poll_once<F: Future + Unpin>(future: &mut F) -> Poll<F::Output> {
    poll_fn(|cx| Poll::Ready(Pin::new(&mut *future).poll(cx))).await
}

/// Polls a future and lets all other tasks run, `turns` times; if the future is not done by then, drops it.
pub async fn start_and_cancel<F: Future>(future: F, turns: usize) -> Option<F::Output> {
    let mut future = Box::pin(future);
    for _ in 0..turns {
        if let Poll::Ready(output) = poll_once(&mut future).await {
            return Some(output);
        }
        yield_now().await;
    }
    None
}

/// Reads to the end of the stream, but so slowly that the writer has to wait.
pub async fn read_slowly(mut stream: TcpStream) -> Vec<u8> {
    let mut received = Vec::new();
    let mut buffer = vec![0; 10_000];
    loop {
        match stream.read(&mut buffer).await.unwrap() {
            0 => return received,
            length => received.extend_from_slice(&buffer[..length]),
        }
        yield_now().await;
    }
}

/// `length` pseudo-random bytes, which depend on the seed, so that lost, duplicated or reordered bytes are detected.
pub fn pattern(seed: u64, length: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut bytes = Vec::with_capacity(length + 8);
    while bytes.len() < length {
        // Marsaglia's xorshift.
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend_from_slice(&state.to_le_bytes());
    }
    bytes.truncate(length);
    bytes
}

/// Asserts that the bytes are equal, without printing megabytes if they are not.
#[track_caller]
pub fn assert_same(received: &[u8], expected: &[u8]) {
    assert_eq!(received.len(), expected.len(), "length");
    if let Some(place) = received.iter().zip(expected).position(|(a, b)| a != b) {
        panic!("byte {place} of {} is {:#04x}, not {:#04x}", expected.len(), received[place], expected[place]);
    }
}
