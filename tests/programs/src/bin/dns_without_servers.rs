//! If no interface knows a server, resolution fails at once, and every caller gets the same error.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use xila_network_programs::dns::{RecordType, ResolveError, lookup, resolve, resolve_family, reverse};
use xila_network_programs::*;

xila_network::main!(run);

async fn run() {
    for name in ["example.org", "example.org.", "host"] {
        assert_eq!(resolve(name).await, Err(ResolveError::ServersUnreachable), "{name}");
        for family in [Family::V4, Family::V6] {
            assert_eq!(resolve_family(name, family).await, Err(ResolveError::ServersUnreachable), "{name}");
        }
        for record_type in [RecordType::A, RecordType::MX, RecordType(65280)] {
            assert_eq!(lookup(name, record_type).await, Err(ResolveError::ServersUnreachable), "{name}");
        }
        let peer = (name, 80);
        assert_eq!(TcpStream::connect(peer).await.unwrap_err(), Error::ServersUnreachable, "{name}");
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        assert_eq!(socket.connect(peer).await.unwrap_err(), Error::ServersUnreachable, "{name}");
        assert_eq!(socket.send_to(b"", peer).await.unwrap_err(), Error::ServersUnreachable, "{name}");
    }
    for address in [IpAddr::from([192, 0, 2, 1]), Ipv6Addr::from([0x2001, 0xdb8, 0, 0, 0, 0, 0, 1]).into()] {
        assert_eq!(reverse(address).await, Err(ResolveError::ServersUnreachable), "{address}");
    }
    // Many queries at once, cancelled before they are done or not: all of them release their resources.
    for _ in 0..100 {
        start_and_cancel(resolve("example.org"), 1).await;
    }
    let all = join_all((0..20).map(|_| resolve("example.org"))).await;
    assert!(all.iter().all(|result| *result == Err(ResolveError::ServersUnreachable)), "{all:?}");
}
