use alloc::collections::{BTreeMap, BTreeSet};
use std::vec;
use std::vec::Vec;

use super::*;

const GUEST: Owner = Owner(1);
const OTHER: Owner = Owner(2);

fn random() -> Random {
    Random::new([5; 32])
}

fn table() -> Udp<u32> {
    Udp::new(Limits::default(), &Secret::new(&mut random()))
}

fn at(address: [u8; 4], port: u16) -> SocketAddr {
    (address, port).into()
}

fn bind(udp: &mut Udp<u32>, local: SocketAddr) -> Result<SocketId, BindError> {
    udp.bind(local, GUEST, 0, &mut random())
}

fn bound(udp: &mut Udp<u32>, local: SocketAddr) -> SocketId {
    bind(udp, local).expect("nobody has the port")
}

/// The receivers of a datagram from a stranger.
fn heard(udp: &Udp<u32>, local: SocketAddr, is_broadcast: bool) -> Vec<SocketId> {
    let remote = if local.is_ipv4() { at([192, 0, 2, 9], 99) } else { ([0xfd00, 0, 0, 0, 0, 0, 0, 9], 99).into() };
    udp.receivers(&Tuple::new(local, remote), is_broadcast).collect()
}

const ANY: [u8; 4] = [0; 4];
const HERE: [u8; 4] = [192, 0, 2, 1];
const THERE: [u8; 4] = [192, 0, 2, 2];
const GROUP: [u8; 4] = [224, 0, 0, 251];

#[test]
fn the_unspecified_address_excludes_every_address_of_its_family() {
    let mut udp = table();
    let (one, two) = (bound(&mut udp, at(HERE, 53)), bound(&mut udp, at(THERE, 53)));
    assert_eq!(bind(&mut udp, at(HERE, 53)), Err(BindError::AddressInUse));
    assert_eq!(bind(&mut udp, at(ANY, 53)), Err(BindError::AddressInUse));
    let all_v6 = bound(&mut udp, (Ipv6Addr::UNSPECIFIED, 53).into());
    assert_eq!(bind(&mut udp, (Ipv6Addr::LOCALHOST, 53).into()), Err(BindError::AddressInUse));
    assert_eq!(heard(&udp, at(HERE, 53), false), [one]);
    assert_eq!(heard(&udp, at(THERE, 53), false), [two]);
    assert_eq!(heard(&udp, at([192, 0, 2, 3], 53), false), []);
    assert_eq!(heard(&udp, (Ipv6Addr::LOCALHOST, 53).into(), false), [all_v6]);
    assert_eq!(udp.unbind(one).map(|unbound| unbound.receiver), Some(0));
    assert_eq!(bind(&mut udp, at(ANY, 53)), Err(BindError::AddressInUse));
    assert!(udp.unbind(two).is_some() && udp.unbind(two).is_none());
    let every = bound(&mut udp, at(ANY, 53));
    assert_eq!(heard(&udp, at(HERE, 53), false), [every]);
    assert_eq!(bind(&mut udp, at(HERE, 53)), Err(BindError::AddressInUse));
    assert_eq!((udp.local(every), udp.owner(every), udp.len()), (Some(at(ANY, 53)), Some(GUEST), 2));
}

#[test]
fn multicast_broadcast_and_mapped_addresses_cannot_be_bound() {
    let mut udp = table();
    for address in ["224.0.0.1", "255.255.255.255", "ff02::1", "::ffff:10.0.0.1"] {
        let local = SocketAddr::new(address.parse().expect("an address"), 53);
        assert_eq!(bind(&mut udp, local), Err(BindError::Unbindable), "{address}");
    }
    assert!(udp.is_empty());
}

#[test]
fn an_ephemeral_port_is_in_the_range_and_used_once_per_family() {
    let ports = PortLimits { range: 40_000..=40_009, share: 6, reserve: 2 };
    let mut udp = Udp::new(Limits { ports, memberships: 1, all_memberships: 2 }, &Secret::new(&mut random()));
    let mut random = random();
    udp.bind(at([127, 0, 0, 7], 40_003), OTHER, 0, &mut random).expect("it is free");
    let mut seen = BTreeSet::from([40_003]);
    for _ in 0..4 {
        let id = udp.bind(at(HERE, 0), GUEST, 0, &mut random).expect("the share is not exhausted");
        let port = udp.local(id).expect("it is bound").port();
        assert!((40_000..=40_009).contains(&port) && seen.insert(port));
    }
    assert_eq!(udp.bind(at(HERE, 0), GUEST, 0, &mut random), Err(BindError::ShareExhausted));
    assert_eq!(udp.bind(at(HERE, 0), OTHER, 0, &mut random).map(|_| ()), Ok(()));
    assert_eq!(udp.bind(at(HERE, 0), OTHER, 0, &mut random), Err(BindError::ShareExhausted));
    assert_eq!(udp.free_ports(true).len(), 4);
    for _ in 0..4 {
        assert!(udp.bind(at(ANY, 0), Owner::HOST, 0, &mut random).is_ok(), "they are kept for the host");
    }
    assert_eq!(udp.bind(at(ANY, 0), Owner::HOST, 0, &mut random), Err(BindError::NoPort));
    assert_eq!(udp.bind((Ipv6Addr::LOCALHOST, 0).into(), GUEST, 0, &mut random).map(|_| ()), Ok(()));
    assert_eq!((udp.free_ports(true).len(), udp.free_ports(false).len()), (0, 9));
}

#[test]
fn a_connected_socket_is_for_one_peer_and_one_address() {
    let mut udp = table();
    let id = bound(&mut udp, at(ANY, 53));
    let (peer, other) = (at([192, 0, 2, 9], 99), at([192, 0, 2, 9], 98));
    assert!(udp.connect(id, Some(Tuple::new(at(HERE, 53), peer))));
    let hears = |udp: &Udp<u32>, local, remote| udp.receivers(&Tuple::new(local, remote), false).next() == Some(id);
    assert!(hears(&udp, at(HERE, 53), peer) && !hears(&udp, at(HERE, 53), other));
    assert!(!hears(&udp, at(THERE, 53), peer), "the peer knows the other address");
    assert_eq!(udp.connection(id), Some(Tuple::new(at(HERE, 53), peer)));
    assert!(udp.connect(id, Some(Tuple::new(at(ANY, 53), peer))));
    assert!(hears(&udp, at(THERE, 53), peer) && !hears(&udp, at(THERE, 53), other));
    assert!(udp.connect(id, None));
    assert!(hears(&udp, at(THERE, 53), other));
    assert_eq!(udp.holder(at(HERE, 53)), Some(id), "of an error the queue knows whom it concerns");
    assert!(udp.unbind(id).is_some());
    assert!(!udp.connect(id, None) && udp.holder(at(HERE, 53)).is_none() && udp.connection(id).is_none());
}

#[test]
fn broadcast_datagrams_are_for_the_socket_at_the_unspecified_address() {
    let mut udp = table();
    let every = bound(&mut udp, at(ANY, 67));
    bound(&mut udp, at(HERE, 68));
    bound(&mut udp, (Ipv6Addr::UNSPECIFIED, 67).into());
    assert_eq!(heard(&udp, at([255; 4], 67), true), [every]);
    assert_eq!(heard(&udp, at([192, 0, 2, 255], 67), true), [every]);
    assert_eq!(heard(&udp, at([255; 4], 68), true), []);
    let network = bound(&mut udp, at([192, 0, 2, 255], 68));
    assert_eq!(heard(&udp, at([192, 0, 2, 255], 68), true), [network]);
    assert_eq!(heard(&udp, at([255; 4], 68), true), []);
    let local = Tuple::new(at(HERE, 67), at([192, 0, 2, 9], 99));
    assert!(udp.connect(every, Some(local)));
    assert_eq!(heard(&udp, at([255; 4], 67), true), [every], "its address is not what was sent to");
}

#[test]
fn members_of_a_group_receive_on_their_port_only() {
    let mut udp = table();
    let (one, two) = (bound(&mut udp, at(HERE, 5353)), bound(&mut udp, at(THERE, 5353)));
    let (every, none) = (bound(&mut udp, at(ANY, 5354)), bound(&mut udp, at([192, 0, 2, 3], 5353)));
    let group = IpAddr::from(GROUP);
    assert_eq!(heard(&udp, at(GROUP, 5354), false), [], "nobody is a member");
    assert_eq!(udp.join(one, group), Ok(Membership::Interface));
    assert_eq!(udp.join(two, group), Ok(Membership::Socket));
    assert_eq!(udp.join(every, group), Ok(Membership::Socket));
    assert_eq!(udp.join(one, group), Err(JoinError::AlreadyMember));
    assert_eq!(udp.join(one, IpAddr::from(HERE)), Err(JoinError::NotMulticast));
    assert_eq!(udp.join(one, "ff02::fb".parse().expect("an address")), Err(JoinError::OtherFamily));
    assert_eq!(heard(&udp, at(GROUP, 5353), false), [one, two]);
    assert_eq!(heard(&udp, at(GROUP, 5354), false), [every]);
    let sent = Tuple::new(at(HERE, 5353), at(GROUP, 5353));
    assert_eq!(udp.receivers_here(&sent, false).collect::<Vec<_>>(), [one, two], "the sender hears itself");
    assert!(udp.connect(two, Some(Tuple::new(at(THERE, 5353), at([192, 0, 2, 8], 1)))));
    assert_eq!(heard(&udp, at(GROUP, 5353), false), [one], "connected sockets hear their peer, in groups too");
    assert_eq!(udp.leave(one, group), Ok(Membership::Socket));
    assert_eq!(udp.leave(one, group), Err(LeaveError::NotMember));
    assert_eq!(udp.leave(none, group), Err(LeaveError::NotMember));
    assert_eq!(udp.unbind(two).map(|unbound| unbound.left), Some(vec![]));
    assert_eq!(udp.groups().collect::<Vec<_>>(), [group]);
    assert_eq!(udp.unbind(every).map(|unbound| unbound.left), Some(vec![group]));
    assert_eq!((udp.join(every, group), udp.leave(every, group)), (Err(JoinError::Unbound), Err(LeaveError::Unbound)));
    assert!(udp.groups().next().is_none() && udp.members.is_empty() && udp.memberships.is_empty());
}

#[test]
fn an_owner_has_a_share_of_memberships() {
    let limits = Limits { memberships: 3, ..Limits::default() };
    let mut udp = Udp::new(limits, &Secret::new(&mut random()));
    let [first, second] = [1, 2].map(|port| bound(&mut udp, at(HERE, port)));
    let other = udp.bind(at(HERE, 3), OTHER, 0, &mut random()).expect("it is free");
    let host = udp.bind(at(HERE, 4), Owner::HOST, 0, &mut random()).expect("it is free");
    let group = |last| IpAddr::from([239, 0, 0, last]);
    for (id, last) in [(first, 1), (first, 2), (second, 1)] {
        assert!(udp.join(id, group(last)).is_ok());
    }
    assert_eq!(udp.join(second, group(3)), Err(JoinError::ShareExhausted));
    assert_eq!(udp.join(other, group(3)), Ok(Membership::Interface));
    assert!((0..10).all(|last| udp.join(host, group(last)).is_ok()));
    assert_eq!(udp.unbind(first).map(|unbound| unbound.left), Some(vec![]));
    assert_eq!(udp.join(second, group(3)), Ok(Membership::Socket));
}

#[test]
fn the_cost_of_a_lookup_does_not_depend_on_other_sockets() {
    let limits = Limits { memberships: u32::MAX, all_memberships: u32::MAX, ..Limits::default() };
    let mut udp = Udp::new(limits, &Secret::new(&mut random()));
    for number in 0..16_000_u16 {
        let [high, low] = number.to_be_bytes();
        let id = bound(&mut udp, at([127, 1, high, low], 53));
        let group = IpAddr::from([239, 1, high, low]);
        assert_eq!(udp.join(id, group), Ok(Membership::Interface));
    }
    for (address, count) in [([127, 1, 3, 4], 1), ([127, 2, 3, 4], 0), ([255; 4], 0), ([239, 1, 3, 4], 1)] {
        assert_eq!(udp.candidates(at(address, 53)).count(), count, "sockets that are looked at for {address:?}");
    }
    assert_eq!(bind(&mut udp, at(ANY, 53)), Err(BindError::AddressInUse));
}

/// The expected behaviour of the table, by a linear search through all sockets.
#[derive(Default)]
struct Naive(BTreeMap<SocketId, (SocketAddr, Option<SocketAddr>, BTreeSet<IpAddr>)>);

impl Naive {
    fn covers(bound: IpAddr, address: IpAddr) -> bool {
        bound == address || (bound.is_unspecified() && bound.is_ipv4() == address.is_ipv4())
    }

    fn conflicts(&self, local: SocketAddr) -> bool {
        self.0.values().any(|(bound, ..)| {
            let either = Self::covers(bound.ip(), local.ip()) || Self::covers(local.ip(), bound.ip());
            bound.port() == local.port() && either
        })
    }

    fn receivers(&self, local: SocketAddr, remote: SocketAddr) -> BTreeSet<SocketId> {
        let takes = |(_, (bound, peer, groups)): &(_, &(SocketAddr, Option<SocketAddr>, BTreeSet<IpAddr>))| {
            let by_address = if local.ip().is_multicast() {
                groups.contains(&local.ip())
            } else {
                Self::covers(bound.ip(), local.ip())
            };
            bound.port() == local.port() && by_address && peer.is_none_or(|peer| peer == remote)
        };
        self.0.iter().filter(takes).map(|(id, _)| *id).collect()
    }

    fn members(&self, group: IpAddr) -> usize {
        self.0.values().filter(|(.., groups)| groups.contains(&group)).count()
    }
}

#[test]
fn the_table_agrees_with_a_naive_one() {
    let addresses: Vec<IpAddr> = ["0.0.0.0", "10.0.0.1", "10.0.0.2", "10.0.0.255", "::", "fd00::1", "fd00::2"]
        .map(|address| address.parse().expect("an address"))
        .into();
    let groups: Vec<IpAddr> =
        ["224.0.0.5", "239.1.2.3", "ff02::5", "ff05::6"].map(|group| group.parse().expect("an address")).into();
    let mut random = Random::new([11; 32]);
    let (mut udp, mut naive) = (table(), Naive::default());
    for _ in 0..20_000 {
        let pick = |list: &[IpAddr], random: &mut Random| list[random.below(list.len() as u32) as usize];
        let id = naive.0.keys().nth(random.below(naive.0.len().max(1) as u32) as usize).copied();
        let group = pick(&groups, &mut random);
        match (random.below(7), id) {
            (0 | 1, _) | (_, None) => {
                let local = SocketAddr::new(pick(&addresses, &mut random), random.range(0..=5));
                match udp.bind(local, GUEST, 0, &mut random) {
                    Ok(id) => {
                        let local = udp.local(id).expect("it is bound");
                        assert!(!naive.conflicts(local));
                        naive.0.insert(id, (local, None, BTreeSet::new()));
                    }
                    Err(error) => assert!(error == BindError::AddressInUse && naive.conflicts(local)),
                }
            }
            (2, Some(id)) => {
                let unbound = udp.unbind(id).expect("it is bound");
                let (.., groups) = naive.0.remove(&id).expect("it is known");
                let last: BTreeSet<_> = groups.into_iter().filter(|group| naive.members(*group) == 0).collect();
                assert_eq!(unbound.left.into_iter().collect::<BTreeSet<_>>(), last);
            }
            (3, Some(id)) => {
                let before = naive.members(group);
                let (local, _, groups) = naive.0.get_mut(&id).expect("it is known");
                let expected = if local.is_ipv4() != group.is_ipv4() {
                    Err(JoinError::OtherFamily)
                } else if !groups.insert(group) {
                    Err(JoinError::AlreadyMember)
                } else {
                    Ok(if before == 0 { Membership::Interface } else { Membership::Socket })
                };
                assert_eq!(udp.join(id, group), expected);
            }
            (4, Some(id)) => {
                let was = naive.0.get_mut(&id).expect("it is known").2.remove(&group);
                let left = if naive.members(group) == 0 { Membership::Interface } else { Membership::Socket };
                assert_eq!(udp.leave(id, group), if was { Ok(left) } else { Err(LeaveError::NotMember) });
            }
            (5, Some(id)) => {
                let (local, peer, _) = naive.0.get_mut(&id).expect("it is known");
                *peer = (random.below(3) == 0).then(|| SocketAddr::new(local.ip(), random.range(1..=2)));
                let any = SocketAddr::new(every_address(local.is_ipv4()), local.port());
                assert!(udp.connect(id, peer.map(|peer| Tuple::new(any, peer))));
            }
            (_, Some(_)) => {
                let local =
                    SocketAddr::new(pick(&[&addresses[..], &groups].concat(), &mut random), random.range(1..=5));
                let remote = SocketAddr::new(pick(&addresses, &mut random), random.range(1..=2));
                let receivers: Vec<SocketId> = udp.receivers(&Tuple::new(local, remote), false).collect();
                let expected = naive.receivers(local, remote);
                assert_eq!(receivers.len(), expected.len());
                assert_eq!(receivers.into_iter().collect::<BTreeSet<_>>(), expected);
                assert_eq!(udp.len(), naive.0.len());
            }
        }
    }
    for (id, _) in naive.0 {
        assert!(udp.unbind(id).is_some());
    }
    assert!(udp.is_empty() && udp.bound.is_empty() && udp.members.is_empty() && udp.groups.is_empty());
    assert!(udp.memberships.is_empty() && [true, false].map(|v4| udp.free_ports(v4).len()) == [32_768; 2]);
}
