//! Answers that are not complete by UDP are queried again by TCP, whatever the answer by UDP contained.

use std::net::IpAddr;
use std::time::Duration;

use hickory_proto::op::{Message, ResponseCode};
use hickory_proto::rr::rdata::TXT;
use hickory_proto::rr::{RData, Record};
use xila_network_host::socket::ResolveError;
use xila_network_tests::link::Family;

use super::{A, Asked, Reply, World, Zone, name, www};

/// The regular answer by TCP; by UDP the answer that `by_udp` makes of it, with the flag TC.
fn flagged(asked: &Asked, by_udp: impl Fn(&mut Message)) -> Reply {
    let mut answer = www().answer(asked);
    if !asked.by_tcp {
        answer.metadata.truncation = true;
        by_udp(&mut answer);
    }
    Reply::Answer(answer)
}

fn ways(world: &World) -> Vec<bool> {
    world.server.take().iter().map(|asked| asked.by_tcp).collect()
}

#[test]
fn a_truncated_answer_is_queried_again_by_tcp() {
    let texts = vec![vec![b'x'; 255]; 40];
    let data = RData::TXT(TXT::from_bytes(texts.iter().map(Vec::as_slice).collect()));
    let zone = Zone::default().with("big.example.", 60, data);
    let world = World::with(move |asked| {
        let answer = zone.answer(asked);
        Reply::Answer(if asked.by_tcp { answer } else { answer.truncate() })
    });
    let records = world.lookup("big.example", 16).unwrap();
    assert_eq!(records[0].data, xila_network_host::socket::dns::RecordData::Txt(texts));
    let by_tcp: Vec<bool> = world.server.take().iter().map(|asked| asked.by_tcp).collect();
    assert_eq!(by_tcp, [false, true]);
    world.pass(60);
    world.link.client.assert_empty();
}

#[test]
fn the_contents_of_a_truncated_answer_are_not_used() {
    let parts: [fn(&mut Message); 6] = [
        |answer| {
            let data = RData::from(IpAddr::from([10, 6, 6, 6]));
            answer.answers = vec![Record::from_rdata(name("www.example."), 60, data)];
        },
        |answer| {
            answer.answers.clear();
            answer.metadata.response_code = ResponseCode::NXDomain;
        },
        |answer| answer.metadata.response_code = ResponseCode::ServFail,
        |answer| answer.metadata.response_code = ResponseCode::FormErr,
        |answer| answer.answers.clear(),
        |_| {},
    ];
    for (case, by_udp) in parts.into_iter().enumerate() {
        let world = World::with(move |asked| flagged(asked, by_udp));
        assert_eq!(world.resolve_v4("www.example").unwrap(), [Family::V4.host(80)], "{case}");
        assert_eq!(ways(&world), [false, true], "{case}");
    }
}

/// The message may end anywhere after its question.
#[test]
fn an_answer_that_is_truncated_without_the_flag_is_queried_again_by_tcp() {
    // An address record has sixteen octets, because its name is a reference to the name in the question.
    for missing in 1..=16 {
        let world = World::with(move |asked| {
            let mut answer = www().answer(asked).to_vec().unwrap();
            if !asked.by_tcp {
                answer.truncate(answer.len() - missing);
            }
            Reply::Raw(vec![answer])
        });
        assert_eq!(world.resolve_v4("www.example").unwrap(), [Family::V4.host(80)], "{missing}");
        assert_eq!(ways(&world), [false, true], "{missing}");
    }
}

#[test]
fn an_unreadable_answer_is_queried_again_by_tcp() {
    let world = World::with(|asked| {
        let mut answer = www().answer(asked).to_vec().unwrap();
        if !asked.by_tcp {
            // The length of the address.
            let place = answer.len() - 5;
            answer[place] = 3;
        }
        Reply::Raw(vec![answer])
    });
    assert_eq!(world.resolve_v4("www.example").unwrap(), [Family::V4.host(80)]);
    assert_eq!(ways(&world), [false, true]);
}

#[test]
fn an_answer_without_the_question_is_ignored() {
    let world = World::with(|asked| {
        let whole = www().answer(asked).to_vec().unwrap();
        Reply::Raw(vec![whole[..14].to_vec(), whole[..3].to_vec(), Vec::new(), whole])
    });
    assert_eq!(world.resolve_v4("www.example").unwrap(), [Family::V4.host(80)]);
    assert_eq!(ways(&world), [false]);
}

#[test]
fn the_advertised_udp_size_fits_any_link() {
    let world = World::new(www());
    world.resolve_v4("www.example").unwrap();
    let payload = world.server.take()[0].message.edns.as_ref().map(|edns| edns.max_payload());
    assert_eq!(payload, Some(1232));
}

#[test]
fn a_server_that_refuses_connections_is_followed_by_the_next_at_once() {
    let world = World::by_udp(|asked| flagged(asked, |_| {}));
    let second = world.second(www());
    let (found, took) =
        world.link.block_on(world.link.within(Duration::from_secs(1), world.resolver.lookup("www.example", A)));
    assert_eq!(found.unwrap().len(), 1);
    assert!(took < Duration::from_millis(20), "{took:?}");
    assert_eq!((world.server.take().len(), second.take().len()), (1, 1));
}

#[test]
fn a_server_that_refuses_connections_does_not_answer() {
    let world = World::by_udp(|asked| flagged(asked, |_| {}));
    let start = world.link.simulation.now();
    assert_eq!(world.resolve_v4("www.example"), Err(ResolveError::ServersUnreachable));
    assert!(world.link.simulation.now() - start < Duration::from_millis(50));
    world.pass(60);
    world.link.client.assert_empty();
}

#[test]
fn a_server_that_is_silent_on_its_connections_is_followed_by_the_next_after_the_timeout() {
    let world = World::with(|asked| if asked.by_tcp { Reply::Silence } else { flagged(asked, |_| {}) });
    let second = world.second(www());
    let start = world.link.simulation.now();
    assert_eq!(world.resolve_v4("www.example").unwrap(), [Family::V4.host(80)]);
    let took = world.link.simulation.now() - start;
    assert!((Duration::from_secs(5)..Duration::from_millis(5100)).contains(&took), "{took:?}");
    assert_eq!(second.take().len(), 1);
}
