//! Addresses written as text and the names of the loopback are resolved without a server; invalid names and names that
//! cannot be found have different errors.

use xila_network_programs::p3::ip_name_lookup::{ErrorCode, resolve_addresses};
use xila_network_programs::p3::*;

xila_network::main!(run);

async fn run() {
    let v4 = IpAddress::Ipv4((127, 0, 0, 1));
    let v6 = IpAddress::Ipv6((0, 0, 0, 0, 0, 0, 0, 1));
    for (text, address) in [("127.0.0.1", v4), ("::1", v6), ("[::1]", v6), ("0:0::1", v6)] {
        assert_eq!(resolve(text).await, Ok(vec![address]), "{text}");
    }
    let documentation = IpAddress::Ipv4((192, 0, 2, 1));
    for text in ["192.0.2.1", "::ffff:192.0.2.1", "[::ffff:c000:201]"] {
        assert_eq!(resolve(text).await, Ok(vec![documentation]), "{text}: never an IPv4-mapped address");
    }

    for name in ["localhost", "LOCALHOST", "localhost.", "app.localhost", "a.b.localhost.", "bücher.localhost"] {
        let addresses = resolve(name).await.unwrap();
        assert!(addresses == [v4, v6] || addresses == [v6, v4], "{name}: {addresses:?}");
    }

    let (long_label, long_name) = ("a".repeat(64), ["abcdefg"; 33].join("."));
    let huge = "a".repeat(1 << 20);
    for text in ["", "..", "a..b", ".a", "[::1", "[127.0.0.1]", "host:80", "a b", &long_label, &long_name, &huge] {
        assert_eq!(resolve(text).await, Err(ErrorCode::InvalidArgument), "{text:.20}");
    }
    // These are never names of the DNS (RFC 6761, RFC 7686).
    for name in ["nothing.invalid", "nothing.onion"] {
        assert_eq!(resolve(name).await, Err(ErrorCode::NameUnresolvable), "{name}");
    }

    // No interface knows a server here; the error says that a later attempt may succeed.
    for name in ["example.org", "bücher.example", "host"] {
        assert_eq!(resolve(name).await, Err(ErrorCode::TemporaryResolverFailure), "{name}");
    }
    // Many queries at once, cancelled before they are done or not: all of them release their resources.
    for _ in 0..100 {
        start_and_cancel(resolve("example.org"), 1).await;
    }
    let all = join_all((0..20).map(|_| resolve("example.org"))).await;
    assert!(all.iter().all(|result| *result == Err(ErrorCode::TemporaryResolverFailure)), "{all:?}");
}

async fn resolve(name: &str) -> Result<Vec<IpAddress>, ErrorCode> {
    resolve_addresses(name.to_owned()).await
}
