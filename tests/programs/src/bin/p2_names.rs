//! Resolution of names, and of addresses written as text, when no interface knows a DNS server.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use xila_network_programs::p2::*;

fn main() {
    let v4 = IpAddr::from(Ipv4Addr::LOCALHOST);
    let v6 = IpAddr::from(Ipv6Addr::LOCALHOST);
    let distant = IpAddr::from([192, 0, 2, 1]);

    // Addresses are returned as they are, and IPv4 addresses always as IPv4.
    let literals = [
        ("127.0.0.1", v4),
        ("192.0.2.1", distant),
        ("::1", v6),
        ("[::1]", v6),
        ("0:0::1", v6),
        ("::ffff:192.0.2.1", distant),
        ("::ffff:c000:201", distant),
        ("2001:DB8::1", "2001:db8::1".parse().unwrap()),
    ];
    for (text, address) in literals {
        assert_eq!(resolve(text), Ok(vec![address]), "{text}");
    }

    // Unicode is converted to ASCII before the lookup: these are full-width letters.
    for name in ["localhost", "LOCALHOST", "localhost.", "app.localhost", "\u{ff4c}\u{ff4f}\u{ff43}alhost"] {
        let mut addresses = resolve(name).unwrap_or_else(|error| panic!("{name}: {error:?}"));
        addresses.sort();
        assert_eq!(addresses, [v4, v6], "{name}");
    }

    let (long_label, long_name) = ("a".repeat(64), ["abcdefg"; 33].join("."));
    let huge = "a".repeat(1 << 20);
    for text in ["", "..", "a..b", ".a", " ", "a b", "\0", "127.0.0.1:80", &long_label, &long_name, &huge] {
        // The error is returned by the call, not by the stream.
        let result = resolve_addresses(&instance_network(), text);
        assert_eq!(result.expect_err("no name"), ErrorCode::InvalidArgument, "{text:.20}");
    }

    for name in ["example.org", "example.org.", "host", "b\u{fc}cher.example", "xn--bcher-kva.example", "\u{4f8b}.jp"] {
        assert_eq!(resolve(name), Err(ErrorCode::TemporaryResolverFailure), "{name}");
    }

    // Queries that are cancelled before they are done or not: all of them release their resources.
    for _ in 0..200 {
        drop(resolve_addresses(&instance_network(), "example.org"));
        drop(resolve_addresses(&instance_network(), "localhost"));
    }
    let streams: Vec<ResolveAddressStream> =
        (0..30).map(|_| resolve_addresses(&instance_network(), "localhost").expect("a stream")).collect();
    for stream in &streams {
        assert_eq!(addresses(stream).map(|list| list.len()), Ok(2));
    }
}

/// Waits for all addresses of a name.
fn resolve(name: &str) -> Result<Vec<IpAddr>, ErrorCode> {
    addresses(&resolve_addresses(&instance_network(), name)?)
}

fn addresses(stream: &ResolveAddressStream) -> Result<Vec<IpAddr>, ErrorCode> {
    let pollable = stream.subscribe();
    let mut addresses = Vec::new();
    loop {
        match stream.resolve_next_address() {
            Ok(Some(IpAddress::Ipv4(address))) => addresses.push(<[u8; 4]>::from(address).into()),
            Ok(Some(IpAddress::Ipv6(address))) => addresses.push(<[u16; 8]>::from(address).into()),
            Ok(None) => break,
            Err(ErrorCode::WouldBlock) => pollable.block(),
            Err(error) => return Err(error),
        }
    }
    // After its end, the stream stays at the end.
    assert!(matches!(stream.resolve_next_address(), Ok(None)));
    assert!(pollable.ready());
    Ok(addresses)
}
