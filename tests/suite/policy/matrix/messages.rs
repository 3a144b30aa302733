//! The rows of the matrix about echo requests and names.

use super::Arrival::Nothing;
use super::Surface::Xila;
use super::{ALL, Row};

pub(super) const MESSAGES: &[Row] = &[
    // Only xila:network has echo requests.
    Row {
        surfaces: &[Xila],
        order: "ping 10.0.0.2",
        arrival: Nothing,
        speaks: true,
        allow: &[
            "allow icmp any",
            "allow icmp ping 10.0.0.2",
            "allow icmp 10.0.0.0/24 on eth0",
            "deny icmp 10.0.0.3\nallow icmp any",
            "allow icmp [::ffff:10.0.0.2]",
        ],
        deny: &[
            (
                "icmp ping peer 10.0.0.2:0 on eth0",
                &[
                    "allow icmp 10.0.0.3",
                    "allow icmp any on lo",
                    "allow icmp www.example.org",
                    "deny icmp 10.0.0.0/24\nallow any",
                    "deny icmp [::ffff:10.0.0.2]\nallow any",
                ],
            ),
            // There is not even a socket for it.
            ("icmp ping", &["", "allow tcp any\nallow udp any\nallow dns any", "deny icmp any\nallow any"]),
        ],
    },
    Row {
        surfaces: &[Xila],
        order: "ping fd00::2",
        arrival: Nothing,
        speaks: true,
        allow: &["allow icmp fd00::/64"],
        deny: &[("icmp ping peer [fd00::2]:0 on eth0", &["allow icmp 0.0.0.0/0", "deny icmp fd00::2\nallow any"])],
    },
    Row {
        surfaces: &[Xila],
        order: "after www.example.org icmp-send 10.0.0.2",
        arrival: Nothing,
        speaks: true,
        allow: &["allow icmp *.example.org"],
        deny: &[("icmp ping peer 10.0.0.2:0 on eth0", &["allow dns any\nallow icmp example.org"])],
    },
    Row {
        surfaces: &[Xila],
        order: "icmp-bind",
        arrival: Nothing,
        speaks: false,
        allow: &["allow icmp 10.0.0.9"],
        deny: &[("icmp ping", &["", "allow udp any"])],
    },
    // A watch for errors about a port needs the same rule as echo requests.
    Row {
        surfaces: &[Xila],
        order: "icmp-watch-udp",
        arrival: Nothing,
        speaks: false,
        allow: &["allow icmp 10.0.0.9"],
        deny: &[("icmp ping", &["", "allow udp any", "deny icmp any\nallow any"])],
    },
    Row {
        surfaces: &[Xila],
        order: "icmp-watch-tcp",
        arrival: Nothing,
        speaks: false,
        allow: &["allow icmp any"],
        deny: &[("icmp ping", &["", "allow tcp any", "deny icmp any\nallow any"])],
    },
    Row {
        surfaces: ALL,
        order: "resolve WWW.example.org.",
        arrival: Nothing,
        speaks: true,
        allow: &[
            "allow any",
            "allow dns any",
            "allow dns resolve www.example.org",
            "allow dns *.example.org",
            "allow tcp connect *.example.org:443",
            "allow udp send www.example.org on lo",
            "allow icmp www.example.org",
            "deny dns other.example.org\nallow dns any",
        ],
        deny: &[(
            "dns resolve www.example.org",
            &[
                "",
                "allow dns example.org",
                "allow dns *.www.example.org",
                "allow dns *.ample.org",
                "allow tcp connect any",
                "allow tcp connect 10.0.0.0/8\nallow udp any\nallow icmp any",
                "deny dns any\nallow any",
                "deny dns *.example.org\nallow any",
                "deny any www.example.org\nallow any",
            ],
        )],
    },
    Row {
        surfaces: &[Xila],
        order: "lookup www.example.org",
        arrival: Nothing,
        speaks: true,
        allow: &["allow dns any", "allow tcp connect *.example.org"],
        deny: &[("dns resolve www.example.org", &["", "allow udp any", "deny dns *.example.org\nallow any"])],
    },
    Row {
        surfaces: &[Xila],
        order: "reverse 10.0.0.2",
        arrival: Nothing,
        speaks: true,
        allow: &["allow dns any", "allow dns 2.0.0.10.in-addr.arpa", "allow dns *.in-addr.arpa"],
        deny: &[(
            "dns resolve 2.0.0.10.in-addr.arpa",
            &["", "allow udp any", "allow dns *.example.org", "deny dns *.in-addr.arpa\nallow any"],
        )],
    },
    Row {
        surfaces: &[Xila],
        order: "ask 10.0.0.2 www.example.org",
        arrival: Nothing,
        speaks: true,
        allow: &["allow udp send 10.0.0.2:53", "allow udp any"],
        deny: &[(
            "udp send peer 10.0.0.2:53 on eth0",
            &["", "allow dns any", "allow udp send :54", "deny udp send 10.0.0.2\nallow any"],
        )],
    },
    Row {
        surfaces: &[Xila],
        order: "ask - www.example.org",
        arrival: Nothing,
        speaks: true,
        allow: &["allow dns any", "allow tcp connect *.example.org"],
        deny: &[("dns resolve www.example.org", &["", "allow udp any", "deny dns www.example.org\nallow any"])],
    },
];
