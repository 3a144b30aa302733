//! The rows of the matrix about UDP.

use super::Arrival::{Datagram, Nothing};
use super::Surface::{P2, P3, Xila};
use super::{ALL, ALSO, GUEST, Row};

const SEND: &str = "udp send peer 10.0.0.2:7 on eth0";
const MULTICAST: &str = "udp multicast peer 224.0.0.251:5353 on eth0";
const BROADCAST: &str = "udp broadcast peer 10.0.0.255:7 on eth0";
const RECEIVE: &str = "udp receive at 10.0.0.1:9 peer 10.0.0.2:4000 on eth0";

/// What does not allow a datagram.
const NOT_SEND: &[&str] = &[
    "allow udp bind any",
    "allow udp bind any\nallow tcp any\nallow icmp any\nallow dns any\nallow control any",
    "allow udp send 10.0.0.3",
    "allow udp send 10.0.0.2:8",
    "allow udp send :8-65535,1-6",
    "allow udp send any on lo",
    "allow udp multicast any\nallow udp broadcast any\nallow udp receive any",
    "allow udp send www.example.org",
    "allow udp send *.example.org:7",
    "deny udp send 10.0.0.0/30\nallow any",
    "deny udp send any on eth0\nallow udp any",
    "deny udp send [::ffff:10.0.0.2]:7\nallow any",
];

/// What allows a datagram.
const SENDING: &[&str] = &[
    "allow any",
    "allow udp any",
    "allow udp send any",
    "allow udp send 10.0.0.2",
    "allow udp send 10.0.0.0/24:7",
    "allow udp send :1-9",
    "allow udp send any on eth0",
    "allow udp send [::ffff:10.0.0.2]:7",
    "deny udp send 10.0.0.3\nallow udp any",
    "deny tcp any\nallow udp any",
];

pub(super) const DATAGRAMS: &[Row] = &[
    Row {
        surfaces: ALL,
        order: "udp-bind 10.0.0.1:9",
        arrival: Nothing,
        speaks: false,
        allow: &[
            "allow udp bind any",
            "allow udp bind 10.0.0.1:9",
            "allow udp bind :1-9 on eth0",
            "allow udp bind any from 10.0.0.3",
            "deny udp bind 10.0.0.4\nallow udp any",
        ],
        deny: &[(
            "udp bind at 10.0.0.1:9 on eth0",
            &[
                "",
                "allow udp send any\nallow udp receive any",
                "allow udp bind 10.0.0.4",
                "allow udp bind :10",
                "allow udp bind any on lo",
                "deny udp bind 10.0.0.0/24\nallow any",
                "deny udp bind [::ffff:10.0.0.1]:9\nallow any",
            ],
        )],
    },
    Row {
        surfaces: ALL,
        order: "udp-bind 0.0.0.0:9",
        arrival: Nothing,
        speaks: false,
        allow: &["allow udp bind any", "allow udp bind 0.0.0.0/0:9", "deny udp bind 10.0.0.4\nallow udp bind any"],
        deny: &[(
            "udp bind at 0.0.0.0:9",
            &[
                "allow udp bind 10.0.0.1",
                "allow udp bind any on eth0",
                "allow udp bind 10.0.0.0/8",
                "allow udp send any",
            ],
        )],
    },
    Row {
        surfaces: ALL,
        order: "udp-send 0.0.0.0:0 10.0.0.2:7",
        arrival: Nothing,
        speaks: true,
        allow: SENDING,
        deny: &[(SEND, NOT_SEND), ("udp bind at 0.0.0.0:0", &["", "allow tcp any", "deny udp any\nallow any"])],
    },
    Row {
        surfaces: ALL,
        order: "udp-send 10.0.0.1:0 10.0.0.2:7",
        arrival: Nothing,
        speaks: true,
        allow: &["allow udp send 10.0.0.2"],
        deny: &[
            (SEND, &["allow udp send 10.0.0.3"]),
            ("udp bind at 10.0.0.1:0 on eth0", &["", "deny udp bind 10.0.0.1\nallow udp any"]),
        ],
    },
    Row {
        surfaces: ALL,
        order: "udp-connect 0.0.0.0:0 10.0.0.2:7",
        arrival: Nothing,
        speaks: false,
        allow: SENDING,
        deny: &[(SEND, NOT_SEND), ("udp bind at 0.0.0.0:0", &[""])],
    },
    Row {
        surfaces: ALL,
        order: "udp-send-connected 0.0.0.0:0 10.0.0.2:7",
        arrival: Nothing,
        speaks: true,
        allow: SENDING,
        deny: &[(SEND, NOT_SEND)],
    },
    Row {
        surfaces: &[Xila],
        order: "udp-send-many 0.0.0.0:0 10.0.0.2:7",
        arrival: Nothing,
        speaks: true,
        allow: SENDING,
        deny: &[(SEND, NOT_SEND)],
    },
    Row {
        surfaces: ALL,
        order: "after www.example.org udp-send 0.0.0.0:0 10.0.0.2:7",
        arrival: Nothing,
        speaks: true,
        allow: &["allow udp send www.example.org:7", "allow udp send *.example.org"],
        deny: &[(
            SEND,
            &[
                "allow udp send www.example.org:8",
                "allow dns any\nallow udp send example.org",
                "allow dns any\ndeny udp send *.example.org\nallow udp send any",
            ],
        )],
    },
    Row {
        surfaces: ALL,
        order: "after www.example.org udp-connect 0.0.0.0:0 10.0.0.2:7",
        arrival: Nothing,
        speaks: false,
        allow: &["allow udp send www.example.org:7"],
        deny: &[(SEND, &["allow udp send www.example.org:8"])],
    },
    // Sockets that nobody has bound are bound when they send or connect, but not if that is denied.
    Row {
        surfaces: &[P3],
        order: "udp-send - 10.0.0.2:7",
        arrival: Nothing,
        speaks: true,
        allow: SENDING,
        deny: &[(SEND, NOT_SEND), (SEND, &["", "deny any"])],
    },
    Row {
        surfaces: &[P3],
        order: "udp-connect - 10.0.0.2:7",
        arrival: Nothing,
        speaks: false,
        allow: SENDING,
        deny: &[(SEND, NOT_SEND), (SEND, &["", "deny any"])],
    },
    Row {
        surfaces: &[P3],
        order: "udp-send-connected - [fd00::2]:7",
        arrival: Nothing,
        speaks: true,
        allow: &["allow udp send fd00::/64"],
        deny: &[(
            "udp send peer [fd00::2]:7 on eth0",
            &["", "allow udp send 0.0.0.0/0", "deny udp fd00::2\nallow any"],
        )],
    },
    Row {
        surfaces: ALL,
        order: "udp-send 0.0.0.0:0 224.0.0.251:5353",
        arrival: Nothing,
        speaks: true,
        allow: &[
            "allow udp any",
            "allow udp multicast any",
            "allow udp multicast 224.0.0.251:5353",
            "allow udp multicast 224.0.0.0/4 on eth0",
        ],
        deny: &[(
            MULTICAST,
            &[
                "allow udp send any\nallow udp broadcast any\nallow udp bind any",
                "allow udp multicast 224.0.0.250",
                "allow udp multicast :5354",
                "allow udp multicast any on lo",
                "deny udp multicast 224.0.0.0/24\nallow any",
                "deny udp 224.0.0.251\nallow any",
            ],
        )],
    },
    Row {
        surfaces: ALL,
        order: "udp-connect 0.0.0.0:0 224.0.0.251:5353",
        arrival: Nothing,
        speaks: false,
        allow: &["allow udp multicast any"],
        deny: &[(MULTICAST, &["allow udp send any", "deny udp multicast any\nallow any"])],
    },
    Row {
        surfaces: &[Xila],
        order: "udp-join 0.0.0.0:5353 224.0.0.251",
        arrival: Nothing,
        speaks: true,
        allow: &["allow udp any", "allow udp bind any\nallow udp multicast 224.0.0.251"],
        deny: &[(
            MULTICAST,
            &[
                "allow udp bind any",
                "allow udp bind any\nallow udp send any",
                "allow udp bind any\nallow udp multicast 224.0.0.252",
                "deny udp multicast any on eth0\nallow any",
            ],
        )],
    },
    Row {
        surfaces: &[Xila],
        order: "udp-broadcast 0.0.0.0:0 10.0.0.255:7",
        arrival: Nothing,
        speaks: true,
        allow: &["allow udp any", "allow udp broadcast any", "allow udp broadcast 10.0.0.255:7 on eth0"],
        deny: &[(
            BROADCAST,
            &[
                "allow udp send any",
                "allow udp send any\nallow udp multicast any\nallow udp bind any",
                "allow udp broadcast 255.255.255.255",
                "deny udp broadcast any\nallow any",
            ],
        )],
    },
    Row {
        surfaces: &[Xila],
        order: "udp-broadcast 0.0.0.0:0 255.255.255.255:7",
        arrival: Nothing,
        speaks: true,
        allow: &["allow udp broadcast 255.255.255.255"],
        deny: &[(
            "udp broadcast peer 255.255.255.255:7 on eth0",
            &["allow udp send any", "allow udp broadcast 10.0.0.255"],
        )],
    },
    Row {
        surfaces: &[P2, P3],
        order: "udp-send 0.0.0.0:0 10.0.0.255:7",
        arrival: Nothing,
        speaks: false,
        // It fails in any case, as a test of its own shows.
        allow: &[],
        deny: &[(BROADCAST, &["allow udp send any", "deny udp broadcast any\nallow any"])],
    },
    Row {
        surfaces: ALL,
        order: "udp-receive 10.0.0.1:9",
        arrival: Datagram(GUEST),
        speaks: false,
        allow: &[
            "allow udp any",
            "allow udp bind any",
            "allow udp bind :9 from 10.0.0.0/24:4000",
            "allow udp bind any from [::ffff:10.0.0.2]:4000",
            "allow udp bind any from 10.0.0.3\nallow udp send 10.0.0.2:4000",
            "allow udp bind any from 10.0.0.3\nallow udp receive 10.0.0.2",
            "deny udp receive 10.0.0.3\nallow udp any",
        ],
        deny: &[(
            RECEIVE,
            &[
                "allow udp bind any from 10.0.0.3",
                "allow udp bind any from 10.0.0.2:4001",
                "allow udp bind any from 10.0.0.3\nallow udp send 10.0.0.2:4001",
                "deny udp bind any from 10.0.0.2\nallow udp any",
                "deny udp receive any\nallow udp any",
                "deny udp receive 10.0.0.2 on eth0\nallow udp any",
                "deny udp receive :4000\nallow udp any",
                "deny udp receive [::ffff:10.0.0.2]:4000\nallow any",
            ],
        )],
    },
    // A wildcard socket does not hear what arrives for a denied address or on a denied interface.
    Row {
        surfaces: ALL,
        order: "udp-receive 0.0.0.0:9",
        arrival: Datagram(ALSO),
        speaks: false,
        allow: &["allow udp bind any", "deny udp bind 10.0.0.1\nallow udp bind any"],
        deny: &[(
            "udp receive at 10.0.0.4:9 peer 10.0.0.2:4000 on eth0",
            &[
                "deny udp bind 10.0.0.4\nallow udp bind any",
                "deny udp bind 10.0.0.4/30:9\nallow any",
                "deny udp bind any on eth0\nallow udp bind any",
                "allow udp bind any from 10.0.0.3",
            ],
        )],
    },
    // A socket with an ephemeral port receives what the guest may send to, and nothing else.
    Row {
        surfaces: ALL,
        order: "udp-receive 0.0.0.0:0",
        arrival: Datagram(GUEST),
        speaks: false,
        allow: &["allow udp send 10.0.0.2:4000", "allow udp receive 10.0.0.0/24", "allow udp bind any"],
        deny: &[(
            "udp receive at 10.0.0.1:* peer 10.0.0.2:4000 on eth0",
            &[
                "allow udp send 10.0.0.3",
                "allow udp send 10.0.0.2:4001",
                "allow udp bind :9",
                "allow udp multicast any",
            ],
        )],
    },
];
