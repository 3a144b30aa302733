//! The PROXY protocol of HAProxy, versions 1 and 2: a header before a connection's data that names its ends.

use core::net::{IpAddr, SocketAddr};

/// A version of the PROXY protocol (HAProxy's `proxy-protocol.txt`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProxyProtocol {
    /// A line of text.
    V1,
    /// A binary header.
    V2,
}

impl ProxyProtocol {
    /// The header for a connection from `peer` to `local`, which are of one family.
    #[must_use]
    pub fn header(self, peer: SocketAddr, local: SocketAddr) -> Vec<u8> {
        match self {
            Self::V1 => {
                let family = if peer.is_ipv4() { "TCP4" } else { "TCP6" };
                format!("PROXY {family} {} {} {} {}\r\n", peer.ip(), local.ip(), peer.port(), local.port()).into_bytes()
            }
            Self::V2 => {
                const SIGNATURE: [u8; 12] = *b"\r\n\r\n\0\r\nQUIT\n";
                // Version 2 and the command PROXY.
                const VERSION: u8 = 0x21;
                let (family, addresses) = match (peer.ip(), local.ip()) {
                    // A stream over IPv4, and over IPv6.
                    (IpAddr::V4(peer), IpAddr::V4(local)) => (0x11, [peer.octets(), local.octets()].concat()),
                    (IpAddr::V6(peer), IpAddr::V6(local)) => (0x21, [peer.octets(), local.octets()].concat()),
                    // Ends that are not told.
                    _ => return [&SIGNATURE[..], &[VERSION, 0, 0, 0]].concat(),
                };
                // Two addresses of 16 bytes and two ports of 2 at most.
                let length = addresses.len() as u8 + 4;
                let ports = [peer.port().to_be_bytes(), local.port().to_be_bytes()].concat();
                [&SIGNATURE[..], &[VERSION, family, 0, length], &addresses, &ports].concat()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn end(text: &str) -> SocketAddr {
        text.parse().expect("an end")
    }

    #[test]
    fn version_1_is_a_line() {
        let header = |peer, local| String::from_utf8(ProxyProtocol::V1.header(end(peer), end(local))).expect("text");
        assert_eq!(header("192.0.2.1:56324", "198.51.100.2:443"), "PROXY TCP4 192.0.2.1 198.51.100.2 56324 443\r\n");
        assert_eq!(header("[2001:db8::1]:1", "[::1]:65535"), "PROXY TCP6 2001:db8::1 ::1 1 65535\r\n");
    }

    #[test]
    fn version_2_has_addresses_and_ports_in_network_order() {
        let header = ProxyProtocol::V2.header(end("192.0.2.1:256"), end("127.0.0.1:80"));
        let expected = [
            &[0x0d, 0x0a, 0x0d, 0x0a, 0x00, 0x0d, 0x0a, 0x51, 0x55, 0x49, 0x54, 0x0a, 0x21, 0x11, 0, 12][..],
            &[192, 0, 2, 1, 127, 0, 0, 1, 1, 0, 0, 80],
        ];
        assert_eq!(header, expected.concat());
        let header = ProxyProtocol::V2.header(end("[2001:db8::1]:1"), end("[::1]:2"));
        assert_eq!((header.len(), &header[12..16]), (16 + 36, &[0x21, 0x21, 0, 36][..]));
    }
}
