//! Information from DHCP and routers other than addresses and routes: search domains, NTP servers and the DHCPv6 flags;
//! and the autoconfiguration state, which tells whether there is more to wait for.

use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use xila_network_host::InterfaceConfig;
use xila_network_host::interface::AutoconfigurationState::{self, Configured, NoRouter, Off, Searching};
use xila_network_host::interface::{AutoconfigurationStatus, Change, DhcpState};

use super::World;
use super::router::{ALL_NODES, NETWORK, ROUTER, advertise, advertisement, frame, made, prefix, settled};

const DOMAIN: u8 = 15;
const NTP_SERVERS: u8 = 42;
const SEARCH: u8 = 119;

/// Encodes a name as labels (RFC 1035 section 3.1).
pub(super) fn labels(name: &str) -> Vec<u8> {
    let label = |label: &str| [&[u8::try_from(label.len()).unwrap()], label.as_bytes()].concat();
    let mut labels: Vec<u8> = name.split('.').flat_map(label).collect();
    labels.push(0);
    labels
}

/// The DNS search list option of a router advertisement (RFC 8106 section 5.2).
fn domains(lifetime: u32, names: &[&str]) -> Vec<u8> {
    let mut option = [&[31, 0, 0, 0][..], &lifetime.to_be_bytes()].concat();
    option.extend(names.iter().flat_map(|name| labels(name)));
    option.resize(option.len().next_multiple_of(8), 0);
    option[1] = u8::try_from(option.len() / 8).unwrap();
    option
}

/// Sends a router advertisement with the flags M and O (RFC 4861 section 4.2).
pub(super) fn advertise_flags(world: &World, managed: bool, other: bool) {
    let mut message = advertisement(1800, &[]);
    message[5] = u8::from(managed) << 7 | u8::from(other) << 6;
    world.server.send(&frame(ROUTER, ALL_NODES, 255, &message));
    world.advance(1);
}

fn autoconfiguration(world: &World) -> AutoconfigurationState {
    world.interface.autoconfiguration_status().state
}

/// The changes of this information since the last call.
fn told(world: &World) -> Vec<Change> {
    let is_of_it = |change: &Change| matches!(change, Change::Autoconfiguration(_) | Change::SearchDomains);
    world.changes().into_iter().filter(is_of_it).collect()
}

#[test]
fn a_lease_says_where_names_are_looked_for_and_who_knows_the_time() {
    let world = World::with(World::ipv4());
    world.serve(|server| {
        server.terms.others = vec![
            (DOMAIN, b"Example.TEST".to_vec()),
            (SEARCH, [labels("a.example.test"), labels("b.example.test")].concat()),
            (NTP_SERVERS, vec![10, 9, 0, 7, 10, 9, 0, 8]),
        ];
    });
    assert_eq!(world.interface.search_domains(), [] as [&str; 0]);
    world.interface.set_dhcp(true).unwrap();
    world.advance(1);
    let lease = world.interface.dhcp().lease.unwrap();
    assert_eq!(lease.domain.as_deref(), Some("example.test"));
    assert_eq!(lease.search_domains, ["a.example.test", "b.example.test"]);
    assert_eq!(lease.ntp_servers, [Ipv4Addr::new(10, 9, 0, 7), Ipv4Addr::new(10, 9, 0, 8)]);
    assert_eq!(world.interface.search_domains(), ["a.example.test", "b.example.test"]);
    assert_eq!(world.manager.network().search_domains(), ["a.example.test", "b.example.test"]);
    assert_eq!(told(&world), [Change::SearchDomains]);
    // The same information again is reported as no change.
    world.advance(450);
    assert_eq!(world.changes(), [Change::Dhcp(DhcpState::Bound)]);
    world.interface.set_dhcp(false).unwrap();
    assert_eq!((world.interface.search_domains(), told(&world)), (vec![], vec![Change::SearchDomains]));
}

#[test]
fn the_domain_of_a_lease_is_searched_where_there_is_no_list() {
    let world = World::with(World::ipv4());
    world.serve(|server| server.terms.others = vec![(DOMAIN, b"example.test".to_vec())]);
    world.interface.set_dhcp(true).unwrap();
    world.advance(1);
    assert_eq!(world.interface.search_domains(), ["example.test"]);
    // A renewal brings another domain.
    world.serve(|server| server.terms.others = vec![(DOMAIN, b"other.test".to_vec())]);
    world.changes();
    world.advance(450);
    assert_eq!(
        (world.interface.search_domains(), told(&world)),
        (vec!["other.test".to_owned()], vec![Change::SearchDomains])
    );
}

#[test]
fn the_domains_of_routers_come_behind_those_of_the_lease_each_once_and_run_out() {
    let world = World::with(InterfaceConfig { autoconfiguration: true, ..InterfaceConfig::default() });
    world.advance(5);
    advertise(&world, 1800, &[domains(100, &["Router.test", "both.test"])]);
    assert_eq!(world.interface.search_domains(), ["router.test", "both.test"]);
    world.serve(|server| {
        server.terms.others = vec![(SEARCH, [labels("lease.test"), labels("both.test")].concat())];
    });
    world.interface.set_dhcp(true).unwrap();
    world.advance(1);
    assert_eq!(world.interface.search_domains(), ["lease.test", "both.test", "router.test"]);
    told(&world);
    world.advance(100);
    assert_eq!(world.interface.search_domains(), ["lease.test", "both.test"]);
    assert_eq!(told(&world), [Change::SearchDomains]);
    advertise(&world, 1800, &[domains(100, &["both.test"])]);
    assert_eq!(told(&world), [], "it is in the list already");
    world.interface.set_dhcp(false).unwrap();
    assert_eq!(world.interface.search_domains(), ["both.test"]);
    world.interface.set_autoconfiguration(false).unwrap();
    assert_eq!(world.interface.search_domains(), [] as [&str; 0]);
}

#[test]
fn there_is_something_to_wait_for_until_an_address_that_was_formed_is_verified() {
    let world = settled();
    assert_eq!(autoconfiguration(&world), Searching);
    world.server.send(&frame(ROUTER, ALL_NODES, 255, &advertisement(1800, &[prefix(NETWORK, 3600, 1800)])));
    // Duplicate address detection alone takes a second (RFC 4862 section 5.4).
    world.simulation.advance(Duration::from_millis(900));
    assert_eq!((autoconfiguration(&world), told(&world)), (Searching, vec![]));
    world.advance(3);
    assert_eq!(autoconfiguration(&world), Configured);
    let changes = world.changes();
    let last = [Change::AddressAdded(made(&world, NETWORK)), Change::Autoconfiguration(Configured)];
    assert_eq!(changes[changes.len() - 2..], last);
    world.interface.set_autoconfiguration(false).unwrap();
    assert_eq!((autoconfiguration(&world), told(&world)), (Off, vec![Change::Autoconfiguration(Off)]));
    world.interface.set_autoconfiguration(true).unwrap();
    assert_eq!((autoconfiguration(&world), told(&world)), (Searching, vec![Change::Autoconfiguration(Searching)]));
}

/// RFC 4861 section 6.3.7: without an answer to its solicitations, the host concludes that there is no router.
#[test]
fn there_is_nothing_more_to_wait_for_where_no_router_answers() {
    let world = settled();
    world.advance(4);
    assert_eq!((autoconfiguration(&world), told(&world)), (Searching, vec![]));
    world.advance(8);
    assert_eq!((autoconfiguration(&world), told(&world)), (NoRouter, vec![Change::Autoconfiguration(NoRouter)]));
    world.advance(100);
    assert_eq!(told(&world), []);
    // A router may appear later and advertise itself.
    advertise(&world, 1800, &[prefix(NETWORK, 3600, 1800)]);
    assert_eq!(autoconfiguration(&world), Configured);
}

/// Such a router exists, for instance, in networks whose addresses come from DHCPv6.
#[test]
fn a_router_that_advertises_no_prefix_is_an_answer_too_and_its_flags_are_told() {
    let world = settled();
    advertise_flags(&world, true, false);
    let status = |managed, other| AutoconfigurationStatus { state: Configured, managed, other };
    assert_eq!(world.interface.autoconfiguration_status(), status(true, false));
    assert_eq!(told(&world), [Change::Autoconfiguration(Configured)]);
    advertise_flags(&world, true, false);
    assert_eq!(told(&world), [], "the same again is no news");
    advertise_flags(&world, false, true);
    assert_eq!(world.interface.autoconfiguration_status(), status(false, true));
    assert_eq!(told(&world), [Change::Autoconfiguration(Configured)]);
    world.interface.set_autoconfiguration(false).unwrap();
    assert_eq!(world.interface.autoconfiguration_status(), AutoconfigurationStatus::default());
}

#[test]
fn what_was_told_is_gone_with_the_interface() {
    let world = settled();
    advertise(&world, 1800, &[prefix(NETWORK, 3600, 1800), domains(100, &["router.test"])]);
    assert_eq!(autoconfiguration(&world), Configured);
    world.manager.unmount_interface("eth0").unwrap();
    assert_eq!(autoconfiguration(&world), Off);
    assert_eq!(world.manager.network().search_domains(), [] as [&str; 0]);
    assert_eq!(world.interface.dns_servers(), [] as [IpAddr; 0]);
}
