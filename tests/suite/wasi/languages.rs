//! Programs in C, with BSD sockets, and in Python, with CPython's own modules.

use xila_network_tests::guests::{Guest, is_ready};
use xila_network_tests::networks::{manager, nothing_is_left};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
pub(crate) async fn c_sockets() {
    if !is_ready("c_sockets").await {
        return;
    }
    let manager = manager();
    Guest::new("c_sockets").network(manager.network()).succeed().await;
    nothing_is_left(&manager).await;
}

/// Fetches from an app that uses `xila:network`, by address and by name.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
pub(crate) async fn python_fetch() {
    if !is_ready("python_fetch").await {
        return;
    }
    for (address, url) in [
        ("127.0.0.1:80", "http://127.0.0.1/"),
        ("[::1]:8080", "http://[::1]:8080/"),
        ("127.0.0.1:8080", "http://localhost:8080/"),
        ("[::1]:8080", "http://localhost:8080/"),
    ] {
        let manager = manager();
        let server = Guest::new("http-server").arguments([address, "--requests", "2"]).network(manager.network());
        let fetch = async |page: &str| {
            let guest = Guest::new("python_fetch").arguments([&format!("{url}{page}"), "50"]);
            guest.network(manager.network()).succeed().await
        };
        let fetching = async {
            assert_eq!(fetch("").await, "It works. /bytes/N is N bytes to try the network with.\n");
            let expected = adler32((0..100_000_u64).flat_map(|i| splitmix64(i).to_le_bytes()));
            assert_eq!(fetch("bytes/800000").await, format!("800000 bytes, Adler-32 {expected:08x}\n"));
        };
        tokio::join!(server.succeed(), fetching);
        nothing_is_left(&manager).await;
    }
}

/// Serves an app that uses `xila:network`, and another program in Python.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
pub(crate) async fn python_serve() {
    if !is_ready("python_serve").await || !is_ready("python_fetch").await {
        return;
    }
    for (host, origin) in [("127.0.0.1", "http://127.0.0.1:80"), ("::1", "http://[::1]:80")] {
        let manager = manager();
        let server = Guest::new("python_serve").arguments([host, "80", "3"]).network(manager.network());
        let get = async |path: &str| {
            let guest = Guest::new("http-get").arguments([&format!("{origin}{path}"), "--wait", "50"]);
            guest.network(manager.network()).succeed().await
        };
        let getting = async {
            assert_eq!(get("/").await, "Hello from CPython.\n");
            let expected = "0123456789abcdef".repeat(12_500);
            assert!(get("/bytes/200000").await == expected, "other bytes");
            let guest = Guest::new("python_fetch").arguments([format!("{origin}/")]).network(manager.network());
            assert_eq!(guest.succeed().await, "Hello from CPython.\n");
        };
        tokio::join!(server.succeed(), getting);
        nothing_is_left(&manager).await;
    }
}

/// The checksum Adler-32 (RFC 1950, section 9).
fn adler32(bytes: impl Iterator<Item = u8>) -> u32 {
    let (a, b) = bytes.fold((1, 0), |(a, b), byte| {
        let a = (a + u32::from(byte)) % 65_521;
        (a, (b + a) % 65_521)
    });
    b << 16 | a
}

/// The numbers of which the app `http-server` makes its bytes: the `i`th output of Steele, Lea and Flood's generator.
fn splitmix64(i: u64) -> u64 {
    let mut z = i.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}
