//! Invalid arguments are errors and cause no traps.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use xila_network_programs::*;

xila_network::main!(run);

async fn run() {
    let mapped = IpAddr::from(Ipv4Addr::LOCALHOST.to_ipv6_mapped());
    for (address, other_family) in [
        (IpAddr::from(Ipv4Addr::LOCALHOST), IpAddr::from(Ipv6Addr::LOCALHOST)),
        (Ipv6Addr::LOCALHOST.into(), Ipv4Addr::LOCALHOST.into()),
    ] {
        let family = Family::of(address);
        let unspecified: IpAddr = match family {
            Family::V4 => Ipv4Addr::UNSPECIFIED.into(),
            Family::V6 => Ipv6Addr::UNSPECIFIED.into(),
        };
        for binding in [IcmpBinding::UdpPort(0), IcmpBinding::TcpPort(0)] {
            assert_eq!(IcmpSocket::bind(family, binding).unwrap_err(), Error::InvalidArgument, "{binding:?}");
        }
        for name in ["", "-", "lo ", "nosuch0"] {
            let bound = IcmpSocket::bind_on(name, family, IcmpBinding::Echo(0));
            assert_eq!(bound.unwrap_err(), Error::NotFound, "{name:?}");
            let options = PingOptions { interface: Some(name.into()), ..PingOptions::default() };
            assert_eq!(ping_with(address, &options).await.unwrap_err(), Error::NotFound, "{name:?}");
        }

        let socket = IcmpSocket::bind(family, IcmpBinding::Echo(0)).unwrap();
        assert_eq!(socket.set_hop_limit(0).unwrap_err(), Error::InvalidArgument);
        assert_eq!(socket.hop_limit(), 64);
        socket.set_hop_limit(255).unwrap();
        assert_eq!(socket.hop_limit(), 255);

        for remote in [unspecified, mapped, other_family] {
            assert_eq!(socket.send_to(remote, 0, b"").await.unwrap_err(), Error::InvalidArgument, "{remote}");
        }
        for remote in [unspecified, mapped] {
            assert_eq!(ping(remote).await.unwrap_err(), Error::InvalidArgument, "{remote}");
        }
        let stopped = PingOptions { hop_limit: Some(0), ..PingOptions::default() };
        assert_eq!(ping_with(address, &stopped).await.unwrap_err(), Error::InvalidArgument);
        assert_eq!(socket.send_to(address, 0, &[0; 65_536]).await.unwrap_err(), Error::PacketTooLarge);
        for size in [65_536, u32::MAX] {
            let options = PingOptions { size: Some(size), ..PingOptions::default() };
            assert_eq!(ping_with(address, &options).await.unwrap_err(), Error::PacketTooLarge, "{size}");
        }
        // None of the failed calls has caused a message.
        assert_eq!(socket.recv_timeout(Duration::ZERO).await.unwrap_err(), Error::TimedOut);
        let endless = PingOptions { timeout: Some(Duration::MAX), ..PingOptions::default() };
        ping_with(address, &endless).await.unwrap();
    }
    // A broadcast is forbidden only if an interface could send it, which `lo` cannot.
    let socket = IcmpSocket::bind(Family::V4, IcmpBinding::Echo(0)).unwrap();
    let refused = socket.send_to(Ipv4Addr::BROADCAST.into(), 0, b"").await;
    assert!(matches!(refused, Err(Error::AccessDenied | Error::RemoteUnreachable)), "{refused:?}");
}
