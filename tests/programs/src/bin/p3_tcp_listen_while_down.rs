//! A listener waits while its network is down, and works when the network is up again.
//!
//! The loopback is down when this program starts. The host must set it up when there is a UDP socket, and then connect
//! to port 7.

use xila_network_programs::p3::*;

xila_network::main!(run);

async fn run() {
    let place: SocketAddr = "127.0.0.1:7".parse().expect("an address");
    let (_listener, mut incoming, _) = listening(place);
    let mut next = Box::pin(incoming.next());
    assert!(poll_once(&mut next).await.is_pending(), "the stream has ended");
    let _sign = bound_udp(place);
    let server = next.await.expect("the stream goes on");
    assert_eq!(receive_all(&server).await, (b"up".to_vec(), Ok(())));
}
