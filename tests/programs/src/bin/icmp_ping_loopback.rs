//! Echo replies carry the data of their requests, and a closed UDP port is reported to the socket that watches the
//! sender's port.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use xila_network_programs::*;

xila_network::main!(run);

async fn run() {
    for address in [IpAddr::from(Ipv4Addr::LOCALHOST), IpAddr::from(Ipv6Addr::LOCALHOST)] {
        let reply = ping(address).await.unwrap();
        assert_eq!((reply.source, reply.sequence, reply.size), (address, 0, 56));
        for size in [0, 1, 1400, 9000] {
            let options = PingOptions { sequence: Some(7), size: Some(size), ..PingOptions::default() };
            let reply = ping_with(address, &options).await.unwrap();
            assert_eq!((reply.source, reply.sequence, reply.size), (address, 7, size));
        }

        let socket = IcmpSocket::bind(Family::of(address), IcmpBinding::Echo(0)).unwrap();
        assert_eq!(socket.hop_limit(), 64);
        for sequence in [0, 9, u16::MAX] {
            let data = pattern(u64::from(sequence), 100);
            socket.send_to(address, sequence, &data).await.unwrap();
            match socket.recv().await.unwrap() {
                IcmpMessage::EchoReply(reply) => {
                    assert_eq!((reply.source, reply.sequence), (address, sequence));
                    assert_same(&reply.data, &data);
                }
                IcmpMessage::Error(report) => panic!("{report:?}"),
            }
        }
        for timeout in [Duration::ZERO, Duration::from_millis(10)] {
            assert_eq!(socket.recv_timeout(timeout).await.unwrap_err(), Error::TimedOut);
        }

        let sender = UdpSocket::bind((address, 0)).unwrap();
        let port = sender.local_addr().port();
        let watcher = IcmpSocket::bind(Family::of(address), IcmpBinding::UdpPort(port)).unwrap();
        let closed = UdpSocket::bind((address, 0)).unwrap().local_addr();
        sender.send_to(b"anybody?", closed).await.unwrap();
        match watcher.recv_timeout(Duration::from_secs(10)).await.unwrap() {
            IcmpMessage::Error(report) => {
                assert_eq!((report.source, report.kind), (address, IcmpErrorKind::PortUnreachable));
                assert_eq!((report.destination, report.sequence), (closed, None));
            }
            IcmpMessage::EchoReply(reply) => panic!("{reply:?}"),
        }
    }
}
