//! An identifier belongs to one socket, and replies go to the socket whose identifier they carry.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use xila_network_programs::*;

xila_network::main!(run);

async fn run() {
    for address in [IpAddr::from(Ipv4Addr::LOCALHOST), IpAddr::from(Ipv6Addr::LOCALHOST)] {
        let family = Family::of(address);
        let one = IcmpSocket::bind(family, IcmpBinding::Echo(0)).unwrap();
        let other = IcmpSocket::bind(family, IcmpBinding::Echo(0)).unwrap();
        let IcmpBinding::Echo(taken) = one.binding() else { panic!("{:?}", one.binding()) };
        assert_ne!(taken, 0, "no identifier was chosen");
        assert_ne!(one.binding(), other.binding());
        assert_eq!(IcmpSocket::bind(family, one.binding()).unwrap_err(), Error::AddressInUse);
        assert_eq!(IcmpSocket::bind_on("lo", family, one.binding()).unwrap_err(), Error::AddressInUse);

        other.send_to(address, 2, b"other").await.unwrap();
        one.send_to(address, 1, b"one").await.unwrap();
        for (socket, sequence, data) in [(&one, 1, &b"one"[..]), (&other, 2, b"other")] {
            let IcmpMessage::EchoReply(reply) = socket.recv().await.unwrap() else { panic!("an error") };
            assert_eq!((reply.sequence, &reply.data[..]), (sequence, data));
            assert_eq!(socket.recv_timeout(Duration::from_millis(10)).await.unwrap_err(), Error::TimedOut);
        }

        drop(one);
        let again = IcmpSocket::bind(family, IcmpBinding::Echo(taken)).unwrap();
        assert_eq!(again.binding(), IcmpBinding::Echo(taken));

        let port = UdpSocket::bind((address, 0)).unwrap().local_addr().port();
        for binding in [IcmpBinding::UdpPort(port), IcmpBinding::TcpPort(port)] {
            let watcher = IcmpSocket::bind(family, binding).unwrap();
            assert_eq!(watcher.binding(), binding);
            assert_eq!(IcmpSocket::bind(family, binding).unwrap_err(), Error::AddressInUse);
            assert_eq!(watcher.send_to(address, 0, b"").await.unwrap_err(), Error::InvalidState);
        }
    }
}
