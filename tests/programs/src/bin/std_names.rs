//! `std::net`: known names and literals resolve to addresses, and unknown names do not.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream, ToSocketAddrs};

use xila_network_programs::std_net::{each_family, listener};

fn main() {
    let resolve = |name: &str| name.to_socket_addrs().map(Vec::from_iter);
    let address = |text: &str| -> SocketAddr { text.parse().expect("an address") };

    assert_eq!(resolve("127.0.0.1:80").expect("a literal"), [address("127.0.0.1:80")]);
    assert_eq!(resolve("[::1]:80").expect("a literal"), [address("[::1]:80")]);
    let mut found = resolve("localhost:80").expect("localhost");
    found.sort();
    assert_eq!(found, [address("127.0.0.1:80"), address("[::1]:80")]);

    for nobody in ["does-not-exist.invalid:80", "not a name:80", "a..b:80", ":80"] {
        let error = resolve(nobody).expect_err(nobody);
        println!("{nobody}: {error}");
    }
    for malformed in ["localhost", "localhost:port", "127.0.0.1", "[::1]"] {
        resolve(malformed).expect_err(malformed);
    }

    // The addresses of a name are tried in turn, so the family of the server does not matter.
    each_family(|host| {
        let (listener, there) = listener(host);
        let mut client = TcpStream::connect(("localhost", there.port())).expect("a connection");
        assert_eq!(client.peer_addr().expect("a peer"), there);
        let (mut server, _) = listener.accept().expect("an accepted connection");
        server.write_all(b"here").expect("written");
        let mut received = [0; 4];
        client.read_exact(&mut received).expect("read");
        assert_eq!(&received, b"here");
    });
}
