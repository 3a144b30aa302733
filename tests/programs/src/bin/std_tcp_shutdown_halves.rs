//! `std::net`: each direction ends separately, and all bytes that were written before its end arrive.

use std::io::{Read, Write};
use std::net::Shutdown;

use xila_network_programs::std_net::{bytes_at, connected, each_family, expect_end, transfer};

/// A number of bytes that fits into the buffers while the peer does not read.
const LENGTH: usize = 30_000;

fn main() {
    each_family(|host| {
        let (mut client, mut server) = connected(host);
        let data = bytes_at(0, LENGTH);

        client.write_all(&data).expect("written");
        client.shutdown(Shutdown::Write).expect("shut down");
        assert!(client.write(b"more").is_err(), "written after the end");
        let mut received = Vec::new();
        server.read_to_end(&mut received).expect("read");
        assert!(received == data, "{} bytes of {LENGTH}", received.len());

        // The other half still works, for more bytes than fit into a buffer.
        transfer(&server, &client, 2_000_000);
        server.write_all(&data).expect("written");
        server.shutdown(Shutdown::Write).expect("shut down");
        let mut received = Vec::new();
        client.read_to_end(&mut received).expect("read");
        assert!(received == data, "{} bytes of {LENGTH}", received.len());
        expect_end(&client);
        expect_end(&server);

        // Bytes in flight are not lost when both halves are shut down or the end is dropped.
        let (mut client, mut server) = connected(host);
        client.write_all(&data).expect("written");
        client.shutdown(Shutdown::Both).expect("shut down");
        let mut received = Vec::new();
        server.read_to_end(&mut received).expect("read");
        assert!(received == data, "{} bytes of {LENGTH}", received.len());

        let (mut client, mut server) = connected(host);
        client.write_all(&data).expect("written");
        drop(client);
        let mut received = Vec::new();
        server.read_to_end(&mut received).expect("read");
        assert!(received == data, "{} bytes of {LENGTH}", received.len());
    });
}
