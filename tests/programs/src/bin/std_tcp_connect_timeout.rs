//! `std::net`: connecting with a timeout. `std_tcp_connect_timeout [ADDRESS:PORT]` takes an address that does not
//! answer.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use xila_network_programs::std_net::{each_family, listener, unused};

/// A timeout that expires only if something is wrong.
const LONG: Duration = Duration::from_secs(50);

fn main() {
    each_family(|host| {
        let (listener, address) = listener(host);
        let mut client = connect(address, LONG).expect("a connection");
        let (mut server, peer) = listener.accept().expect("an accepted connection");
        assert_eq!(peer, client.local_addr().expect("an address"));
        client.write_all(b"in time").expect("written");
        let mut received = [0; 7];
        server.read_exact(&mut received).expect("read");
        assert_eq!(&received, b"in time");

        let error = connect(unused(host), LONG).expect_err("nobody is there");
        assert_eq!(error.kind(), ErrorKind::ConnectionRefused, "{error}");
    });

    if let Some(silent) = std::env::args().nth(1) {
        let silent: SocketAddr = silent.parse().expect("ADDRESS:PORT");
        let error = connect(silent, Duration::from_millis(100)).expect_err("nobody answers");
        assert_eq!(error.kind(), ErrorKind::TimedOut, "{error}");
    }
}

/// Connects with a timeout. wasi-libc's `poll` does not distinguish a failed connection from an established one, so the
/// socket's error is queried.
fn connect(address: SocketAddr, limit: Duration) -> io::Result<TcpStream> {
    let stream = TcpStream::connect_timeout(&address, limit)?;
    match stream.take_error()? {
        Some(error) => Err(error),
        None => Ok(stream),
    }
}
