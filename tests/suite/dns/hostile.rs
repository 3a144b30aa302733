//! Servers that break the rules of the protocol.

use std::time::Duration;

use hickory_proto::op::{Message, MessageType};
use hickory_proto::rr::{RData, Record};
use proptest::prelude::*;
use xila_network_host::socket::ResolveError;
use xila_network_tests::link::Family;

use super::{A, Asked, Reply, World, Zone, name, www};

/// How long two rounds of queries to one server may take.
const PATIENCE: Duration = Duration::from_secs(11);

/// Queries a server that answers with `reply`. Checks that the query ends in time and leaves nothing; returns the
/// result.
fn ask(reply: impl FnMut(&Asked) -> Reply + Send + 'static) -> Result<usize, ResolveError> {
    let world = World::with(reply);
    let query = world.resolver.lookup("www.example", A);
    let (result, _) = world.link.block_on(world.link.within(PATIENCE, query));
    world.pass(60);
    world.link.client.assert_empty();
    result.map(|records| records.len())
}

fn bytes(message: &Message) -> Vec<u8> {
    message.to_vec().unwrap()
}

#[test]
fn an_answer_with_another_identifier_is_ignored() {
    let forged = |asked: &Asked| {
        let mut forged = Zone::default().host("www.example.", "10.6.6.6").answer(asked);
        forged.metadata.id ^= 1;
        bytes(&forged)
    };
    assert_eq!(ask(move |asked| Reply::Raw(vec![forged(asked)])), Err(ResolveError::ServersUnreachable));
    let world = World::with(move |asked| Reply::Raw(vec![forged(asked), bytes(&www().answer(asked))]));
    assert_eq!(world.resolve_v4("www.example").unwrap(), [Family::V4.host(80)]);
}

#[test]
fn an_answer_to_another_question_is_ignored() {
    let world = World::with(|asked| {
        let mut forged = Zone::default().host("www.example.", "10.6.6.6").answer(asked);
        forged.queries[0].set_name(name("other.example."));
        Reply::Raw(vec![bytes(&forged), bytes(&www().answer(asked))])
    });
    assert_eq!(world.resolve_v4("www.example").unwrap(), [Family::V4.host(80)]);
}

#[test]
fn an_echoed_query_is_not_an_answer() {
    let echoed = |asked: &Asked| {
        let mut echoed = asked.message.clone();
        echoed.metadata.message_type = MessageType::Query;
        Reply::Answer(echoed)
    };
    assert_eq!(ask(echoed), Err(ResolveError::ServerFailure));
}

#[test]
fn records_of_other_names_are_not_used() {
    let world = World::with(|asked| {
        let mut answer = www().answer(asked);
        let data = RData::from(std::net::IpAddr::from([10, 6, 6, 6]));
        answer.add_answer(Record::from_rdata(name("bank.example."), 60, data.clone()));
        answer.add_additional(Record::from_rdata(name("bank.example."), 60, data));
        Reply::Answer(answer)
    });
    assert_eq!(world.lookup("www.example", A).unwrap().len(), 1);
    assert_eq!(world.resolve_v4("bank.example").unwrap().len(), 1, "asked for by itself");
    assert_eq!(world.asked(), ["www.example. A", "bank.example. A"]);
}

#[test]
fn loops_of_aliases_end() {
    let in_one_answer = |asked: &Asked| {
        let mut answer = asked.response();
        for (owner, target) in [("www.example.", "b.example."), ("b.example.", "www.example.")] {
            let data = RData::CNAME(hickory_proto::rr::rdata::CNAME(name(target)));
            answer.add_answer(Record::from_rdata(name(owner), 60, data));
        }
        Reply::Answer(answer)
    };
    assert_eq!(ask(in_one_answer), Err(ResolveError::ServerFailure));
    let from_answer_to_answer = |asked: &Asked| {
        let mut answer = asked.response();
        let target = name(&format!("x{}", asked.name()));
        let data = RData::CNAME(hickory_proto::rr::rdata::CNAME(target));
        answer.add_answer(Record::from_rdata(asked.query().name().clone(), 60, data));
        Reply::Answer(answer)
    };
    let world = World::with(from_answer_to_answer);
    assert_eq!(world.lookup("www.example", A), Err(ResolveError::ServerFailure));
    assert_eq!(world.asked().len(), 8);
}

#[test]
fn a_name_that_points_at_itself_ends() {
    let endless = |asked: &Asked| {
        let mut message = bytes(&asked.response());
        message[7] = 1;
        let here = u16::try_from(message.len()).unwrap() | 0xc000;
        message.extend(here.to_be_bytes());
        message.extend([0, 1, 0, 1, 0, 0, 0, 60, 0, 4, 10, 0, 0, 1]);
        Reply::Raw(vec![message])
    };
    assert_eq!(ask(endless), Err(ResolveError::ServerFailure));
}

#[test]
fn an_answer_that_never_ends_is_given_up() {
    for claimed in [0, 1, 12, 65_535] {
        let reply = move |asked: &Asked| {
            if !asked.by_tcp {
                let mut cut_off = asked.response();
                cut_off.metadata.truncation = true;
                return Reply::Answer(cut_off);
            }
            Reply::Raw(vec![vec![0; claimed]; 4])
        };
        let failure = ask(reply).unwrap_err();
        assert!(matches!(failure, ResolveError::ServerFailure | ResolveError::ServersUnreachable), "{claimed}");
    }
}

#[test]
fn a_connection_on_which_nothing_comes_is_given_up() {
    let silent = |asked: &Asked| {
        let mut cut_off = asked.response();
        cut_off.metadata.truncation = true;
        if asked.by_tcp { Reply::Silence } else { Reply::Answer(cut_off) }
    };
    assert_eq!(ask(silent), Err(ResolveError::ServersUnreachable));
}

#[test]
fn an_answer_that_is_truncated_by_tcp_too_is_not_used() {
    let cut_off = |asked: &Asked| {
        let mut cut_off = www().answer(asked);
        cut_off.metadata.truncation = true;
        Reply::Answer(cut_off)
    };
    assert_eq!(ask(cut_off), Err(ResolveError::ServerFailure));
}

#[test]
fn an_answer_to_another_question_is_not_used_by_tcp_either() {
    for changed in 0..2 {
        let forged = move |asked: &Asked| {
            let mut forged = www().answer(asked);
            forged.metadata.truncation = !asked.by_tcp;
            if asked.by_tcp && changed == 0 {
                forged.metadata.id ^= 1;
            } else if asked.by_tcp {
                forged.queries[0].set_name(name("other.example."));
            }
            Reply::Answer(forged)
        };
        assert_eq!(ask(forged), Err(ResolveError::ServerFailure));
    }
}

#[test]
fn as_many_addresses_as_fit_are_taken() {
    let reply = |asked: &Asked| {
        let mut answer = asked.response();
        if !asked.by_tcp {
            answer.metadata.truncation = true;
            return Reply::Answer(answer);
        }
        for host in 0..2400_u32 {
            let address = std::net::IpAddr::from((0x0a01_0000 + host).to_be_bytes());
            answer.add_answer(Record::from_rdata(asked.query().name().clone(), 60, RData::from(address)));
        }
        Reply::Answer(answer)
    };
    let world = World::with(reply);
    assert_eq!(world.resolve_v4("www.example").unwrap().len(), 2400);
    world.server.take();
    world.resolve_v4("www.example").unwrap();
    assert_eq!(world.server.take().len(), 2, "so large an answer is not kept");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn garbage_is_an_error(garbage in prop::collection::vec(any::<u8>(), 0..600), by_tcp: bool) {
        // The answer has the identifier and the question of the query, to pass the first checks.
        let result = ask(move |asked| {
            let mut response = asked.response();
            if by_tcp && !asked.by_tcp {
                response.metadata.truncation = true;
                return Reply::Answer(response);
            }
            let mut message = bytes(&response);
            message[7] = 1;
            message.extend(&garbage);
            Reply::Raw(vec![garbage.clone(), message])
        });
        prop_assert!(result.is_err() || result == Ok(1));
    }

    #[test]
    fn an_answer_with_bytes_changed_is_no_panic(
        changes in prop::collection::vec((2_usize..200, any::<u8>()), 1..8),
    ) {
        let zone = www().alias("x.example.", "www.example.");
        let result = ask(move |asked| {
            let mut message = bytes(&zone.answer(asked));
            for (place, value) in &changes {
                let place = place % message.len();
                if place >= 2 {
                    message[place] = *value;
                }
            }
            Reply::Raw(vec![message])
        });
        prop_assert!(result.is_err() || result.is_ok_and(|count| count > 0));
    }

    #[test]
    fn any_text_is_a_name_or_is_not(text in ".{0,80}") {
        let world = World::new(Zone::default());
        // Whatever the result is, the query ends and leaves nothing.
        let found = world.resolve(&text);
        prop_assert!(found.is_err() || found.is_ok_and(|found| !found.is_empty()));
        world.link.client.assert_empty();
    }
}
