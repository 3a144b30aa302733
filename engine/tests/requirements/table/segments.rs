//! RFC 9293 appendix B, from the PUSH flag to checksums.

use super::{Row, asserted, in_part, not_offered};

pub(super) const ROWS: &[Row] = &[
    // The PUSH flag.
    asserted(
        "MAY-16",
        "data that is not pushed may be aggregated",
        &["window/nagle.pkt", "window/pushes-collapse.pkt"],
    ),
    asserted("SHLD-27", "successive PSH bits collapse", &["window/pushes-collapse.pkt"]),
    not_offered("MAY-15", "SEND may specify PUSH", "no socket interface asks for it: MUST-60 and MUST-61 hold instead"),
    asserted(
        "MUST-60",
        "without it, data is not buffered indefinitely",
        &["window/nagle.pkt", "window/silly-window-of-the-sender.pkt", "window/nodelay.pkt"],
    ),
    asserted("MUST-61", "without it, the last segment has PSH", &["data/push.pkt", "window/pushes-collapse.pkt"]),
    not_offered(
        "MAY-17",
        "PSH may be told to the receiving application",
        "a stream has no records, and WASI no such flag",
    ),
    asserted(
        "SHLD-28",
        "segments are of the largest size where possible",
        &["window/nagle-lets-full-segments-go.pkt", "window/pushes-collapse.pkt", "data/push.pkt"],
    ),
    // The window.
    asserted("MUST-1", "a window is an unsigned number", &["window/above-the-sign-bit.pkt"]),
    asserted("REC-1", "windows are kept in 32 bits", &["window/scaled.pkt", "options/scale-above-fourteen.pkt"]),
    asserted(
        "SHLD-14",
        "the window is not shrunk from the right",
        &[
            "window/never-shrinks-by-rounding.pkt",
            "engine/src/tcp/receive/tests.rs::a_window_does_not_shrink_because_it_is_rounded",
        ],
    ),
    asserted("SHLD-15", "nothing new is sent into a window that shrinks", &["window/shrunk-by-the-peer.pkt"]),
    asserted("SHLD-16", "old data within it is sent again", &["window/shrunk-text-goes-again.pkt"]),
    asserted("SHLD-17", "data past its edge times nothing out", &["window/shrunk-text-goes-again.pkt"]),
    asserted(
        "MUST-34",
        "a window that shrinks does no harm",
        &[
            "window/shrunk-by-the-peer.pkt",
            "window/shrunk-text-goes-again.pkt",
            "window/shrunk-to-nothing-is-probed.pkt",
        ],
    ),
    asserted(
        "MAY-8",
        "the own window may stay closed indefinitely",
        &[
            "window/probe-of-the-peer.pkt",
            "tests/suite/tcp/timers.rs::a_live_peer_with_a_closed_window_is_not_timed_out",
        ],
    ),
    asserted("MUST-35", "a window that shrinks to zero is probed", &["window/shrunk-to-nothing-is-probed.pkt"]),
    asserted("MUST-36", "a zero window is probed", &["window/probes-back-off.pkt", "window/probe-is-taken.pkt"]),
    asserted("SHLD-29", "first after the retransmission timeout", &["window/probes-back-off.pkt"]),
    asserted(
        "SHLD-30",
        "then less and less often",
        &[
            "window/probes-back-off.pkt",
            "engine/src/tcp/send/alarms.rs::a_closed_window_is_probed_at_increasing_intervals",
        ],
    ),
    asserted("MUST-37", "it may stay zero while the peer answers", &["window/closed-for-an-hour.pkt"]),
    asserted("MAY-7", "old data past the edge may be sent again", &["window/shrunk-text-goes-again.pkt"]),
    in_part(
        "MUST-66",
        "RST and URG count while the window is zero",
        &["reset/behind-a-closed-window.pkt"],
        "URG is never acted on: see MUST-32",
    ),
    // Urgent data.
    in_part(
        "MUST-30",
        "there is support for urgent data",
        &["data/urgent-text-is-text.pkt"],
        "urgent text stays in the stream, as RFC 6093 section 4 advises; no call of WASI sends any or tells of it",
    ),
    not_offered("MUST-62", "the pointer is of the octet behind urgent data", "nothing is sent as urgent: see MUST-30"),
    asserted("MUST-31", "urgent data has any length", &["data/urgent-text-of-any-length.pkt"]),
    not_offered("MUST-32", "the application is told of urgent data", "WASI sockets have no event or error for it"),
    not_offered("MUST-33", "it can learn how much of it is left", "WASI sockets have no call for it (SIOCATMARK)"),
    not_offered("SHLD-13", "new applications do not use it", "this is for applications, which cannot use it here"),
    // Options.
    asserted(
        "MUST-4",
        "EOL, NOP and MSS are supported",
        &["options/end-of-list.pkt", "options/off-word-boundaries.pkt", "handshake/small-peer-mss.pkt"],
    ),
    asserted("MUST-5", "options may be in any segment", &["options/in-every-kind-of-segment.pkt"]),
    asserted(
        "MUST-6",
        "options that nobody knows are ignored",
        &["options/unknown-options-are-skipped.pkt", "options/in-every-kind-of-segment.pkt"],
    ),
    asserted(
        "MUST-68",
        "all but EOL and NOP have a length",
        &[
            "engine/tests/requirements/checks.rs::options_have_lengths_and_are_padded_with_zeros",
            "options/unknown-options-are-skipped.pkt",
        ],
    ),
    asserted(
        "MUST-7",
        "an illegal length does no harm",
        &[
            "options/length-zero-in-a-syn.pkt",
            "options/length-one-in-a-syn.pkt",
            "options/length-past-the-header.pkt",
            "options/length-zero-in-data.pkt",
            "options/mss-of-odd-length.pkt",
            "engine/src/tcp/segment.rs::options_are_read_as_far_as_they_make_sense",
            "tests/suite/hostile/segments.rs::options_that_make_no_sense_do_no_harm",
        ],
    ),
    asserted("MUST-64", "options may begin at any octet", &["options/off-word-boundaries.pkt"]),
    asserted(
        "MUST-14",
        "the MSS option is sent and received",
        &["handshake/active-open.pkt", "handshake/passive-open.pkt", "handshake/small-peer-mss.pkt"],
    ),
    asserted(
        "SHLD-5",
        "it is sent unless the MSS is 536 (IPv4) or 1220 (IPv6)",
        &["handshake/active-open.pkt", "handshake/passive-open-bare-peer.pkt", "handshake/mss-of-ipv6.pkt"],
    ),
    asserted("MAY-3", "it may be sent always", &["handshake/passive-open-bare-peer.pkt"]),
    asserted(
        "MUST-15",
        "without it the peer takes 536 (IPv4) or 1220 (IPv6)",
        &["handshake/active-open-bare-peer.pkt", "handshake/bare-peer-of-ipv6.pkt"],
    ),
    asserted(
        "MUST-16",
        "the size of segments comes from the peer's MSS, the path and the options",
        &[
            "handshake/mss-of-a-large-mtu.pkt",
            "handshake/small-peer-mss.pkt",
            "data/path-mtu.pkt",
            "engine/src/tcp/handshake.rs::segments_fit_the_path_and_the_peer",
        ],
    ),
    asserted(
        "SHLD-6",
        "the MSS accounts for an MTU that varies",
        &["engine/tests/requirements/checks.rs::the_announced_mss_follows_the_mtu_of_the_link"],
    ),
    asserted(
        "MUST-65",
        "it is sent with SYNs alone",
        &["options/timestamps-are-in-every-segment.pkt", "data/push.pkt"],
    ),
    asserted(
        "MUST-67",
        "it is what IP takes, less 20",
        &["handshake/mss-of-a-large-mtu.pkt", "handshake/mss-of-ipv6.pkt"],
    ),
    asserted(
        "MUST-69",
        "the padding is zeros",
        &["engine/tests/requirements/checks.rs::options_have_lengths_and_are_padded_with_zeros"],
    ),
    // Checksums.
    asserted(
        "MUST-2",
        "the sender computes the checksum",
        &["engine/tests/requirements/checks.rs::every_sent_segment_has_a_correct_checksum"],
    ),
    asserted(
        "MUST-3",
        "the receiver checks it",
        &[
            "engine/tests/requirements/checks.rs::a_segment_with_a_wrong_checksum_is_dropped",
            "tests/suite/hostile/mutation.rs::corrupt_copies_do_not_corrupt_or_end_a_connection",
        ],
    ),
];
