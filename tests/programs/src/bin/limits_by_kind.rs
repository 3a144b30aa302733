//! Each kind of socket, listeners, ports, backlogs and device files have limits of their own. What is dropped makes room
//! again.
//!
//! The host must allow four TCP sockets, two of them listeners with a backlog of two, two UDP sockets, one ICMP socket,
//! three ports and one device file, and permit control.

use xila_network::control::{Access, DeviceFile};
use xila_network_programs::*;

xila_network::main!(run);

async fn run() {
    for place in places() {
        let any = (place.ip(), 0);
        let limited = |error: Error| assert_eq!(error, Error::LimitReached);

        let [one, two] = [(); 2].map(|()| TcpListener::bind(any).unwrap());
        limited(TcpListener::bind(any).unwrap_err());
        assert_eq!(one.backlog(), 2, "no larger than the host allows");
        // The third port.
        let first = UdpSocket::bind(any).unwrap();
        limited(UdpSocket::bind(any).unwrap_err());
        drop(two);
        let second = UdpSocket::bind(any).unwrap();
        let (listening, connecting) = (one.local_addr(), (place.ip(), 4321));
        let options = ConnectOptions { local: Some(connecting.into()), ..ConnectOptions::default() };
        limited(TcpStream::connect_with(listening, &options).await.unwrap_err());
        drop(second);
        let bound = TcpStream::connect_with(listening, &options).await.unwrap();

        // Three TCP sockets and one that connects without a port of its own.
        let (server, _) = one.accept().await.unwrap();
        let free = TcpStream::connect(listening).await.unwrap();
        limited(TcpStream::connect(listening).await.unwrap_err());
        drop((server, free, bound));

        let second = UdpSocket::bind(any).unwrap();
        limited(UdpSocket::bind(any).unwrap_err());
        drop((first, second));

        let family = Family::of(place.ip());
        let icmp = IcmpSocket::bind(family, IcmpBinding::Echo(0)).unwrap();
        limited(IcmpSocket::bind(family, IcmpBinding::Echo(0)).unwrap_err());
        limited(ping(place.ip()).await.unwrap_err());
        drop(icmp);
        ping(place.ip()).await.unwrap();

        let file = DeviceFile::open("/devices/network/lo", Access::READ).unwrap();
        limited(DeviceFile::open("/devices/network/lo", Access::READ).unwrap_err());
        drop(file);
        DeviceFile::open("/devices/network/lo", Access::READ).unwrap();

        // A smaller backlog stays as it is.
        drop(one);
        let options = ListenOptions { backlog: Some(1), ..ListenOptions::default() };
        assert_eq!(TcpListener::bind_with(any, &options).unwrap().backlog(), 1);
    }
}
