//! RFC 9293 appendix B, from initial sequence numbers to keep-alives, and the requirements of RFC 1122 section 4.2.3.1
//! about timeouts.

use super::{Row, asserted, in_part, not_offered};

pub(super) const ROWS: &[Row] = &[
    // Initial sequence numbers.
    asserted(
        "MUST-8",
        "they follow a clock",
        &["engine/tests/requirements/sequence_numbers.rs::initial_numbers_follow_a_clock_of_four_microseconds"],
    ),
    asserted(
        "SHLD-1",
        "a pseudo-random function of the ends is added",
        &["engine/tests/requirements/sequence_numbers.rs::initial_numbers_depend_on_each_end_and_on_a_secret"],
    ),
    asserted(
        "MUST-9",
        "nobody outside can compute that function",
        &[
            "engine/tests/requirements/sequence_numbers.rs::initial_numbers_depend_on_each_end_and_on_a_secret",
            "engine/src/random.rs::hashes_depend_on_the_secret_and_on_every_part",
            "engine/src/random.rs::the_keyed_hash_is_siphash_2_4",
            "engine/src/random.rs::nothing_secret_is_printed",
        ],
    ),
    // Opening.
    asserted(
        "MUST-10",
        "both may open at the same time",
        &["simultaneous/open.pkt", "simultaneous/open-with-a-bare-ack.pkt", "simultaneous/open-is-repeated.pkt"],
    ),
    asserted(
        "MUST-11",
        "SYN-RECEIVED remembers where it came from",
        &["states/syn-received-rst.pkt", "simultaneous/open-is-refused.pkt"],
    ),
    asserted(
        "MUST-41",
        "a passive OPEN affects no other connection",
        &[
            "engine/tests/requirements/addresses.rs::a_new_listener_does_not_affect_connection_attempts_in_progress",
            "tests/suite/tcp/ports.rs::a_listener_is_bound_beside_live_connections_of_a_dropped_one",
        ],
    ),
    in_part(
        "MUST-42",
        "LISTEN goes beside SYN-SENT and SYN-RECEIVED at the same port",
        &[
            "engine/tests/requirements/addresses.rs::a_new_listener_does_not_affect_connection_attempts_in_progress",
            "tests/suite/tcp/bound.rs::nobody_comes_to_listen_at_a_port_that_a_connection_is_being_made_from",
        ],
        "the host keeps a port that was bound by number to its socket until that is connected, as Linux does without \
         SO_REUSEADDR",
    ),
    asserted(
        "MUST-44",
        "IP is asked for the source address of a SYN",
        &[
            "tests/suite/lifecycle/selection.rs::the_longest_prefix_over_all_interfaces_decides",
            "tests/suite/tcp/connect.rs::both_ends_know_each_other",
            "engine/src/ip/addresses/tests.rs::selection_matches_the_examples_of_rfc_6724",
        ],
    ),
    asserted(
        "MUST-45",
        "otherwise it is the connection's own",
        &[
            "engine/tests/requirements/addresses.rs::every_packet_of_a_connection_comes_from_the_address_that_it_was_made_with",
            "tests/suite/tcp/interface.rs::connections_of_a_removed_address_fail_and_others_go_on",
        ],
    ),
    asserted(
        "MUST-46",
        "OPEN to an invalid, broadcast or multicast address is an error",
        &[
            "engine/tests/requirements/addresses.rs::connecting_to_an_address_of_no_single_host_fails",
            "tests/suite/tcp/options.rs::bad_arguments_are_errors_and_leave_nothing",
        ],
    ),
    asserted(
        "MUST-57",
        "what comes to broadcast or multicast addresses is dropped in silence",
        &[
            "engine/tests/requirements/addresses.rs::segments_from_or_to_an_address_of_no_single_host_are_not_answered",
            "tests/suite/hostile/packets.rs::packets_for_many_are_not_answered_when_nobody_takes_them",
        ],
    ),
    // Closing.
    asserted("SHLD-2", "a reset may have data", &["reset/with-text.pkt"]),
    asserted(
        "MUST-12",
        "the application is told of an abort",
        &[
            "reset/read-after-reset.pkt",
            "reset/blocked-reader.pkt",
            "tests/suite/tcp/reset.rs::those_who_wait_learn_of_a_reset",
        ],
    ),
    asserted(
        "MAY-1",
        "a close may be half-duplex, without reading on",
        &[
            "reset/text-after-close.pkt",
            "tests/suite/tcp/reset.rs::bytes_that_arrive_after_the_stream_was_dropped_reset_the_peer",
        ],
    ),
    asserted("SHLD-3", "a reset tells that data was lost", &["reset/unread-text.pkt", "reset/text-after-close.pkt"]),
    asserted(
        "MUST-13",
        "TIME-WAIT lasts for twice the maximum segment lifetime, which is 30 s here as on Linux",
        &["states/time-wait-ends.pkt", "states/time-wait-restarts.pkt", "states/time-wait-rst.pkt"],
    ),
    asserted(
        "MAY-2",
        "a SYN may open anew what is in TIME-WAIT",
        &["states/time-wait-syn.pkt", "states/time-wait-old-syn.pkt"],
    ),
    asserted("SHLD-4", "timestamps make TIME-WAIT shorter", &["paws/time-wait-knows-the-clock.pkt"]),
    // Retransmission.
    asserted(
        "MUST-19",
        "there are back-off, slow start and congestion avoidance",
        &[
            "timers/back-off.pkt",
            "recovery/initial-window.pkt",
            "recovery/timeout-begins-with-one-segment.pkt",
            "recovery/multiplicative-decrease.pkt",
            "engine/src/tcp/congestion/cubic/tests.rs::slow_start_doubles_the_window_each_round",
            "engine/src/tcp/congestion/cubic/tests.rs::the_window_follows_the_cubic_function_to_its_plateau_and_beyond",
        ],
    ),
    not_offered(
        "MAY-4",
        "what is sent again may have the same IP identification",
        "IPv4 packets leave with DF, so that the field says nothing (RFC 6864 section 4.1)",
    ),
    asserted(
        "MUST-18",
        "the timeout is that of RFC 6298, with Karn's algorithm",
        &["timers/karn.pkt", "timers/first-measurement.pkt", "timers/second-measurement.pkt"],
    ),
    asserted(
        "1122:4.2.3.1a",
        "MUST: the round trip is estimated as Jacobson does",
        &[
            "timers/first-measurement.pkt",
            "timers/second-measurement.pkt",
            "engine/src/tcp/rtt.rs::the_first_measurement_sets_the_estimate",
        ],
    ),
    asserted(
        "1122:4.2.3.1b",
        "SHOULD: SYNs have the timeouts that data has",
        &["handshake/syn-is-repeated.pkt", "handshake/syn-ack-is-repeated.pkt", "timers/repeated-syn.pkt"],
    ),
    in_part(
        "1122:4.2.3.1c",
        "SHOULD: the first timeout and its bounds are the recommended ones",
        &["handshake/syn-is-repeated.pkt", "timers/back-off.pkt", "timers/floor.pkt"],
        "the first second and the 60 s are RFC 6298's, sections 2.1 and 2.5; its least second (2.4) is 200 ms here, as on Linux",
    ),
    // Acknowledgements.
    asserted(
        "MUST-58",
        "acknowledgements are aggregated where possible",
        &[
            "data/every-second-full-segment.pkt",
            "data/ack-rides-on-data.pkt",
            "engine/tests/requirements/answers.rs::segments_that_arrive_together_are_acknowledged_once",
        ],
    ),
    asserted("SHLD-31", "segments out of order are kept", &["data/in-reverse-order.pkt", "data/out-of-order.pkt"]),
    asserted(
        "MUST-59",
        "all that has arrived is processed before an acknowledgement leaves",
        &["engine/tests/requirements/answers.rs::segments_that_arrive_together_are_acknowledged_once"],
    ),
    asserted("MAY-13", "a segment out of order may be acknowledged at once", &["data/out-of-order.pkt"]),
    asserted("SHLD-18", "acknowledgements are delayed", &["data/delayed-ack.pkt"]),
    asserted("MUST-40", "by less than half a second", &["data/delayed-ack.pkt"]),
    asserted(
        "SHLD-19",
        "every second full segment is acknowledged",
        &[
            "data/every-second-full-segment.pkt",
            "engine/src/tcp/receive/tests.rs::every_second_full_segment_is_acknowledged_at_once",
        ],
    ),
    asserted(
        "MUST-39",
        "the receiver avoids silly windows",
        &["window/silly-window-of-the-receiver.pkt", "engine/src/tcp/receive/tests.rs::a_small_window_is_not_offered"],
    ),
    // Sending.
    asserted(
        "MUST-49",
        "the time to live can be set",
        &["data/hop-limit-is-set.pkt", "data/hop-limit.pkt", "close/hop-limit-of-the-last-ack.pkt"],
    ),
    asserted(
        "MUST-38",
        "the sender avoids silly windows",
        &[
            "window/silly-window-of-the-sender.pkt",
            "window/half-of-the-largest.pkt",
            "engine/src/tcp/send/plan.rs::silly_windows_are_not_filled",
        ],
    ),
    asserted("SHLD-7", "there is Nagle's algorithm", &["window/nagle.pkt", "window/nagle-lets-full-segments-go.pkt"]),
    asserted("MUST-17", "it can be turned off", &["window/nodelay.pkt"]),
    // Failures.
    in_part(
        "MUST-20",
        "negative advice goes to IP after R1 retransmissions; R2 end the connection",
        &[
            "timers/user-timeout.pkt",
            "tests/suite/tcp/timers.rs::unacknowledged_data_ends_the_connection_after_the_user_timeout",
        ],
        "there is no R1: a next hop is asked for again after a minute whatever TCP says of it, and one that does not \
         answer is not given up for another route",
    ),
    asserted(
        "MUST-21",
        "the application can set R2",
        &[
            "timers/user-timeout.pkt",
            "tests/suite/tcp/timers.rs::unacknowledged_data_ends_the_connection_after_the_user_timeout",
            "tests/suite/tcp/timers.rs::without_user_timeout_data_is_repeated_until_the_peer_is_back",
        ],
    ),
    not_offered(
        "SHLD-9",
        "the application is told between R1 and R2",
        "no event of WASI says so; who asks finds the back-off in a connection's statistics",
    ),
    not_offered("SHLD-10", "R1 is three retransmissions at least", "there is no R1: see MUST-20 and SHLD-9"),
    asserted(
        "SHLD-11",
        "R2 is 100 seconds at least",
        &["engine/tests/requirements/failures.rs::by_default_text_is_retransmitted_for_more_than_a_hundred_seconds"],
    ),
    asserted(
        "MUST-22",
        "SYNs are handled in the same way",
        &[
            "handshake/syn-for-three-minutes.pkt",
            "handshake/connect-times-out.pkt",
            "handshake/syn-ack-is-repeated.pkt",
        ],
    ),
    in_part(
        "MUST-23",
        "R2 of a SYN is three minutes at least",
        &["handshake/syn-for-three-minutes.pkt", "handshake/syn-ack-is-repeated.pkt"],
        "so it is for who connects; a listener repeats its SYN with ACK for 31 s, since half-open handshakes are what \
         attackers make (RFC 4987 section 3.3)",
    ),
    // Keep-alive.
    asserted("MAY-5", "there may be keep-alives", &["keepalive/dead-peer.pkt", "keepalive/peer-that-answers.pkt"]),
    asserted(
        "MUST-24",
        "the application can turn them on and off",
        &[
            "keepalive/dead-peer.pkt",
            "tests/suite/tcp/timers.rs::keep_alive_can_begin_and_end_while_the_connection_lives",
        ],
    ),
    asserted("MUST-25", "they are off by default", &["keepalive/off-by-default.pkt"]),
    asserted(
        "MUST-26",
        "they are sent to who is idle for the interval, with nothing outstanding",
        &["keepalive/not-while-text-is-outstanding.pkt", "keepalive/text-is-heard.pkt"],
    ),
    asserted("MUST-27", "the interval can be set", &["keepalive/dead-peer.pkt"]),
    asserted("MUST-28", "it is two hours at least by default", &["keepalive/two-hours.pkt"]),
    asserted("MUST-29", "no single one that is not answered means a dead peer", &["keepalive/lost-answers.pkt"]),
    asserted("SHLD-12", "they have no data", &["keepalive/dead-peer.pkt"]),
    not_offered(
        "MAY-6",
        "they may have an octet of garbage",
        "the peers that needed it are RFC 1122's, of before 1989",
    ),
];
