//! While the guest's table of resources is full, `accept` fails and the stream of connections waits. The connection
//! stays in the backlog, and is returned when there is room.
//!
//! The host must limit the resources, and not the sockets to fewer.

use futures_util::FutureExt;
use xila_network_programs::*;

xila_network::main!(run);

async fn run() {
    for place in places() {
        let listener = TcpListener::bind(place).unwrap();
        let mut first = TcpStream::connect(listener.local_addr()).await.unwrap();
        let mut second = TcpStream::connect(listener.local_addr()).await.unwrap();
        let mut others = Vec::new();
        let full = loop {
            match UdpSocket::bind((place.ip(), 0)) {
                Ok(other) => others.push(other),
                Err(full) => break full,
            }
        };
        assert_eq!(full, Error::LimitReached);
        for _ in 0..3 {
            assert_eq!(listener.accept().await.unwrap_err(), Error::LimitReached);
        }
        let mut incoming = listener.incoming();
        {
            let mut next = Box::pin(incoming.next());
            assert!(next.as_mut().now_or_never().is_none(), "there is no room for it");
            drop(others.pop());
            expect(next.await.expect("the stream goes on").unwrap(), &mut first).await;
        }
        drop((incoming, others));
        expect(listener.accept().await.unwrap().0, &mut second).await;
    }
}

/// Checks that these are the two ends of one connection.
async fn expect(mut server: TcpStream, client: &mut TcpStream) {
    assert_eq!(server.peer_addr(), client.local_addr());
    client.write_all(b"late").await.unwrap();
    let mut word = [0; 4];
    server.read_exact(&mut word).await.unwrap();
    assert_eq!(&word, b"late");
}
