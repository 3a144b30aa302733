//! Forged answers from an attacker who does not see the queries are not accepted.

use std::net::IpAddr;
use std::time::Duration;

use futures_util::future;
use hickory_proto::op::Message;
use xila_network_host::device::hub::HubOptions;
use xila_network_host::socket::{ResolveError, UdpSocket};
use xila_network_tests::link::{Family, Link};

use super::{A, Asked, Reply, World, Zone, name, www};

/// The address in forged answers.
const FORGED: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(10, 6, 6, 6));

/// A forged answer by an attacker who does not know the case of the letters in the query.
fn forged(asked: &Asked) -> Message {
    let mut forged = Zone::default().host("www.example.", &FORGED.to_string()).answer(asked);
    forged.queries[0].set_name(name("www.example."));
    forged
}

fn with_id(message: &Message, id: u16) -> Vec<u8> {
    let mut octets = message.to_vec().unwrap();
    octets[..2].copy_from_slice(&id.to_be_bytes());
    octets
}

/// The forged answers have the server's address and port as their source and the query's port as their destination, and
/// arrive before the server's answer.
#[test]
fn a_forger_who_tries_every_identifier_does_not_win() {
    let options = HubOptions { latency: Duration::from_millis(1), queue: 1 << 17, ..HubOptions::default() };
    let world = World::on(Link::new(1, options), |asked| {
        if asked.by_tcp {
            return Reply::Answer(www().answer(asked));
        }
        let forged = forged(asked);
        let guesses = (0..=u16::MAX).map(|id| with_id(&forged, id));
        Reply::Raw(guesses.chain([www().answer(asked).to_vec().unwrap()]).collect())
    });
    assert_eq!(world.resolve_v4("www.example").unwrap(), [Family::V4.host(80)]);
    let ways: Vec<bool> = world.server.take().iter().map(|asked| asked.by_tcp).collect();
    assert_eq!(ways, [false, true], "what is guessed at is asked for in another way");
}

#[test]
fn a_forger_who_knows_the_identifier_but_not_the_case_does_not_win() {
    let world = World::with(|asked| {
        let right = www().answer(asked).to_vec().unwrap();
        Reply::Raw(if asked.by_tcp { vec![right] } else { vec![with_id(&forged(asked), asked.message.id), right] })
    });
    assert_eq!(world.resolve_v4("www.example").unwrap(), [Family::V4.host(80)]);
}

/// A forger needs as many packets as there are identifiers, but only the first few are looked at.
#[test]
fn a_forger_has_few_guesses() {
    let world = World::with(|asked| {
        if asked.by_tcp {
            return Reply::Answer(www().answer(asked));
        }
        // Here the forger knows the case of the letters, but its seventeenth guess comes too late.
        let mut forged = forged(asked);
        forged.queries = vec![asked.query().clone()];
        let wrong = (1..=16).map(|other| with_id(&forged, asked.message.id ^ other));
        Reply::Raw(wrong.chain([with_id(&forged, asked.message.id)]).collect())
    });
    assert_eq!(world.resolve_v4("www.example").unwrap(), [Family::V4.host(80)]);
}

/// The forger knows everything but the ports: it sends from another port to the client's port, and from the server's
/// port to other ports of the client.
#[test]
fn a_forger_who_does_not_have_the_ports_does_not_win() {
    let world = World::with(|_| Reply::Silence);
    let (link, server) = (&world.link, world.link.server.at(Family::V4, 53));
    let other = UdpSocket::bind(&link.server.network, link.server.at(Family::V4, 5353)).unwrap();
    let lookup = async { world.resolver.lookup("www.example", A).await };
    let forge = async {
        link.sleep(Duration::from_millis(100)).await;
        let asked = world.server.take().remove(0);
        let answer = Zone::default().host("www.example.", &FORGED.to_string()).answer(&asked).to_vec().unwrap();
        other.send_to(&answer, asked.from).await.unwrap();
    };
    let (found, ()) = link.block_on(future::join(lookup, forge));
    assert_eq!(found, Err(ResolveError::ServersUnreachable), "from another port than {server}");
}

#[test]
fn queries_have_random_case_and_results_have_the_case_of_the_given_name() {
    let world = World::new(www());
    let resolver = world.resolver.clone();
    let mut written = std::collections::BTreeSet::new();
    for _ in 0..16 {
        let reply = world.link.block_on(resolver.ask(None, "www.example", A)).unwrap();
        assert_eq!(reply.records[0].name, "www.example.");
        written.extend(world.server.take().iter().map(|asked| asked.query().name().to_ascii()));
    }
    assert!(written.len() > 12, "{written:?}");
}

#[test]
fn a_server_that_answers_in_small_letters_is_queried_by_tcp() {
    let world = World::with(|asked| {
        let mut answer = www().answer(asked);
        answer.queries[0].set_name(name("www.example."));
        Reply::Answer(answer)
    });
    assert_eq!(world.resolve_v4("www.example").unwrap(), [Family::V4.host(80)]);
    let ways: Vec<bool> = world.server.take().iter().map(|asked| asked.by_tcp).collect();
    assert_eq!(ways, [false, true]);
}

/// Everything that a forger would have to guess is derived from the platform's random numbers, and from nothing else.
#[test]
fn queries_are_derived_from_the_seed_and_from_nothing_else() {
    let asked = |seed| {
        let world = World::on(Link::plain(seed), |asked| Reply::Answer(www().answer(asked)));
        for host in 0..8 {
            world.resolve(&format!("host-{host}.example")).unwrap_err();
        }
        let what = |asked: &Asked| (asked.from.port(), asked.message.id, asked.query().name().to_ascii());
        world.server.take().iter().map(what).collect::<Vec<_>>()
    };
    assert_eq!(asked(7), asked(7));
    assert_ne!(asked(7), asked(8));
}
