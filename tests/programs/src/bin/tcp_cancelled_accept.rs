//! An accept that is given up loses no connection, and does no harm to others that wait.

use xila_network_programs::*;

xila_network::main!(run);

async fn run() {
    for place in places() {
        let listener = TcpListener::bind(place).unwrap();
        let address = listener.local_addr();

        assert!(start_and_cancel(listener.accept(), 3).await.is_none(), "nobody has connected");
        let client = TcpStream::connect(address).await.unwrap();
        let (server, peer) = listener.accept().await.unwrap();
        assert_eq!(peer, client.local_addr());
        drop((client, server));

        // Given up at every moment while a connection comes in: it must be there afterwards.
        for turns in 0..20 {
            let (early, client) = join(start_and_cancel(listener.accept(), turns), TcpStream::connect(address)).await;
            let mut client = client.unwrap();
            let (mut server, peer) = match early {
                Some(accepted) => accepted.unwrap(),
                None => listener.accept().await.unwrap(),
            };
            assert_eq!(peer, client.local_addr());
            client.write_all(b"x").await.unwrap();
            server.read_exact(&mut [0; 1]).await.unwrap();
        }

        // Two wait, one gives up, one connection comes: the other has it.
        let (given_up, accepted, client) = {
            let both = join(start_and_cancel(listener.accept(), 1), listener.accept());
            let ((given_up, accepted), client) = join(both, TcpStream::connect(address)).await;
            (given_up, accepted, client)
        };
        assert!(given_up.is_none());
        assert_eq!(accepted.unwrap().1, client.unwrap().local_addr());
    }
}
