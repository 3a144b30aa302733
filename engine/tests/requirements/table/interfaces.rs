//! RFC 9293 appendix B, from IP options to congestion control.

use super::{Row, asserted, in_part, not_offered};

const NO_SOURCE_ROUTES: &str = "WASI sockets cannot name a route, and packets with one are not to be had on the Internet: \
                                RFC 7126 sections 4.3 and 4.4 have them dropped, RFC 5095 has taken them from IPv6";

const TRAFFIC_CLASS: &str = "data/traffic-class-is-set.pkt";

pub(super) const ROWS: &[Row] = &[
    // IP options.
    asserted(
        "MUST-50",
        "options of IP that nobody knows are ignored",
        &[
            "engine/tests/requirements/checks.rs::ip_options_do_not_prevent_a_segment_from_being_accepted",
            "tests/suite/hostile/packets.rs::ipv4_options_do_no_harm",
        ],
    ),
    not_offered(
        "MAY-10",
        "IP's timestamp option may be supported",
        "nobody can ask for it, and RFC 7126 advises against it",
    ),
    not_offered("MAY-11", "Record Route may be supported", "nobody can ask for it, and RFC 7126 advises against it"),
    not_offered("MUST-51", "an application can name a source route", NO_SOURCE_ROUTES),
    not_offered("MUST-52", "which goes before that of a datagram", NO_SOURCE_ROUTES),
    not_offered("MUST-53", "the way back is built from a source route", NO_SOURCE_ROUTES),
    not_offered("SHLD-24", "a later source route overrides", NO_SOURCE_ROUTES),
    // ICMP.
    asserted(
        "MUST-54",
        "an error goes to the connection that it is about",
        &[
            "data/path-mtu.pkt",
            "data/path-mtu-of-a-stranger.pkt",
            "tests/suite/icmp/path.rs::a_mebibyte_goes_both_ways_through_a_narrow_path",
            "tests/suite/hostile/errors.rs::a_connection_attempt_fails_by_an_error_that_quotes_its_very_segment_and_no_other",
        ],
    ),
    asserted(
        "SHLD-25",
        "soft errors are told to the application",
        &["tests/suite/icmp/errors.rs::a_watcher_of_a_tcp_port_hears_what_its_connection_attempt_does"],
    ),
    in_part(
        "MUST-56",
        "soft errors end no connection",
        &[
            "engine/tests/requirements/failures.rs::a_path_error_ends_a_connection_attempt_but_no_established_connection",
            "tests/suite/hostile/errors.rs::an_established_connection_survives_every_forged_error",
        ],
        "they end an attempt to connect, which RFC 9293 notes as common (RFC 5461 section 4), so that nobody waits in vain",
    ),
    in_part(
        "SHLD-26",
        "hard errors end the connection",
        &[
            "engine/tests/requirements/failures.rs::a_path_error_ends_a_connection_attempt_but_no_established_connection",
            "tests/suite/hostile/errors.rs::a_connection_attempt_fails_by_an_error_that_quotes_its_very_segment_and_no_other",
        ],
        "they end an attempt to connect alone: whoever guesses two ports could end what is established (RFC 5927 section 5.2)",
    ),
    in_part(
        "MUST-55",
        "Source Quench is dropped in silence",
        &["tests/suite/icmp/errors.rs::any_message_does_no_harm"],
        "that it slows nobody down has no test: the host reads three kinds of errors, and the engine has no call for it",
    ),
    // Addresses.
    asserted(
        "MUST-63",
        "a SYN from an invalid address is ignored",
        &[
            "engine/tests/requirements/addresses.rs::segments_from_or_to_an_address_of_no_single_host_are_not_answered",
            "tests/suite/hostile/packets.rs::addresses_that_no_host_has_get_no_answer",
        ],
    ),
    // Applications.
    in_part(
        "MUST-47",
        "soft errors are reported",
        &["tests/suite/icmp/errors.rs::a_watcher_of_a_tcp_port_hears_what_its_connection_attempt_does"],
        "errors of ICMP are, to who watches the port; retransmissions and urgent data are not: see SHLD-9 and MUST-32",
    ),
    not_offered("SHLD-20", "the reports can be turned off", "nobody gets any who does not ask for them with a watcher"),
    asserted("MUST-48", "an application can name the Diffserv field", &[TRAFFIC_CLASS]),
    asserted("SHLD-22", "which IP gets unchanged", &[TRAFFIC_CLASS]),
    asserted("SHLD-21", "and which may change while the connection lives", &[TRAFFIC_CLASS]),
    not_offered("SHLD-23", "applications do not change it as a rule", "this is for applications"),
    not_offered("MAY-9", "the peer's Diffserv field may be told", "WASI sockets have no call that would tell it"),
    not_offered("MAY-14", "there may be a FLUSH call", "WASI sockets have none: who wants nothing sent aborts"),
    asserted(
        "MUST-43",
        "OPEN takes a local address",
        &[
            "tests/suite/tcp/connect.rs::the_local_address_is_the_one_asked_for",
            "tests/suite/tcp/listen.rs::a_listener_of_one_address_is_not_reached_at_another",
            "tests/suite/tcp/listen.rs::a_wildcard_listener_serves_every_address_of_its_family_on_every_interface",
        ],
    ),
    // RFC 5961.
    asserted(
        "MAY-12",
        "data injection may be defended against",
        &[
            "states/established-ack-of-the-past.pkt",
            "states/established-ack-of-the-future.pkt",
            "tests/suite/hostile/reset.rs::acknowledgements_of_what_was_never_sent_do_not_count",
        ],
    ),
    // Congestion.
    asserted(
        "SHLD-8",
        "there is ECN",
        &[
            "ecn/asked-for.pkt",
            "ecn/agreed-to.pkt",
            "ecn/mark-is-echoed.pkt",
            "ecn/echo-slows-down.pkt",
            "ecn/loss-says-cwr.pkt",
        ],
    ),
    asserted(
        "MAY-18",
        "there may be other congestion controls",
        &[
            "engine/src/tcp/congestion/cubic/tests.rs::the_cubic_function_is_the_formula",
            "engine/src/tcp/congestion/cubic/tests.rs::small_windows_grow_as_fast_as_reno",
            "engine/src/tcp/congestion/unlimited.rs::neither_loss_nor_idleness_lowers_the_window",
        ],
    ),
];
