//! Who does not see the questions does not guess the answers.

use std::net::IpAddr;
use std::time::Duration;

use futures_util::future;
use hickory_proto::op::Message;
use xila_network_host::device::hub::HubOptions;
use xila_network_host::socket::{ResolveError, UdpSocket};
use xila_network_tests::link::{Family, Link};

use super::{A, Asked, Reply, World, Zone, name, www};

/// What a forger wants to be believed.
const FORGED: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(10, 6, 6, 6));

/// The answer of somebody who does not know in which case the name was asked for.
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

/// From the server's address and port, and to the port that the question came from, before the server itself answers.
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

/// He needs as many packets as there are identifiers, and has the first few only.
#[test]
fn a_forger_has_few_guesses() {
    let world = World::with(|asked| {
        if asked.by_tcp {
            return Reply::Answer(www().answer(asked));
        }
        // By chance he would know the case: then his seventeenth guess comes too late.
        let mut forged = forged(asked);
        forged.queries = vec![asked.query().clone()];
        let wrong = (1..=16).map(|other| with_id(&forged, asked.message.id ^ other));
        Reply::Raw(wrong.chain([with_id(&forged, asked.message.id)]).collect())
    });
    assert_eq!(world.resolve_v4("www.example").unwrap(), [Family::V4.host(80)]);
}

/// He knows all but the ports: he tries the client's from one of his own, and others of the client's from the server's.
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
fn names_are_asked_for_in_letters_of_changing_case_and_told_as_they_were_given() {
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
fn a_server_that_answers_in_small_letters_is_asked_by_tcp() {
    let world = World::with(|asked| {
        let mut answer = www().answer(asked);
        answer.queries[0].set_name(name("www.example."));
        Reply::Answer(answer)
    });
    assert_eq!(world.resolve_v4("www.example").unwrap(), [Family::V4.host(80)]);
    let ways: Vec<bool> = world.server.take().iter().map(|asked| asked.by_tcp).collect();
    assert_eq!(ways, [false, true]);
}

/// The platform's chance decides about all that a forger would have to guess, and nothing else does.
#[test]
fn questions_follow_from_the_seed_and_from_nothing_else() {
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
