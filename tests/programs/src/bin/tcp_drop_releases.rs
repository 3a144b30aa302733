//! Sockets that are dropped make room for others: many thousands are made in turn, on few ports.

use xila_network_programs::*;

xila_network::main!(run);

async fn run() {
    for place in places() {
        let listener = TcpListener::bind(place).unwrap();
        let address = listener.local_addr();
        for number in 0..1000u32 {
            let (client, accepted) = join(TcpStream::connect(address), listener.accept()).await;
            let (mut client, (mut server, _)) = (client.unwrap(), accepted.unwrap());
            match number % 4 {
                0 => drop((client, server)),
                1 => client.abort(),
                2 => {
                    client.write_all(b"unread").await.unwrap();
                    drop(server);
                }
                _ => {
                    client.shutdown().await.unwrap();
                    assert_eq!(server.read(&mut [0; 1]).await.unwrap(), 0);
                }
            }
        }
        drop(listener);

        // One port is bound again and again, after its previous socket was dropped.
        for _ in 0..1000 {
            drop(TcpListener::bind(address).unwrap());
            drop(UdpSocket::bind(address).unwrap());
        }
        // A connection attempt that is cancelled releases its port.
        let listener = TcpListener::bind(address).unwrap();
        for turns in 0..200 {
            drop(start_and_cancel(TcpStream::connect(address), turns % 4).await);
        }
        drop(listener);
    }
}
