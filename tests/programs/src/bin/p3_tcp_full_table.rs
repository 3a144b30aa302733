//! While the guest's table of resources is full, a listener's stream of connections waits. It goes on when there is
//! room, and returns the connection that has waited.
//!
//! The host must limit the resources, and not the sockets to fewer.

use xila_network_programs::p3::*;

xila_network::main!(run);

async fn run() {
    for place in places() {
        let (_listener, mut incoming, address) = listening(place);
        let client = tcp(place);
        client.connect(address).await.unwrap();
        let mut others = Vec::new();
        let full = loop {
            match UdpSocket::create(family(place)) {
                Ok(other) => others.push(other),
                Err(full) => break full,
            }
        };
        assert_eq!(full, ErrorCode::OutOfMemory);
        let mut next = Box::pin(incoming.next());
        for _ in 0..10 {
            assert!(poll_once(&mut next).await.is_pending(), "there is no room for it");
            yield_now().await;
        }
        drop(others.pop());
        let server = next.await.expect("the stream goes on");
        drop(others);
        talks(&client, &server).await;
    }
}
