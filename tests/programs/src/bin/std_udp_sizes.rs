//! `std::net`: empty datagrams and the largest ones, buffers that are too short, and datagrams that are too large.

use std::net::UdpSocket;

use xila_network_programs::std_net::{bytes_at, each_family};

fn main() {
    each_family(|host| {
        let receiver = UdpSocket::bind((host, 0)).expect("a socket");
        let sender = UdpSocket::bind((host, 0)).expect("another socket");
        let there = receiver.local_addr().expect("an address");
        let here = sender.local_addr().expect("an address");
        let mut buffer = vec![0; 70_000];

        assert_eq!(sender.send_to(&[], there).expect("sent"), 0);
        assert_eq!(receiver.recv_from(&mut buffer).expect("received"), (0, here));

        // The IP header's length field allows 65,535 bytes, which include the header itself in IPv4.
        let largest = if host.is_ipv4() { 65_507 } else { 65_527 };
        for length in [1473, 9000, largest] {
            let data = bytes_at(3, length);
            assert_eq!(sender.send_to(&data, there).expect("sent"), length);
            assert_eq!(receiver.recv_from(&mut buffer).expect("received"), (length, here));
            assert!(buffer[..length] == data, "other bytes");
        }

        // More than UDP's own length field allows.
        for length in [65_528, 70_000] {
            assert!(sender.send_to(&buffer[..length], there).is_err(), "{length} bytes were sent");
        }

        // Bytes that do not fit into the buffer are lost; the next datagram is complete.
        let data = bytes_at(5, 1000);
        sender.send_to(&data, there).expect("sent");
        sender.send_to(b"next", there).expect("sent");
        assert_eq!(receiver.recv_from(&mut buffer[..10]).expect("received"), (10, here));
        assert!(buffer[..10] == data[..10], "other bytes");
        assert_eq!(receiver.recv_from(&mut buffer[..10]).expect("received"), (4, here));
        assert_eq!(&buffer[..4], b"next");

        // An empty buffer also consumes the datagram.
        sender.send_to(&data, there).expect("sent");
        sender.send_to(b"next", there).expect("sent");
        assert_eq!(receiver.recv_from(&mut []).expect("received"), (0, here));
        assert_eq!(receiver.recv_from(&mut buffer).expect("received"), (4, here));
    });
}
