//! `std::net`: datagrams arrive one by one, each with its sender's address.

use std::io::ErrorKind;
use std::net::UdpSocket;

use xila_network_programs::std_net::{bytes_at, each_family};

fn main() {
    each_family(|host| {
        let server = UdpSocket::bind((host, 0)).expect("a socket");
        let client = UdpSocket::bind((host, 0)).expect("another socket");
        let there = server.local_addr().expect("an address");
        let here = client.local_addr().expect("an address");
        assert_eq!((there.ip(), here.ip()), (host, host));
        assert_ne!(there.port(), here.port());

        let taken = UdpSocket::bind(there).expect_err("it is taken");
        assert_eq!(taken.kind(), ErrorKind::AddrInUse, "{taken}");

        let mut buffer = [0; 2000];
        for length in [1, 100, 1472, 2000] {
            let data = bytes_at(length as u64, length);
            assert_eq!(client.send_to(&data, there).expect("sent"), length);
            let (count, from) = server.recv_from(&mut buffer).expect("received");
            assert_eq!((count, from), (length, here));
            assert!(buffer[..count] == data, "other bytes");
            assert_eq!(server.send_to(&buffer[..count], from).expect("sent"), length);
            let (count, from) = client.recv_from(&mut buffer).expect("received");
            assert_eq!((count, from), (length, there));
            assert!(buffer[..count] == data, "other bytes");
        }

        // Datagrams that are sent at once are received one by one, in order: the loopback does not reorder.
        for number in 0..20_u8 {
            client.send_to(&[number], there).expect("sent");
        }
        for number in 0..20_u8 {
            assert_eq!(server.recv_from(&mut buffer).expect("received"), (1, here));
            assert_eq!(buffer[0], number);
        }

        server.set_nonblocking(true).expect("without blocking");
        let empty = server.recv_from(&mut buffer).expect_err("nothing is left");
        assert_eq!(empty.kind(), ErrorKind::WouldBlock, "{empty}");
    });
}
