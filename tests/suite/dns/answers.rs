//! The answers of servers, and the results that are made from them.

use hickory_proto::op::ResponseCode;
use hickory_proto::rr::rdata::{CNAME, MX, NS, NULL, PTR, SRV, TXT};
use hickory_proto::rr::{RData, RecordType};
use xila_network_host::socket::ResolveError;
use xila_network_host::socket::dns::RecordData;
use xila_network_tests::link::Family;

use super::{A, AAAA, Reply, World, Zone, name, www};

#[test]
fn each_family_is_queried_exactly_once() {
    let world = World::new(www());
    assert_eq!(world.resolve("www.example").unwrap(), ["10.0.0.80", "fd00::80"]);
    let mut asked = world.asked();
    asked.sort();
    assert_eq!(asked, ["www.example. A", "www.example. AAAA"]);
    assert_eq!(world.resolve_v4("www.example").unwrap(), [Family::V4.host(80)]);
}

#[test]
fn only_the_requested_family_is_queried() {
    let world = World::new(www());
    assert_eq!(world.resolve_v4("www.example").unwrap(), [Family::V4.host(80)]);
    assert_eq!(world.asked(), ["www.example. A"]);
}

#[test]
fn both_families_are_queried_at_once() {
    let world = World::new(www());
    let start = world.link.simulation.now();
    world.resolve("www.example").unwrap();
    // One round trip after the neighbour is resolved, not two.
    assert!(world.link.simulation.now() - start < std::time::Duration::from_millis(6));
}

#[test]
fn a_family_that_fails_does_not_end_the_other() {
    for (failing, code) in
        [("A", ResponseCode::ServFail), ("AAAA", ResponseCode::ServFail), ("A", ResponseCode::Refused)]
    {
        let world =
            World::with(
                move |asked| {
                    if asked.kind() == failing { asked.failing(code) } else { Reply::Answer(www().answer(asked)) }
                },
            );
        let expected = if failing == "A" { "fd00::80" } else { "10.0.0.80" };
        assert_eq!(world.resolve("www.example").unwrap(), [expected], "{failing}");
    }
}

#[test]
fn a_family_that_is_never_answered_does_not_lose_the_other() {
    let world =
        World::with(|asked| if asked.kind() == "AAAA" { Reply::Silence } else { Reply::Answer(www().answer(asked)) });
    assert_eq!(world.resolve("www.example").unwrap(), ["10.0.0.80"]);
}

#[test]
fn a_chain_of_aliases_leads_to_the_addresses() {
    let world = World::new(www().alias("a.example.", "b.example.").alias("b.example.", "www.example."));
    assert_eq!(world.resolve("a.example").unwrap(), ["10.0.0.80", "fd00::80"]);
    let records = world.lookup("a.example", A).unwrap();
    let owners: Vec<&str> = records.iter().map(|record| record.name.as_str()).collect();
    assert_eq!(owners, ["a.example.", "b.example.", "www.example."]);
    assert_eq!(records[0].data, RecordData::Name("b.example.".into()));
    assert_eq!(records[2].data, RecordData::Address(Family::V4.host(80)));
}

#[test]
fn the_target_of_an_alias_is_queried_if_it_is_not_in_the_answer() {
    let world = World::with(|asked| {
        let mut answer = Zone::answer(&www().alias("a.example.", "www.example."), asked);
        answer.answers.truncate(1);
        Reply::Answer(answer)
    });
    assert_eq!(world.resolve_v4("a.example").unwrap(), [Family::V4.host(80)]);
    assert_eq!(world.asked(), ["a.example. A", "www.example. A"]);
}

#[test]
fn a_missing_name_and_a_missing_record_are_different_errors() {
    let world = World::new(www().host("four.example.", "10.0.0.4").alias("broken.example.", "gone.example."));
    assert_eq!(world.resolve("gone.example"), Err(ResolveError::NameNotFound));
    assert_eq!(world.lookup("gone.example", AAAA), Err(ResolveError::NameNotFound));
    assert_eq!(world.resolve("broken.example"), Err(ResolveError::NameNotFound));
    assert_eq!(world.lookup("four.example", AAAA), Err(ResolveError::NoRecords));
    assert_eq!(world.resolve("four.example").unwrap(), ["10.0.0.4"]);
}

#[test]
fn records_of_all_types_are_decoded() {
    let octets: &[u8] = &[0xff, 0, b'x'];
    let world = World::new(
        Zone::default()
            .with("x.example.", 7, RData::MX(MX::new(10, name("mail.example."))))
            .with("x.example.", 7, RData::TXT(TXT::from_bytes(vec![b"text", octets])))
            .with("x.example.", 7, RData::NS(NS(name("ns.example."))))
            .with("_s._tcp.example.", 7, RData::SRV(SRV::new(1, 2, 3, name("host.example."))))
            .with("x.example.", 7, RData::Unknown { code: RecordType::from(65_280), rdata: NULL::with(vec![1, 2, 3]) })
            .with("alias.example.", 7, RData::CNAME(CNAME(name("x.example.")))),
    );
    let data = |name: &str, kind: u16| {
        let records = world.lookup(name, kind).unwrap_or_else(|error| panic!("{name} {kind}: {error}"));
        let [record] = &records[..] else { panic!("{records:?}") };
        assert_eq!((record.record_type, record.ttl), (kind, 7));
        record.data.clone()
    };
    assert_eq!(data("x.example", 15), RecordData::Mx { preference: 10, exchange: "mail.example.".into() });
    assert_eq!(data("x.example", 16), RecordData::Txt(vec![b"text".to_vec(), octets.to_vec()]));
    assert_eq!(data("x.example", 2), RecordData::Name("ns.example.".into()));
    let srv = RecordData::Srv { priority: 1, weight: 2, port: 3, target: "host.example.".into() };
    assert_eq!(data("_s._tcp.example", 33), srv);
    assert_eq!(data("x.example", 65_280), RecordData::Other(vec![1, 2, 3]));
    assert_eq!(data("alias.example", 5), RecordData::Name("x.example.".into()));
    assert_eq!(world.lookup("x.example", 0), Err(ResolveError::NoRecords));
}

#[test]
fn the_names_of_an_address_are_found() {
    let reversed = "1.2.0.192.in-addr.arpa.";
    let six = "1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa.";
    let world = World::new(
        Zone::default()
            .with(reversed, 60, RData::PTR(PTR(name("one.example."))))
            .with(reversed, 60, RData::PTR(PTR(name("two.example."))))
            .with(six, 60, RData::PTR(PTR(name("six.example.")))),
    );
    let reverse = |address: &str| world.link.block_on(world.resolver.reverse(address.parse().unwrap()));
    assert_eq!(reverse("192.0.2.1").unwrap(), ["one.example.", "two.example."]);
    assert_eq!(reverse("::ffff:192.0.2.1"), Err(ResolveError::InvalidAddress));
    assert_eq!(reverse("2001:db8::1").unwrap(), ["six.example."]);
    assert_eq!(reverse("192.0.2.2"), Err(ResolveError::NameNotFound));
}

#[test]
fn two_queries_at_once_proceed() {
    let world =
        World::with(
            |asked| {
                if asked.name() == "slow.example." { Reply::Silence } else { Reply::Answer(www().answer(asked)) }
            },
        );
    let resolver = world.resolver.clone();
    world.link.simulation.spawn(async move {
        assert_eq!(resolver.resolve("slow.example", None).await, Err(ResolveError::ServersUnreachable));
    });
    world.link.simulation.run_ready();
    let start = world.link.simulation.now();
    assert_eq!(world.resolve("www.example").unwrap().len(), 2);
    assert!(world.link.simulation.now() - start < std::time::Duration::from_millis(10));
}

#[test]
fn the_futures_can_be_sent_to_another_thread() {
    fn is_send(_: impl Send) {}
    let world = World::new(www());
    is_send(world.resolver.resolve("www.example", None));
    is_send(world.resolver.lookup("www.example", A));
    is_send(world.resolver.reverse(Family::V4.host(1)));
}
