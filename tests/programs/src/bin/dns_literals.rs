//! Addresses written as text and the names of the loopback are resolved without a server; text that is not a name is
//! refused.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use xila_network_programs::dns::{ResolveError, lookup, resolve, resolve_family};
use xila_network_programs::*;

xila_network::main!(run);

async fn run() {
    let v4 = IpAddr::from(Ipv4Addr::LOCALHOST);
    let v6 = IpAddr::from(Ipv6Addr::LOCALHOST);
    for (text, address) in [("127.0.0.1", v4), ("::1", v6), ("[::1]", v6), ("0:0::1", v6)] {
        assert_eq!(resolve(text).await, Ok(vec![address]), "{text}");
        assert_eq!(resolve_family(text, Family::of(address)).await, Ok(vec![address]), "{text}");
    }
    assert_eq!(resolve("192.0.2.1").await, Ok(vec![IpAddr::from([192, 0, 2, 1])]));
    assert_eq!(resolve_family("127.0.0.1", Family::V6).await, Err(ResolveError::NoRecords));
    assert_eq!(resolve_family("[::1]", Family::V4).await, Err(ResolveError::NoRecords));

    for name in ["localhost", "LOCALHOST", "localhost.", "app.localhost", "a.b.localhost."] {
        let mut addresses = resolve(name).await.unwrap();
        addresses.sort();
        assert_eq!(addresses, [v4, v6], "{name}");
        assert_eq!(resolve_family(name, Family::V4).await, Ok(vec![v4]), "{name}");
        assert_eq!(resolve_family(name, Family::V6).await, Ok(vec![v6]), "{name}");
    }

    let (long_label, long_name) = ("a".repeat(64), ["abcdefg"; 33].join("."));
    let huge = "a".repeat(1 << 20);
    for text in ["", "..", "a..b", ".a", &long_label, &long_name, &huge] {
        assert_eq!(resolve(text).await, Err(ResolveError::InvalidName), "{text:.20}");
        assert_eq!(lookup(text, dns::RecordType::A).await, Err(ResolveError::InvalidName), "{text:.20}");
    }
}
