//! Connecting to a port on which no socket listens is refused.

use xila_network_programs::*;

xila_network::main!(run);

async fn run() {
    for place in places() {
        let nobody = unused_port(place);
        let result = TcpStream::connect(nobody).await;
        let ends = result.as_ref().map(|stream| (stream.local_addr(), stream.peer_addr(), stream.state()));
        assert_eq!(ends, Err(&Error::ConnectionRefused));
    }
}
