use std::string::{String, ToString};
use std::vec;
use std::vec::Vec;

use smoltcp::wire::IpCidr;

use super::*;
use crate::ip::addresses::{Detection, State, stable_identifier};
use crate::ip::routes::{NoRoute, Preference, Reachability, Target};
use crate::link::ndp::{Message, Received, all_nodes};
use crate::random::Secret;

mod names;
mod soliciting;
mod storms;

const ROUTER: Ipv6Addr = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 1);
const OTHER: Ipv6Addr = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 2);
const FOREVER: u32 = u32::MAX;
const HOUR: u32 = 3600;
/// The flags of a Prefix Information option.
const ON_LINK: u8 = 0x80;
const AUTONOMOUS: u8 = 0x40;

fn at(seconds: u64) -> Instant {
    Instant::from_origin(Duration::from_secs(seconds))
}

fn v6(text: &str) -> Ipv6Addr {
    text.parse().expect(text)
}

fn cidr(text: &str) -> IpCidr {
    let (address, length) = text.split_once('/').expect("a length");
    IpCidr::new(v6(address).into(), length.parse().expect("a number"))
}

/// An interface with a link-local address and a link of 1500 bytes.
struct Interface {
    discovery: Discovery,
    addresses: Addresses,
    routes: Routes,
    random: Random,
    secret: Secret,
}

impl Interface {
    fn new() -> Self {
        Self::with(Config::new(1500))
    }

    fn with(config: Config) -> Self {
        let mut random = Random::new([1; 32]);
        let secret = Secret::new(&mut random);
        let (mut addresses, routes) = (Addresses::default(), Routes::default());
        addresses.add(Address::new(cidr("fe80::99/64"), Origin::LinkLocal)).expect("room");
        Self { discovery: Discovery::new(config), addresses, routes, random, secret }
    }

    fn receive(&mut self, from: Ipv6Addr, now: u64, header: Header, options: &[Vec<u8>]) -> Vec<Effect> {
        self.receive_bytes(from, at(now), &header.message(options)).expect("valid")
    }

    /// `None` if the message is not a valid advertisement.
    fn receive_bytes(&mut self, source: Ipv6Addr, now: Instant, bytes: &[u8]) -> Option<Vec<Effect>> {
        let received = Received { source, destination: all_nodes(), hop_limit: 255, fragmented: false, bytes };
        let Ok(Message::RouterAdvertisement(advertisement)) = Message::read(&received, false) else { return None };
        let Self { discovery, addresses, routes, secret, .. } = self;
        let identify = |prefix, counter| stable_identifier(prefix, secret, b"eth0", b"", counter);
        Some(discovery.receive(&advertisement, now, addresses, routes, identify))
    }

    /// The address in the prefix whose identifier is made with this counter.
    fn candidate(&self, prefix: &str, counter: u32) -> Ipv6Addr {
        stable_identifier(v6(prefix), &self.secret, b"eth0", b"", counter).address_in(v6(prefix))
    }

    fn conflict(&mut self, address: Ipv6Addr) -> Option<Ipv6Addr> {
        let Self { discovery, addresses, secret, .. } = self;
        let identify = |prefix, counter| stable_identifier(prefix, secret, b"eth0", b"", counter);
        let next = discovery.conflict(address, addresses, identify)?;
        assert_eq!(addresses.find(next.address()), Some(&next));
        let IpAddr::V6(next) = next.address() else { panic!("{next:?}") };
        Some(next)
    }

    /// The only address from routers.
    fn formed(&self) -> Address {
        let all: Vec<&Address> = self.addresses.iter().filter(|known| known.origin == Origin::Router).collect();
        let [address] = all[..] else { panic!("{all:?}") };
        *address
    }

    /// Routes as `ip route` shows them.
    fn routes(&self) -> Vec<String> {
        self.routes.iter().map(shown).collect()
    }

    fn is_on_link(&mut self, address: &str) -> bool {
        self.routes.is_on_link(v6(address).into(), &self.addresses)
    }
}

fn shown(route: &Route) -> String {
    assert_eq!(route.origin, Origin::Router);
    let way = route.gateway().map_or_else(|| "link".to_string(), |gateway| gateway.to_string());
    std::format!("{} {way} {} {:?}", route.destination, route.metric, route.preference)
}

/// The header of an advertisement.
#[derive(Clone, Copy, Default)]
struct Header {
    hop_limit: u8,
    flags: u8,
    lifetime: u16,
    reachable: u32,
    retransmit: u32,
}

impl Header {
    fn message(self, options: &[Vec<u8>]) -> Vec<u8> {
        let Self { hop_limit, flags, lifetime, reachable, retransmit } = self;
        let mut bytes = vec![134, 0, 0, 0, hop_limit, flags];
        bytes.extend(lifetime.to_be_bytes());
        bytes.extend([reachable.to_be_bytes(), retransmit.to_be_bytes()].concat());
        bytes.extend(options.concat());
        bytes
    }
}

/// The header of an advertisement whose sender is a default router for this number of seconds.
fn router(lifetime: u16) -> Header {
    Header { lifetime, ..Header::default() }
}

fn prefix(text: &str, flags: u8, valid: u32, preferred: u32) -> Vec<u8> {
    let (address, length) = text.split_once('/').expect("a length");
    let mut option = vec![3, 4, length.parse().expect("a number"), flags];
    option.extend([valid.to_be_bytes(), preferred.to_be_bytes(), [0; 4]].concat());
    option.extend(v6(address).octets());
    option
}

fn route(text: &str, flags: u8, lifetime: u32) -> Vec<u8> {
    let (address, length) = text.split_once('/').expect("a length");
    let mut option = vec![24, 3, length.parse().expect("a number"), flags];
    option.extend(lifetime.to_be_bytes());
    option.extend(v6(address).octets());
    option
}

fn mtu(mtu: u32) -> Vec<u8> {
    [&[5, 1, 0, 0][..], &mtu.to_be_bytes()].concat()
}

fn servers(lifetime: u32, servers: &[Ipv6Addr]) -> Vec<u8> {
    let length = u8::try_from(1 + 2 * servers.len()).expect("few");
    let mut option = [&[25, length, 0, 0][..], &lifetime.to_be_bytes()].concat();
    option.extend(servers.iter().flat_map(Ipv6Addr::octets));
    option
}

fn search(lifetime: u32, domains: &[&str]) -> Vec<u8> {
    let mut names = Vec::new();
    for domain in domains {
        for label in domain.split('.') {
            names.push(u8::try_from(label.len()).expect("short"));
            names.extend(label.bytes());
        }
        names.push(0);
    }
    names.resize(names.len().next_multiple_of(8), 0);
    let length = u8::try_from(1 + names.len() / 8).expect("few");
    [&[31, length, 0, 0][..], &lifetime.to_be_bytes(), &names].concat()
}

#[test]
fn a_router_becomes_a_default_router_and_resigns() {
    let mut interface = Interface::new();
    let effects = interface.receive(ROUTER, 10, router(1800), &[]);
    let [Effect::RouteAdded(added)] = effects[..] else { panic!("{effects:?}") };
    assert_eq!(interface.routes(), ["::/0 fe80::1 1024 Medium"]);
    assert_eq!(added.valid_until, Some(at(1810)));
    let next_hop = interface.routes.lookup(v6("2001:db8::1").into(), &interface.addresses, |_| Reachability::Unknown);
    assert_eq!(next_hop.map(|next_hop| next_hop.hop), Ok(ROUTER.into()));
    assert_eq!(interface.receive(OTHER, 11, router(0), &[]), [], "that is another");
    assert_eq!(interface.receive(ROUTER, 20, router(1800), &[]), [], "the lifetime alone is new");
    assert_eq!(interface.routes.next_timeout(), Some(at(1820)));
    let Some(Effect::RouteRemoved(removed)) = interface.receive(ROUTER, 30, router(0), &[]).pop() else { panic!() };
    assert_eq!((removed.gateway(), interface.routes.len()), (Some(ROUTER.into()), 0));
}

#[test]
fn a_router_says_how_much_it_wants_to_be_one() {
    let mut interface = Interface::new();
    interface.receive(ROUTER, 0, router(1800), &[]);
    interface.receive(OTHER, 0, Header { flags: 0b1000, ..router(1800) }, &[]);
    assert_eq!(interface.routes(), ["::/0 fe80::1 1024 Medium", "::/0 fe80::2 1024 High"]);
    let effects = interface.receive(OTHER, 0, Header { flags: 0b1_1000, ..router(1800) }, &[]);
    assert!(matches!(effects[..], [Effect::RouteChanged(Route { preference: Preference::Low, .. })]), "{effects:?}");
    assert_eq!(interface.routes(), ["::/0 fe80::1 1024 Medium", "::/0 fe80::2 1024 Low"]);
}

#[test]
fn routes_come_and_go_with_their_options() {
    let mut interface = Interface::new();
    let options = [route("2001:db8::/32", 0b1000, 600), route("64:ff9b::/96", 0, FOREVER), route("fd00::/8", 0x10, 60)];
    let effects = interface.receive(ROUTER, 10, router(0), &options);
    assert_eq!(effects.len(), 2, "the third has a reserved preference: {effects:?}");
    assert_eq!(interface.routes(), ["2001:db8::/32 fe80::1 1024 High", "64:ff9b::/96 fe80::1 1024 Medium"]);
    let ends: Vec<Option<Instant>> = interface.routes.iter().map(|route| route.valid_until).collect();
    assert_eq!(ends, [Some(at(610)), None]);
    interface.receive(OTHER, 10, router(0), &[route("2001:db8::/32", 0, 0)]);
    assert_eq!(interface.routes.len(), 2, "it is another router's");
    let effects = interface.receive(ROUTER, 20, router(0), &[route("2001:db8::/32", 0, 0)]);
    assert!(matches!(effects[..], [Effect::RouteRemoved(_)]), "{effects:?}");
    for none in ["fe80::/10", "fe80::/64", "ff02::/16", "::1/128", "::/128", "::ffff:1.2.3.4/128"] {
        assert_eq!(interface.receive(ROUTER, 20, router(0), &[route(none, 0, 60)]), [], "{none}");
    }
}

#[test]
fn an_option_about_the_default_route_overrides_the_header() {
    // The example of RFC 4191 section 3.1.
    let mut interface = Interface::new();
    let effects = interface.receive(ROUTER, 0, router(100), &[route("::/0", 0b1_1000, 200)]);
    assert!(matches!(effects[..], [Effect::RouteAdded(_)]), "{effects:?}");
    assert_eq!(interface.routes(), ["::/0 fe80::1 1024 Low"]);
    assert_eq!(interface.routes.next_timeout(), Some(at(200)));
    interface.receive(ROUTER, 0, router(100), &[route("::/0", 0b1_1000, 0)]);
    assert!(interface.routes.is_empty());
}

#[test]
fn a_prefix_is_on_the_link_only_by_its_flag() {
    let mut interface = Interface::new();
    let both = ON_LINK | AUTONOMOUS;
    let effects = interface.receive(ROUTER, 10, router(0), &[prefix("2001:db8:1::/64", AUTONOMOUS, 7200, 3600)]);
    let [Effect::AddressAdded(added)] = effects[..] else { panic!("{effects:?}") };
    assert_eq!((added, added.on_link), (interface.formed(), false));
    assert!(!interface.is_on_link("2001:db8:1::7"), "RFC 5942");
    interface.receive(ROUTER, 10, router(0), &[prefix("2001:db8:1::/64", both, 7200, 3600)]);
    assert_eq!(interface.routes(), ["2001:db8:1::/64 link 256 Medium"]);
    assert_eq!(interface.routes.next_timeout(), Some(at(7210)));
    assert!(interface.is_on_link("2001:db8:1::7"));
    // Without the flag L, the option says nothing about on-link prefixes.
    interface.receive(ROUTER, 10, router(0), &[prefix("2001:db8:1::/64", AUTONOMOUS, 0, 0)]);
    assert!(interface.is_on_link("2001:db8:1::7"));
    let effects = interface.receive(OTHER, 20, router(0), &[prefix("2001:db8:1::/64", both, 0, 0)]);
    assert!(matches!(effects[..], [Effect::RouteRemoved(Route { target: Target::Link, .. })]), "{effects:?}");
    assert!(!interface.is_on_link("2001:db8:1::7"), "at once, although the address stays for two hours");
    assert_eq!(interface.addresses.len(), 2);
    interface.receive(ROUTER, 30, router(0), &[prefix("2001:db8:2::/48", both, FOREVER, FOREVER)]);
    assert_eq!(interface.routes(), ["2001:db8:2::/48 link 256 Medium"]);
    assert_eq!((interface.routes.next_timeout(), interface.addresses.len()), (None, 2), "no address has 48 bits");
}

#[test]
fn an_address_is_formed_of_a_prefix_and_is_tentative() {
    let mut interface = Interface::new();
    interface.receive(ROUTER, 10, router(0), &[prefix("2001:db8:1::/64", AUTONOMOUS, 7200, 3600)]);
    let address = interface.formed();
    assert_eq!(address.address(), IpAddr::V6(interface.candidate("2001:db8:1::", 0)));
    assert_eq!((address.cidr.prefix_len(), address.state(at(10))), (64, State::Tentative));
    assert_eq!((address.preferred_until, address.valid_until), (Some(at(3610)), Some(at(7210))));
    assert!(address.advertisers.contains(ROUTER) && !address.advertisers.contains(OTHER));
    // When the prefix is advertised again, the lifetimes change, and the result of duplicate detection stays.
    assert!(interface.addresses.assign(address.address()));
    let again = [prefix("2001:db8:1::/64", AUTONOMOUS, FOREVER, FOREVER)];
    assert_eq!(interface.receive(OTHER, 20, router(0), &again), []);
    let address = interface.formed();
    assert_eq!((address.preferred_until, address.valid_until, address.state(at(20))), (None, None, State::Preferred));
    assert!(address.advertisers.contains(ROUTER) && address.advertisers.contains(OTHER));
    interface.receive(OTHER, 30, router(0), &[prefix("2001:db8:1::/64", AUTONOMOUS, FOREVER, 0)]);
    assert_eq!(interface.formed().state(at(30)), State::Deprecated);
}

#[test]
fn prefixes_without_sense_form_no_address() {
    let mut interface = Interface::new();
    for (text, valid, preferred) in [
        ("2001:db8:1::/63", 60, 60),
        ("2001:db8:1::/65", 60, 60),
        ("2001:db8:1::/128", 60, 60),
        ("2001:db8:1::/64", 60, 61),
        ("2001:db8:1::/64", 60, FOREVER),
        ("2001:db8:1::/64", 0, 0),
        ("fe80::/64", 60, 60),
        ("fe80:0:0:1::/64", 60, 60),
        ("ff05::/64", 60, 60),
        ("::/64", 60, 60),
        ("ff:1::/64", 60, 60),
    ] {
        assert_eq!(
            interface.receive(ROUTER, 0, router(0), &[prefix(text, AUTONOMOUS, valid, preferred)]),
            [],
            "{text}"
        );
    }
    for text in ["fe80::/64", "fe80::/10", "ff05::/64", "::/0", "::/64", "ff:1::/64"] {
        assert_eq!(interface.receive(ROUTER, 0, router(0), &[prefix(text, ON_LINK, 60, 60)]), [], "{text}");
    }
    // The flag A is not set.
    interface.receive(ROUTER, 0, router(0), &[prefix("2001:db8:1::/64", ON_LINK, 60, 61)]);
    assert_eq!((interface.addresses.len(), interface.routes.len()), (1, 1));
}

#[test]
fn an_address_cannot_be_ended_within_two_hours() {
    for (received, left, result) in [
        (3 * HOUR, HOUR, Some(3 * HOUR)),
        (HOUR, 4 * HOUR, Some(2 * HOUR)),
        (0, FOREVER, Some(2 * HOUR)),
        (0, HOUR, Some(HOUR)),
        (HOUR, 1, Some(HOUR)),
        (HOUR, 2 * HOUR, Some(2 * HOUR)),
        (2 * HOUR, 2 * HOUR + 1, Some(2 * HOUR)),
        (2 * HOUR + 1, 3 * HOUR, Some(2 * HOUR + 1)),
        (FOREVER, HOUR, None),
    ] {
        let mut interface = Interface::new();
        interface.receive(ROUTER, 0, router(0), &[prefix("2001:db8:1::/64", AUTONOMOUS, left, 0)]);
        interface.receive(ROUTER, 0, router(0), &[prefix("2001:db8:1::/64", AUTONOMOUS, received, 0)]);
        let result = result.map(|seconds| at(seconds.into()));
        assert_eq!(interface.formed().valid_until, result, "{received} after {left}");
    }
}

#[test]
fn what_somebody_has_set_is_left_alone() {
    let mut interface = Interface::new();
    let same = IpCidr::new(interface.candidate("2001:db8:1::", 0).into(), 64);
    let set = Address::new(same, Origin::Static);
    interface.addresses.add(set).expect("room");
    let option = [prefix("2001:db8:1::/64", AUTONOMOUS, 60, 60)];
    assert_eq!(interface.receive(ROUTER, 0, router(0), &option), []);
    assert_eq!(interface.conflict(interface.candidate("2001:db8:1::", 0)), None);
    assert_eq!(interface.discovery.withdraw(&mut interface.addresses, &mut interface.routes), []);
    assert_eq!(interface.addresses.find(same.address().into()), Some(&set));
    // Another manually set address in the same prefix is not affected.
    interface.addresses.remove(same.address().into());
    interface.addresses.add(Address::new(cidr("2001:db8:1::7/64"), Origin::Static)).expect("room");
    assert_eq!(interface.receive(ROUTER, 0, router(0), &option).len(), 1);
}

#[test]
fn three_more_addresses_are_tried_where_others_have_them() {
    let mut interface = Interface::new();
    let option = [prefix("2001:db8:1::/64", AUTONOMOUS, 7200, 3600)];
    interface.receive(ROUTER, 10, router(0), &option);
    let first = interface.formed();
    let mut address = interface.candidate("2001:db8:1::", 0);
    for counter in 1..=3 {
        address = interface.conflict(address).expect("another");
        assert_eq!(address, interface.candidate("2001:db8:1::", counter));
        let next = interface.formed();
        assert_eq!(next, Address { cidr: next.cidr, ..first }, "what else is known stays");
        assert_eq!(interface.receive(ROUTER, 10, router(0), &option), [], "no other is formed meanwhile");
    }
    assert_eq!(interface.conflict(address), None);
    assert_eq!((interface.formed().address(), interface.formed().state(at(10))), (address.into(), State::Duplicated));
    assert_eq!(interface.receive(ROUTER, 10, router(0), &option), [], "the prefix is not tried again");
    // When the address is removed, the prefix is forgotten.
    assert_eq!(interface.addresses.expire(at(7210)).len(), 1);
    assert_eq!(interface.receive(ROUTER, 7210, router(0), &option).len(), 1);
    let first = interface.candidate("2001:db8:1::", 0);
    assert_eq!(interface.formed().address(), IpAddr::V6(first));
    assert_eq!(interface.conflict(first), Some(interface.candidate("2001:db8:1::", 1)));
}

#[test]
fn only_tentative_addresses_have_conflicts() {
    let mut interface = Interface::new();
    interface.receive(ROUTER, 10, router(0), &[prefix("2001:db8:1::/64", AUTONOMOUS, 7200, 3600)]);
    let address = interface.candidate("2001:db8:1::", 0);
    assert!(interface.addresses.assign(address.into()));
    assert_eq!((interface.conflict(address), interface.conflict(v6("fe80::99"))), (None, None));
    assert_eq!((interface.formed().detection, interface.addresses.len()), (Detection::Passed, 2));
    assert_eq!(interface.conflict(v6("2001:db8::1")), None, "nobody has it");
}

#[test]
fn one_with_a_fixed_identifier_gives_up_at_once() {
    let mut interface = Interface::new();
    let identify = |_, counter| StableIdentifier { bits: 0x00ff_fe00_0005, counter };
    let bytes = router(0).message(&[prefix("2001:db8:1::/64", AUTONOMOUS, 7200, 3600)]);
    let received =
        Received { source: ROUTER, destination: all_nodes(), hop_limit: 255, fragmented: false, bytes: &bytes };
    let Ok(Message::RouterAdvertisement(advertisement)) = Message::read(&received, false) else { panic!() };
    let Interface { discovery, addresses, routes, .. } = &mut interface;
    discovery.receive(&advertisement, at(0), addresses, routes, identify);
    assert_eq!(discovery.conflict(v6("2001:db8:1::ff:fe00:5"), addresses, identify), None);
    assert_eq!(interface.formed().detection, Detection::Failed);
}

#[test]
fn an_mtu_is_believed_that_the_link_can_have() {
    let mut interface = Interface::new();
    for (advertised, told) in [
        (1400, Some(1400)),
        (1400, None),
        (1279, None),
        (1501, None),
        (u32::MAX, None),
        (0, None),
        (1280, Some(1280)),
        (1500, Some(1500)),
    ] {
        let told: Vec<Effect> = told.into_iter().map(|mtu| Effect::Mtu(Some(mtu))).collect();
        assert_eq!(interface.receive(ROUTER, 0, router(0), &[mtu(advertised)]), told, "{advertised}");
    }
    assert_eq!(interface.receive(ROUTER, 0, router(0), &[mtu(1300), mtu(9000)]), [Effect::Mtu(Some(1300))]);
    assert_eq!(interface.receive(ROUTER, 0, router(0), &[]), [], "it says nothing about it");
    assert_eq!(interface.discovery.parameters().mtu, Some(1300));
}

#[test]
fn parameters_are_told_when_they_change_and_kept_where_nothing_is_said() {
    let mut interface = Interface::new();
    let header = Header { hop_limit: 64, flags: 0xc0, lifetime: 0, reachable: 30_000, retransmit: 1000 };
    let times = |reachable, retransmit| Effect::Times {
        reachable: Some(Duration::from_millis(reachable)),
        retransmit: Some(Duration::from_millis(retransmit)),
    };
    let flags = Effect::Flags { managed: true, other: true };
    let all = [Effect::HopLimit(Some(64)), times(30_000, 1000), flags, Effect::Information(true)];
    assert_eq!(interface.receive(ROUTER, 0, header, &[]), all);
    assert_eq!(interface.receive(ROUTER, 0, header, &[]), []);
    let unspecified = Header { hop_limit: 0, reachable: 0, retransmit: 500, ..header };
    assert_eq!(interface.receive(ROUTER, 0, unspecified, &[]), [times(30_000, 500)]);
    let flags = interface.receive(ROUTER, 0, Header { flags: 0x40, ..unspecified }, &[]);
    assert_eq!(flags, [Effect::Flags { managed: false, other: true }]);
    assert_eq!(interface.discovery.parameters().hop_limit, Some(64));
}

#[test]
fn everything_that_routers_brought_is_withdrawn_and_nothing_else() {
    let mut interface = Interface::new();
    let header = Header { hop_limit: 64, flags: 0x80, lifetime: 1800, reachable: 1000, retransmit: 0 };
    let options = [
        prefix("2001:db8:1::/64", ON_LINK | AUTONOMOUS, 7200, 3600),
        route("2001:db8::/32", 0, 60),
        mtu(1400),
        servers(60, &[v6("fe80::53")]),
        search(60, &["example.org"]),
    ];
    interface.discovery.solicit(at(0));
    interface.receive(ROUTER, 0, header, &options);
    let address = interface.formed();
    let effects = interface.discovery.withdraw(&mut interface.addresses, &mut interface.routes);
    assert_eq!(effects[0], Effect::AddressRemoved(address));
    assert!(effects[1..4].iter().all(|effect| matches!(effect, Effect::RouteRemoved(_))), "{effects:?}");
    let rest = [
        Effect::Mtu(None),
        Effect::HopLimit(None),
        Effect::Times { reachable: None, retransmit: None },
        Effect::Flags { managed: false, other: false },
        Effect::Servers,
        Effect::Domains,
        Effect::Information(false),
    ];
    assert_eq!(effects[4..], rest);
    assert_eq!((interface.addresses.len(), interface.routes.len()), (1, 0));
    assert_eq!((interface.discovery.servers().count(), interface.discovery.domains().count()), (0, 0));
    assert_eq!((interface.discovery.parameters(), interface.discovery.next_timeout()), (Parameters::default(), None));
    let lookup = interface.routes.lookup(v6("2001:db8::1").into(), &interface.addresses, |_| Reachability::Unknown);
    assert_eq!(lookup, Err(NoRoute::Missing));
    // When the same is advertised again, it is learnt as new.
    assert_eq!(interface.receive(ROUTER, 1, header, &options).len(), 11);
}

/// The flags M and O have no lifetime of their own.
#[test]
fn there_is_more_to_be_known_as_long_as_a_router_says_so() {
    let mut interface = Interface::new();
    let said = |flags, lifetime| Header { hop_limit: 0, flags, lifetime, reachable: 0, retransmit: 0 };
    let is_told = |effects: &[Effect]| {
        let told = |effect: &Effect| if let Effect::Information(is_there) = effect { Some(*is_there) } else { None };
        effects.iter().find_map(told)
    };
    assert_eq!(is_told(&interface.receive(ROUTER, 0, said(0x80, 100), &[])), Some(true));
    assert_eq!(is_told(&interface.receive(OTHER, 0, said(0x40, 0), &[])), None);
    assert_eq!(is_told(&interface.receive(OTHER, 10, said(0, 0), &[])), None);
    let mut random = Random::new([1; 32]);
    assert_eq!(interface.discovery.poll(at(99), &mut random), None);
    assert_eq!(interface.discovery.next_timeout(), Some(at(100)));
    assert_eq!(interface.discovery.poll(at(100), &mut random), Some(Effect::Information(false)));
    // The flags of a router that is not a default router are believed as well.
    assert_eq!(is_told(&interface.receive(ROUTER, 200, said(0x40, 0), &[])), Some(true));
    assert_eq!(interface.discovery.poll(at(200 + 65_534), &mut random), None);
    assert_eq!(is_told(&interface.receive(ROUTER, 300, said(0, 0), &[])), Some(false));
    assert_eq!(interface.discovery.next_timeout(), None);
}
