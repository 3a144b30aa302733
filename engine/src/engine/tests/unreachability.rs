//! Neighbour unreachability detection (RFC 4861 section 7.3).

use core::net::{IpAddr, Ipv4Addr};
use std::vec::Vec;

use smoltcp::wire::EthernetAddress;

use super::bench::{
    FAMILIES, Host, OTHER, OTHER_LOCAL, OWN, PEER, PEER_LOCAL, PEER_V4, Sent, V4, V6, exchange, millis, peer, seconds,
};
use super::write;
use crate::ip::routes::{Route, Target};
use crate::link::arp::{Arp, Operation};
use crate::link::ndp::{Advertisement, Solicitation};
use crate::link::neighbours::State;
use crate::ports::Owner;
use crate::tcp::{Options, Places};

/// The times of the unicast solicitations that check whether a neighbour is still reachable.
fn checks(sent: &[Sent], of: IpAddr, to: EthernetAddress) -> Vec<crate::time::Instant> {
    let is_check = |frame: &&Sent| {
        let question = match of {
            IpAddr::V4(_) => frame.arp().is_some_and(|arp| arp.operation == Operation::Request),
            IpAddr::V6(_) => frame.solicitation().is_some(),
        };
        question && frame.to() == to
    };
    sent.iter().filter(is_check).map(|frame| frame.at).collect()
}

#[test]
fn a_neighbour_in_use_is_probed_three_times_after_five_seconds() {
    for (own, remote) in FAMILIES {
        let mut host = Host::acquainted();
        if own.is_ipv4() {
            assert_eq!(host.neighbour(remote), Some((State::Stale, Some(PEER))));
            host.advance(seconds(60));
            assert_eq!(checks(&host.sent(), own, PEER), [], "nothing goes to it");
        }
        let begun = host.now;
        assert_eq!((host.send(own, remote, b"data"), host.sent().len()), (Ok(()), 1));
        assert_eq!(host.neighbour(remote), Some((State::Delay, Some(PEER))));
        host.advance(millis(4999));
        assert_eq!(host.sent(), []);
        host.advance(seconds(60));
        let sent = host.sent();
        let at: Vec<_> = checks(&sent, own, PEER).into_iter().map(|at| at - begun).collect();
        assert_eq!(at, [seconds(5), seconds(6), seconds(7)]);
        assert_eq!(host.neighbour(remote), None, "and forgotten");
        if let Some(check) = sent.iter().find_map(Sent::solicitation) {
            assert_eq!((check.source, check.destination, check.hardware), (V6, check.target, Some(OWN)));
        }
    }
}

#[test]
fn a_neighbour_that_answers_the_first_probe_is_kept() {
    for (own, remote) in FAMILIES {
        let (mut host, mut other) = (Host::acquainted(), peer());
        assert_eq!(host.send(own, remote, b"data"), Ok(()));
        host.sent();
        host.advance(seconds(5));
        exchange(&mut host, &mut other);
        assert_eq!(host.neighbour(remote), Some((State::Reachable, Some(PEER))));
    }
}

#[test]
fn a_peer_that_acknowledges_data_is_not_probed() {
    for (own, remote) in FAMILIES {
        let (mut host, mut other) = (Host::acquainted(), peer());
        let listener = other.engine.tcp_mut().bind(remote, super::bench::PEER_PORT, Owner::HOST).expect("free");
        other.engine.tcp_mut().listen(listener, Places::new(16), Options::default());
        let connection = host.connect(own, remote);
        exchange(&mut host, &mut other);
        let mut asked = 0;
        for _ in 0..600 {
            let (at, to) = (host.now, connection);
            host.with(|engine, _, _| engine.tcp_mut().write(to, b"data", at).expect("room"));
            for _ in 0..8 {
                let (forth, back) = (host.sent(), other.sent());
                asked += checks(&forth, own, PEER).len();
                forth.iter().for_each(|frame| other.receive(&frame.bytes));
                back.iter().for_each(|frame| host.receive(&frame.bytes));
            }
            host.advance(millis(100));
            other.advance(millis(100));
        }
        assert_eq!(asked, 0, "RFC 4861 section 7.3.1");
        assert_eq!(host.neighbour(remote), Some((State::Reachable, Some(PEER))));
    }
}

/// A host with two routers of one family, of which the first is preferred.
fn two_routers(is_ipv4: bool) -> (Host, IpAddr, IpAddr) {
    let mut host = Host::new();
    let (first, second): (IpAddr, IpAddr) = if is_ipv4 {
        (PEER_V4.into(), Ipv4Addr::new(192, 0, 2, 3).into())
    } else {
        (PEER_LOCAL.into(), OTHER_LOCAL.into())
    };
    let everywhere = if is_ipv4 { "0.0.0.0/0" } else { "::/0" };
    host.route(everywhere, first);
    let target = Target::Gateway { address: second, onlink: false };
    let worse = Route { metric: 10, ..Route::new(everywhere.parse().expect("a network"), target) };
    host.engine.interface_mut().add_route(worse).expect("room");
    introduce(&mut host, first, PEER);
    introduce(&mut host, second, OTHER);
    (host, first, second)
}

/// A neighbour solicits this host.
fn introduce(host: &mut Host, address: IpAddr, hardware: EthernetAddress) {
    match address {
        IpAddr::V4(address) => host.receive(&write::arp(&Arp::request(hardware, address, V4))),
        IpAddr::V6(address) => {
            host.receive(&write::solicitation((OWN, hardware), &Solicitation::question(address, hardware, V6)));
        }
    }
    host.sent();
}

/// A neighbour answers this host.
fn confirm(host: &mut Host, address: IpAddr, hardware: EthernetAddress) {
    match address {
        IpAddr::V4(address) => host.receive(&write::arp(&Arp::request(OWN, V4, address).reply(hardware))),
        IpAddr::V6(target) => {
            let hardware_told = Some(hardware);
            let said =
                Advertisement { target, hardware: hardware_told, router: true, solicited: true, overrides: true };
            host.receive(&write::advertisement((OWN, hardware), target, V6, &said));
        }
    }
}

#[test]
fn if_a_router_is_lost_the_other_one_is_used() {
    for (own, _) in FAMILIES {
        let (mut host, first, second) = two_routers(own.is_ipv4());
        let beyond: IpAddr =
            if own.is_ipv4() { [203, 0, 113, 1].into() } else { [0x2001, 0xdb8, 9, 0, 0, 0, 0, 1].into() };
        assert_eq!((host.send(own, beyond, b"data"), host.sent()[0].to()), (Ok(()), PEER));
        // The second router answers all the time.
        for _ in 0..10 {
            host.advance(seconds(1));
            confirm(&mut host, second, OTHER);
        }
        assert_eq!(host.neighbour(first).map(|(state, _)| state), Some(State::Failed));
        assert_eq!(host.send(own, beyond, b"data"), Ok(()));
        let sent = host.sent();
        let sent = sent.iter().find(|frame| frame.datagram().is_some()).expect("a datagram");
        assert_eq!(sent.to(), OTHER);
        // The preferred router is back (RFC 4191 section 3.5).
        introduce(&mut host, first, PEER);
        assert_eq!((host.send(own, beyond, b"data"), host.sent()[0].to()), (Ok(()), PEER));
    }
}

#[test]
fn a_lost_preferred_router_is_solicited_once_a_minute() {
    let (mut host, first, second) = two_routers(false);
    let beyond: IpAddr = [0x2001, 0xdb8, 9, 0, 0, 0, 0, 1].into();
    let mut asked = Vec::new();
    for second_of_time in 0..200 {
        confirm(&mut host, second, OTHER);
        assert_eq!(host.send(V6.into(), beyond, b"data"), Ok(()));
        let expected = if second_of_time < 8 { PEER } else { OTHER };
        assert_eq!(host.wire.frames[0].to(), expected, "no packet waits for it");
        host.advance(seconds(1));
        let sent = host.sent();
        asked.extend(
            sent.iter()
                .filter(|frame| {
                    frame.solicitation().is_some_and(|question| IpAddr::V6(question.target) == first)
                        && frame.to() != PEER
                })
                .map(|frame| frame.at),
        );
    }
    let begun = asked[0];
    let minutes: Vec<u64> = asked.iter().map(|at| (*at - begun).as_secs()).collect();
    assert_eq!(minutes, [0, 60, 120]);
    introduce(&mut host, first, PEER);
    assert_eq!((host.send(V6.into(), beyond, b"data"), host.sent()[0].to()), (Ok(()), PEER));
}

#[test]
fn a_neighbour_that_was_reachable_before_the_link_was_down_is_probed_when_it_is_used() {
    for (own, remote) in FAMILIES {
        let (mut host, mut other) = (Host::acquainted(), peer());
        assert_eq!(host.send(own, remote, b"data"), Ok(()));
        host.sent();
        host.advance(seconds(5));
        exchange(&mut host, &mut other);
        assert_eq!(host.neighbour(remote).map(|(state, _)| state), Some(State::Reachable));
        host.engine.link_down(host.now);
        host.engine.link_up(host.now);
        host.act();
        host.sent();
        let begun = host.now;
        assert_eq!((host.send(own, remote, b"data"), host.sent()[0].to()), (Ok(()), PEER));
        host.advance(seconds(5));
        let asked: Vec<_> = checks(&host.sent(), own, PEER).into_iter().map(|at| at - begun).collect();
        assert_eq!(asked, [seconds(5)], "it may be another link");
    }
}
