//! `std::net`: the TCP options that it supports on `wasm32-wasip2` can be set and read back.

use xila_network_programs::std_net::{connected, each_family, listener};

fn main() {
    each_family(|host| {
        let (client, server) = connected(host);
        for stream in [&client, &server] {
            for nodelay in [true, false] {
                stream.set_nodelay(nodelay).expect("set");
                assert_eq!(stream.nodelay().expect("read"), nodelay);
            }
            assert!(stream.take_error().expect("asked").is_none());
        }
        let (listener, _) = listener(host);
        assert!(listener.take_error().expect("asked").is_none());

        // `std` has only the IPv4 option of the hop limit, `ttl`.
        if host.is_ipv4() {
            assert_ne!(client.ttl().expect("read"), 0);
            for ttl in [1, 64, 255] {
                client.set_ttl(ttl).expect("set");
                assert_eq!(client.ttl().expect("read"), ttl);
                listener.set_ttl(ttl).expect("set");
                assert_eq!(listener.ttl().expect("read"), ttl);
            }
            for ttl in [0, 256, u32::MAX] {
                assert!(client.set_ttl(ttl).is_err(), "{ttl}");
                assert_eq!(client.ttl().expect("read"), 255);
            }
        }
    });
}
