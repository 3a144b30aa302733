//! Invalid arguments are errors and cause no traps.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use xila_network_programs::*;

xila_network::main!(run);

async fn run() {
    for place in places() {
        let local = SocketAddr::new(place.ip(), 0);
        for options in [
            UdpOptions { receive_buffer: Some(0), ..UdpOptions::default() },
            UdpOptions { hop_limit: Some(0), ..UdpOptions::default() },
        ] {
            let error = UdpSocket::bind_with(local, &options).expect_err("bound with a bad option");
            assert_eq!(error, Error::InvalidArgument, "{options:?}");
        }
        let nowhere = UdpOptions { interface: Some("-".into()), ..UdpOptions::default() };
        assert_eq!(UdpSocket::bind_with(local, &nowhere).unwrap_err(), Error::NotFound);
        let huge = UdpOptions { receive_buffer: Some(u64::MAX), ..UdpOptions::default() };
        match UdpSocket::bind_with(local, &huge) {
            Ok(socket) => assert_eq!(socket.receive_buffer(), u64::MAX),
            Err(error) => assert_eq!(error, Error::LimitReached),
        }

        let socket = UdpSocket::bind(local).unwrap();
        let unspecified: IpAddr =
            if place.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
        let other_family = if place.is_ipv4() { ipv6_loopback(9) } else { ipv4_loopback(9) };
        for remote in [SocketAddr::new(place.ip(), 0), SocketAddr::new(unspecified, 9), other_family] {
            assert_eq!(socket.send_to(b"x", remote).await.unwrap_err(), Error::InvalidArgument, "{remote}");
            assert_eq!(socket.connect(remote).await.unwrap_err(), Error::InvalidArgument, "{remote}");
        }
        assert_eq!(socket.set_hop_limit(0).unwrap_err(), Error::InvalidArgument);
        socket.set_hop_limit(7).unwrap();
        assert_eq!(socket.hop_limit(), 7);
        assert!(!socket.broadcast());
        assert_eq!(socket.join_multicast(place.ip(), None).unwrap_err(), Error::InvalidArgument);
    }
}
