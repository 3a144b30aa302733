//! A listener's stream of connections and `accept`, used together, return each connection once.

use xila_network_programs::*;

xila_network::main!(run);

async fn run() {
    for place in places() {
        let listener = TcpListener::bind(place).unwrap();
        let address = listener.local_addr();
        let mut incoming = listener.incoming();
        for number in 0..10u8 {
            let (client, server) = if number % 3 == 2 {
                let (client, accepted) = join(TcpStream::connect(address), listener.accept()).await;
                (client, accepted.unwrap().0)
            } else {
                let (client, next) = join(TcpStream::connect(address), incoming.next()).await;
                (client, next.expect("the listener goes on").unwrap())
            };
            let (mut client, mut server) = (client.unwrap(), server);
            assert_eq!(server.peer_addr(), client.local_addr());
            client.write_all(&[number]).await.unwrap();
            let mut byte = [0];
            server.read_exact(&mut byte).await.unwrap();
            assert_eq!(byte, [number]);
        }

        // The stream keeps the listener open.
        drop(listener);
        let (client, next) = join(TcpStream::connect(address), incoming.next()).await;
        assert_eq!(next.expect("still listening").unwrap().peer_addr(), client.unwrap().local_addr());
        drop(incoming);
        assert_eq!(TcpStream::connect(address).await.unwrap_err(), Error::ConnectionRefused);
    }
}
