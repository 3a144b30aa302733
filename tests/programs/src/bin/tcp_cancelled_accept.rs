//! An accept that is cancelled loses no connection, and does not affect other accepts.

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

        // The accept is cancelled at every moment while a connection arrives: the connection must be available
        // afterwards.
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

        // Two accepts wait, one is cancelled, and the other gets the connection that arrives.
        let (given_up, accepted, client) = {
            let both = join(start_and_cancel(listener.accept(), 1), listener.accept());
            let ((given_up, accepted), client) = join(both, TcpStream::connect(address)).await;
            (given_up, accepted, client)
        };
        assert!(given_up.is_none());
        assert_eq!(accepted.unwrap().1, client.unwrap().local_addr());
    }
}
