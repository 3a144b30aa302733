//! The function `ping`.

use std::net::IpAddr;
use std::time::Duration;

use futures_util::future;
use xila_network_host::device::hub::HubOptions;
use xila_network_host::interface::State;
use xila_network_host::socket::{HopLimit, PingOptions, ping};
use xila_network_host::{PingError, SendError};
use xila_network_tests::link::{Family, INTERFACE, Link};

use super::SOON;
use super::frames::icmp;
use super::router::{Rules, routed};

const MILLISECOND: Duration = Duration::from_millis(1);

#[test]
fn the_round_trip_time_is_that_of_the_link() {
    let link = Link::plain(1);
    link.block_on(async {
        for family in Family::BOTH {
            let remote = link.server.address(family);
            let options = PingOptions { sequence: 12, ..PingOptions::default() };
            // The first ping has to resolve the neighbour.
            ping(&link.client.network, remote, &options).await.unwrap();
            let (reply, took) = link.within(SOON, ping(&link.client.network, remote, &options)).await;
            let reply = reply.unwrap();
            assert_eq!((reply.source, reply.sequence, reply.size, reply.hop_limit), (remote, 12, 56, 64));
            assert_eq!((reply.round_trip_time, took), (2 * MILLISECOND, 2 * MILLISECOND));
        }
        let local = ping(&link.client.network, "127.0.0.1".parse().unwrap(), &PingOptions::default()).await.unwrap();
        assert_eq!(local.round_trip_time, Duration::ZERO);
    });
    link.assert_empty();
}

#[test]
fn the_reply_reports_the_size_of_its_payload() {
    let link = Link::plain(1);
    link.block_on(async {
        for family in Family::BOTH {
            let most = if family == Family::V4 { 65_507 } else { 65_527 };
            for size in (0..=8).chain([255, 256, 257, 1000, most]) {
                let options = PingOptions { size, ..PingOptions::default() };
                let reply = ping(&link.client.network, link.server.address(family), &options).await.unwrap();
                assert_eq!(reply.size, size);
            }
            for size in [most + 1, 65_528, usize::MAX] {
                let options = PingOptions { size, ..PingOptions::default() };
                let outcome = ping(&link.client.network, link.server.address(family), &options).await;
                assert_eq!(outcome, Err(PingError::PacketTooLarge));
            }
        }
    });
}

#[test]
fn two_pings_at_once_do_not_take_each_others_replies() {
    let link = Link::plain(1);
    link.block_on(async {
        for family in Family::BOTH {
            let pings = (0..20).map(|size| {
                let (network, remote) = (&link.client.network, link.server.address(family));
                async move { ping(network, remote, &PingOptions { size, ..PingOptions::default() }).await }
            });
            let (replies, _) = link.within(SOON, future::join_all(pings)).await;
            let sizes: Vec<usize> = replies.into_iter().map(|reply| reply.unwrap().size).collect();
            assert_eq!(sizes, (0..20).collect::<Vec<_>>());
        }
    });
    link.assert_empty();
}

#[test]
fn a_ping_takes_the_reply_with_its_sequence_number_from_any_source() {
    let (link, [router, _]) = routed(1, HubOptions { latency: MILLISECOND, ..HubOptions::default() });
    link.server.interface().set_echo_reply(false).unwrap();
    link.block_on(async {
        for (family, header, kind) in [(Family::V4, 20, 0), (Family::V6, 40, 129)] {
            let options = PingOptions { sequence: 7, ..PingOptions::default() };
            let pinging = ping(&link.client.network, link.server.address(family), &options);
            let answering = async {
                link.sleep(SOON).await;
                let request = router.passed().pop().unwrap();
                let (high, low) = (request[header + 4], request[header + 5]);
                let answer = |from: u8, sequence: u8| {
                    let word = [high, low, 0, sequence];
                    router.inject(&icmp(family.host(from), link.client.address(family), [kind, 0], word, b"pong"));
                };
                answer(20, 6);
                answer(21, 8);
                answer(22, 7);
            };
            let (reply, ()) = future::join(pinging, answering).await;
            assert_eq!(reply.map(|reply| (reply.source, reply.size)), Ok((family.host(22), 4)));
        }
    });
}

#[test]
fn a_ping_waits_for_exactly_its_timeout() {
    let link = Link::plain(1);
    link.server.interface().set_echo_reply(false).unwrap();
    link.block_on(async {
        for family in Family::BOTH {
            for timeout in [Duration::ZERO, MILLISECOND, Duration::from_secs(1), Duration::from_secs(100)] {
                let options = PingOptions { timeout, ..PingOptions::default() };
                let pinging = ping(&link.client.network, link.server.address(family), &options);
                let (outcome, took) = link.within(Duration::from_secs(1000), pinging).await;
                assert_eq!((outcome, took), (Err(PingError::TimedOut), timeout));
            }
            // A missing neighbour is detected before the timeout, if the timeout is long enough.
            let options = PingOptions { timeout: Duration::from_secs(10), ..PingOptions::default() };
            let outcome = ping(&link.client.network, family.host(77), &options).await;
            assert_eq!(outcome, Err(PingError::RemoteUnreachable));
        }
    });
    link.assert_empty();
}

#[test]
fn a_cancelled_ping_leaves_nothing() {
    let link = Link::plain(1);
    link.server.interface().set_echo_reply(false).unwrap();
    fn assert_send<T: Send>(future: T) -> T {
        future
    }
    link.block_on(async {
        for family in Family::BOTH {
            for remote in [link.server.address(family), family.host(77)] {
                let options = PingOptions { timeout: Duration::MAX, ..PingOptions::default() };
                link.cancelled_after(SOON, assert_send(ping(&link.client.network, remote, &options))).await;
            }
        }
    });
    link.assert_empty();
}

#[test]
fn a_ping_that_cannot_be_sent_says_why() {
    let link = Link::plain(1);
    let network = &link.client.network;
    let options = PingOptions::default();
    link.block_on(async {
        for (remote, error) in [
            ("0.0.0.0", PingError::Send(SendError::InvalidArgument)),
            ("::", PingError::Send(SendError::InvalidArgument)),
            ("::ffff:10.0.0.2", PingError::Send(SendError::InvalidArgument)),
            ("10.0.0.255", PingError::Send(SendError::AccessDenied)),
            ("192.0.2.1", PingError::RemoteUnreachable),
            ("2001:db8::1", PingError::RemoteUnreachable),
        ] {
            assert_eq!(ping(network, remote.parse().unwrap(), &options).await, Err(error), "{remote}");
        }
        link.client.interface().set_state(State::Down);
        let only = link.client.manager.network_of([INTERFACE]).unwrap();
        for family in Family::BOTH {
            assert_eq!(
                ping(&only, link.server.address(family), &options).await,
                Err(PingError::Send(SendError::NetworkDown))
            );
        }
    });
    link.assert_empty();
}

#[test]
fn errors_from_the_path_end_a_ping() {
    let (link, [router, _]) = routed(1, HubOptions { latency: MILLISECOND, ..HubOptions::default() });
    link.block_on(async {
        for family in Family::BOTH {
            let (network, remote): (_, IpAddr) = (&link.client.network, link.server.address(family));
            router.rule(Rules { hops: 1, ..Rules::default() });
            let near = PingOptions { hop_limit: HopLimit::ONE, ..PingOptions::default() };
            let (outcome, took) = link.within(SOON, ping(network, remote, &near)).await;
            assert_eq!(outcome, Err(PingError::RemoteUnreachable), "the hop limit runs out");
            assert!(took < Duration::from_millis(10), "{took:?}");
            ping(network, remote, &PingOptions { hop_limit: HopLimit::new(2).unwrap(), ..near }).await.unwrap();
            router.rule(Rules { mtu: Some(1400), ..Rules::default() });
            let large = PingOptions { size: 1400, ..PingOptions::default() };
            assert_eq!(ping(network, remote, &large).await, Err(PingError::PacketTooLarge));
            // Now the path MTU is known, and the request is fragmented.
            let outcome = ping(network, remote, &large).await.map(|reply| reply.size);
            assert_eq!(outcome, Ok(1400), "{family:?}");
            router.rule(Rules::default());
        }
    });
    link.assert_empty();
}
