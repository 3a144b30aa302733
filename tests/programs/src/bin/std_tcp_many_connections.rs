//! `std::net`: many connections in sequence, and several at once.

use std::io::{Read, Write};
use std::net::TcpStream;

use xila_network_programs::std_net::{each_family, expect_end, listener};

fn main() {
    each_family(|host| {
        let (listener, address) = listener(host);
        for number in 0..200_u32 {
            let mut client = TcpStream::connect(address).expect("a connection");
            let (mut server, _) = listener.accept().expect("an accepted connection");
            client.write_all(&number.to_le_bytes()).expect("written");
            let mut received = [0; 4];
            server.read_exact(&mut received).expect("read");
            assert_eq!(u32::from_le_bytes(received), number);
        }

        // All are connected before the first is accepted: the backlog of `std` is 128.
        let mut clients: Vec<TcpStream> = (0..50).map(|_| TcpStream::connect(address).expect("a connection")).collect();
        let mut servers: Vec<TcpStream> =
            (0..50).map(|_| listener.accept().expect("an accepted connection").0).collect();
        for (number, client) in (0_u32..).zip(&mut clients) {
            client.write_all(&number.to_le_bytes()).expect("written");
        }
        // Each server end learns from its peer which connection it is, in whatever order they were accepted.
        for server in &mut servers {
            let mut received = [0; 4];
            server.read_exact(&mut received).expect("read");
            let number = u32::from_le_bytes(received) as usize;
            let client = &clients[number];
            assert_eq!(client.local_addr().expect("an address"), server.peer_addr().expect("a peer"));
            server.write_all(&received).expect("written");
        }
        for (number, client) in (0_u32..).zip(&mut clients) {
            let mut received = [0; 4];
            client.read_exact(&mut received).expect("read");
            assert_eq!(u32::from_le_bytes(received), number);
        }
        drop(servers);
        clients.iter().for_each(expect_end);
    });
}
