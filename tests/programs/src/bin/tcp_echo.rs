//! Each end reads the bytes that the other end writes, in both directions; the addresses of both ends agree.

use xila_network_programs::*;

xila_network::main!(run);

async fn run() {
    for place in places() {
        let (mut client, mut server) = connected(place).await;
        assert_eq!(client.peer_addr(), server.local_addr());
        assert_eq!(client.local_addr(), server.peer_addr());
        assert_eq!(client.state(), TcpState::Established);
        assert!(!client.interface().is_empty());

        let message = b"to the server";
        client.write_all(message).await.unwrap();
        let mut buffer = [0; 64];
        let length = message.len();
        server.read_exact(&mut buffer[..length]).await.unwrap();
        assert_eq!(&buffer[..length], message);

        server.write_all(b"and back").await.unwrap();
        client.read_exact(&mut buffer[..8]).await.unwrap();
        assert_eq!(&buffer[..8], b"and back");

        assert_eq!(client.statistics().bytes_sent, length as u64);
        assert_eq!(client.statistics().bytes_received, 8);
    }
}
