//! `std::net`: datagrams of no byte and of as many as there can be, buffers that are too short, and too much.

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

        // The length field of the header has room for 65,535 bytes, itself included for IPv4.
        let largest = if host.is_ipv4() { 65_507 } else { 65_527 };
        for length in [1473, 9000, largest] {
            let data = bytes_at(3, length);
            assert_eq!(sender.send_to(&data, there).expect("sent"), length);
            assert_eq!(receiver.recv_from(&mut buffer).expect("received"), (length, here));
            assert!(buffer[..length] == data, "other bytes");
        }

        // More than UDP's own length can say.
        for length in [65_528, 70_000] {
            assert!(sender.send_to(&buffer[..length], there).is_err(), "{length} bytes were sent");
        }

        // What does not fit into the buffer is gone; the next datagram is whole.
        let data = bytes_at(5, 1000);
        sender.send_to(&data, there).expect("sent");
        sender.send_to(b"next", there).expect("sent");
        assert_eq!(receiver.recv_from(&mut buffer[..10]).expect("received"), (10, here));
        assert!(buffer[..10] == data[..10], "other bytes");
        assert_eq!(receiver.recv_from(&mut buffer[..10]).expect("received"), (4, here));
        assert_eq!(&buffer[..4], b"next");

        // No room at all takes the datagram all the same.
        sender.send_to(&data, there).expect("sent");
        sender.send_to(b"next", there).expect("sent");
        assert_eq!(receiver.recv_from(&mut []).expect("received"), (0, here));
        assert_eq!(receiver.recv_from(&mut buffer).expect("received"), (4, here));
    });
}
