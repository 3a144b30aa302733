//! The rows of the matrix about TCP.

use super::Arrival::{Connection, Nothing};
use super::Surface::{P2, P3};
use super::{ALL, ALSO, GUEST, Row};

const CONNECT: &str = "tcp connect peer 10.0.0.2:80 on eth0";
const CONNECT_V6: &str = "tcp connect peer [fd00::2]:80 on eth0";
const ACCEPT: &str = "tcp accept at 10.0.0.1:80 peer 10.0.0.2:4000 on eth0";

/// What does not allow a connection.
const NOT_CONNECT: &[&str] = &[
    "",
    "deny any",
    "allow udp any\nallow icmp any\nallow dns any\nallow control any",
    "allow tcp bind any\nallow tcp listen any\nallow tcp accept any",
    "allow tcp connect 10.0.0.3",
    "allow tcp connect 10.0.0.4/30",
    "allow tcp connect 10.0.0.2:81",
    "allow tcp connect :1-79,81-65535",
    "allow tcp connect any on lo",
    "allow tcp connect any on eth1",
    "allow tcp connect fd00::/16",
    "allow tcp connect www.example.org",
    "allow tcp connect *.example.org:80",
    "deny tcp connect 10.0.0.2\nallow any",
    "deny tcp connect 10.0.0.0/24\nallow any",
    "deny tcp :80\nallow any",
    "deny tcp connect any on eth0\nallow any",
    "deny any 10.0.0.2\nallow any",
    "deny tcp connect [::ffff:10.0.0.2]:80\nallow any",
    "deny tcp connect [::ffff:10.0.0.0/120]\nallow any",
];

pub(super) const CONNECTIONS: &[Row] = &[
    Row {
        surfaces: ALL,
        order: "tcp-connect 10.0.0.2:80",
        arrival: Nothing,
        speaks: true,
        allow: &[
            "allow any",
            "allow tcp any",
            "allow tcp connect any",
            "allow tcp connect 10.0.0.2",
            "allow tcp connect 10.0.0.0/24",
            "allow tcp connect 10.0.0.0/30:80",
            "allow tcp connect :80",
            "allow tcp connect :1-79,80-90",
            "allow tcp connect any on eth0",
            "allow tcp connect [::ffff:10.0.0.2]:80",
            "allow tcp connect 10.0.0.2\ndeny any",
            "deny tcp connect 10.0.0.3\nallow tcp any",
            "deny tcp connect 10.0.0.2:81\nallow tcp any",
            "deny tcp connect any on lo\nallow tcp connect any",
            "deny udp any\ndeny icmp any\ndeny dns any\nallow tcp connect any",
            "deny tcp listen any\ndeny tcp accept any\nallow tcp any",
        ],
        deny: &[(CONNECT, NOT_CONNECT)],
    },
    Row {
        surfaces: ALL,
        order: "tcp-connect [fd00::2]:80",
        arrival: Nothing,
        speaks: true,
        allow: &["allow tcp connect any", "allow tcp connect fd00::2", "allow tcp connect [fd00::/64]:80"],
        deny: &[(
            CONNECT_V6,
            &[
                "",
                "allow tcp connect 0.0.0.0/0",
                "allow tcp connect fd00::3",
                "allow tcp connect [fd00::2]:81",
                "deny tcp connect fd00::/8\nallow any",
            ],
        )],
    },
    // A name covers what the guest has resolved.
    Row {
        surfaces: ALL,
        order: "after www.example.org tcp-connect 10.0.0.2:80",
        arrival: Nothing,
        speaks: true,
        allow: &[
            "allow tcp connect www.example.org",
            "allow tcp connect WWW.Example.ORG.:80",
            "allow tcp connect *.example.org:80-90",
            "allow tcp connect *.org on eth0",
            "deny tcp connect other.example.org\nallow tcp connect *.example.org",
        ],
        deny: &[(
            CONNECT,
            &[
                "allow dns any",
                "allow dns any\nallow tcp connect example.org",
                "allow dns any\nallow tcp connect *.www.example.org",
                "allow dns any\nallow tcp connect *.ample.org",
                "allow dns any\nallow tcp connect other.example.org",
                "allow tcp connect www.example.org:81",
                "allow tcp connect www.example.org on lo",
                "allow udp send www.example.org",
                "allow dns any\ndeny tcp connect *.example.org\nallow tcp connect any",
                "allow dns any\ndeny tcp connect 10.0.0.0/8\nallow tcp connect www.example.org",
            ],
        )],
    },
    Row {
        surfaces: ALL,
        order: "tcp-connect-from 10.0.0.1:5000 10.0.0.2:80",
        arrival: Nothing,
        speaks: true,
        allow: &[
            "allow tcp any",
            "allow tcp connect any\nallow tcp bind any",
            "allow tcp connect any\nallow tcp bind 10.0.0.1:5000",
            "allow tcp connect any\nallow tcp bind :5000-5001 on eth0",
            "allow tcp connect any\nallow tcp listen 10.0.0.0/24:5000",
        ],
        deny: &[
            (
                "tcp bind at 10.0.0.1:5000 on eth0",
                &[
                    "",
                    "allow tcp connect any",
                    "allow tcp connect any\nallow tcp bind 10.0.0.4",
                    "allow tcp connect any\nallow tcp bind 10.0.0.1:5001",
                    "allow tcp connect any\nallow tcp bind any on lo",
                    "allow tcp connect any\nallow tcp listen any on lo",
                    "deny tcp bind :5000\nallow any",
                    "deny tcp bind [::ffff:10.0.0.1]:5000\nallow any",
                ],
            ),
            (CONNECT, &["allow tcp bind any", "allow tcp listen any", "deny tcp connect any\nallow any"]),
        ],
    },
    // An ephemeral port needs no rule of its own.
    Row {
        surfaces: ALL,
        order: "tcp-connect-from 10.0.0.1:0 10.0.0.2:80",
        arrival: Nothing,
        speaks: true,
        allow: &[
            "allow tcp connect 10.0.0.2",
            "deny tcp bind 10.0.0.4\nallow tcp any",
            "deny tcp bind :80\nallow tcp any",
        ],
        deny: &[
            (CONNECT, &["allow tcp connect 10.0.0.3"]),
            ("tcp bind at 10.0.0.1:0 on eth0", &["deny tcp bind 10.0.0.0/24\nallow any"]),
        ],
    },
    // A socket that is bound to the unspecified address needs a rule for every address and interface.
    Row {
        surfaces: &[P2, P3],
        order: "tcp-bind 0.0.0.0:5000",
        arrival: Nothing,
        speaks: false,
        allow: &["allow tcp bind any", "allow tcp bind 0.0.0.0/0", "allow tcp bind :5000", "allow tcp listen :5000"],
        deny: &[(
            "tcp bind at 0.0.0.0:5000",
            &[
                "",
                "allow tcp connect any",
                "allow tcp bind 10.0.0.1",
                "allow tcp bind 10.0.0.0/8",
                "allow tcp bind any on eth0",
                "allow tcp bind any on lo\nallow tcp bind any on eth0",
                "allow tcp bind ::/0",
                "deny tcp bind :5000\nallow tcp any",
            ],
        )],
    },
    Row {
        surfaces: ALL,
        order: "tcp-listen 10.0.0.1:80",
        arrival: Nothing,
        speaks: false,
        allow: &[
            "allow tcp listen any",
            "allow tcp listen 10.0.0.1",
            "allow tcp listen :80",
            "allow tcp listen 10.0.0.0/24:1-1023 on eth0",
            "allow tcp listen any from 10.0.0.3",
            "deny tcp listen 10.0.0.4\nallow tcp any",
        ],
        deny: &[
            (
                "tcp bind at 10.0.0.1:80 on eth0",
                &[
                    "",
                    "allow tcp connect any",
                    "allow tcp accept any",
                    "allow tcp listen 10.0.0.4",
                    "allow tcp listen :81",
                    "allow tcp listen any on lo",
                    "deny tcp bind any\nallow tcp any",
                ],
            ),
            (
                "tcp listen at 10.0.0.1:80 on eth0",
                &[
                    "allow tcp bind any",
                    "deny tcp listen any\nallow tcp any",
                    "deny tcp listen :80\nallow tcp any",
                    "deny tcp listen any on eth0\nallow any",
                    "allow tcp bind any\nallow tcp listen :81",
                ],
            ),
        ],
    },
    Row {
        surfaces: ALL,
        order: "tcp-listen 0.0.0.0:80",
        arrival: Nothing,
        speaks: false,
        allow: &["allow tcp listen any", "allow tcp listen :80", "deny tcp listen 10.0.0.4\nallow tcp listen any"],
        deny: &[(
            "tcp bind at 0.0.0.0:80",
            &["allow tcp listen 10.0.0.1", "allow tcp listen 10.0.0.0/24", "allow tcp listen any on eth0"],
        )],
    },
    // A port that was given by chance is listened on only if a rule covers it.
    Row {
        surfaces: ALL,
        order: "tcp-listen 10.0.0.1:0",
        arrival: Nothing,
        speaks: false,
        allow: &["allow tcp listen any"],
        deny: &[
            ("tcp listen at 10.0.0.1:* on eth0", &["allow tcp connect any", "allow tcp listen :80"]),
            ("tcp bind at 10.0.0.1:0 on eth0", &["", "allow udp any"]),
        ],
    },
    // A socket that nobody has bound is bound when it listens, but not if that is denied.
    Row {
        surfaces: &[P3],
        order: "tcp-listen -",
        arrival: Nothing,
        speaks: false,
        allow: &["allow tcp listen any", "allow tcp listen :1024-65535", "allow tcp listen any from 10.0.0.3"],
        deny: &[
            (
                "tcp listen at 0.0.0.0:*",
                &[
                    "allow tcp connect any",
                    "allow tcp bind any",
                    "allow tcp listen 10.0.0.1",
                    "allow tcp listen :80",
                    "deny tcp listen any\nallow any",
                ],
            ),
            ("tcp bind at 0.0.0.0:0", &["", "allow udp any", "deny tcp any\nallow any"]),
        ],
    },
    Row {
        surfaces: ALL,
        order: "tcp-accept 10.0.0.1:80",
        arrival: Connection(GUEST),
        speaks: true,
        allow: &[
            "allow tcp listen any",
            "allow tcp listen :80 from 10.0.0.2",
            "allow tcp listen any from 10.0.0.0/24",
            "allow tcp listen any from :4000",
            "allow tcp listen any from 10.0.0.2:4000-4001 on eth0",
            "allow tcp listen any from [::ffff:10.0.0.2]:4000",
            "deny tcp accept 10.0.0.3\nallow tcp listen any",
            "deny tcp listen any from 10.0.0.3\nallow tcp listen any",
            "allow tcp listen any from 10.0.0.3\nallow tcp accept 10.0.0.2",
        ],
        deny: &[(
            ACCEPT,
            &[
                "allow tcp listen any from 10.0.0.3",
                "allow tcp listen any from 10.0.0.4/30",
                "allow tcp listen any from 10.0.0.2:4001",
                "allow tcp listen any from fd00::/16",
                "deny tcp listen any from 10.0.0.2\nallow tcp listen any",
                "deny tcp listen :80 from 10.0.0.0/24:4000\nallow any",
                "deny tcp accept 10.0.0.2\nallow tcp any",
                "deny tcp accept any\nallow tcp any",
                "deny tcp accept any on eth0\nallow tcp any",
                "deny tcp accept :4000\nallow tcp any",
                "deny tcp accept [::ffff:10.0.0.2]:4000\nallow any",
            ],
        )],
    },
    // A wildcard listener does not hear of what arrives for a denied address or on a denied interface.
    Row {
        surfaces: ALL,
        order: "tcp-accept 0.0.0.0:80",
        arrival: Connection(ALSO),
        speaks: true,
        allow: &["allow tcp listen any", "deny tcp listen 10.0.0.1\nallow tcp listen any"],
        deny: &[(
            "tcp accept at 10.0.0.4:80 peer 10.0.0.2:4000 on eth0",
            &[
                "deny tcp listen 10.0.0.4\nallow tcp listen any",
                "deny tcp listen 10.0.0.4/30:80\nallow any",
                "deny tcp listen any on eth0\nallow tcp listen any",
                "allow tcp listen any from 10.0.0.3",
            ],
        )],
    },
];
