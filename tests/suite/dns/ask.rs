//! `ask`: one question to one server, whose answer is returned unprocessed.

use std::net::IpAddr;
use std::time::Duration;

use hickory_proto::op::ResponseCode;
use xila_network_host::socket::dns::{RecordData, Reply as Told};
use xila_network_host::socket::{ResolveError, Resolver, ResolverOptions};
use xila_network_tests::link::{Family, Link};

use super::{A, Reply, Server, World, Zone, www};

impl World {
    fn ask(&self, server: Option<IpAddr>, name: &str, kind: u16) -> Result<Told, ResolveError> {
        self.link.block_on(self.resolver.ask(server, name, kind))
    }
}

#[test]
fn only_the_given_server_is_queried() {
    let world = World::new(www());
    let named = Family::V6.host(2);
    let zone = Zone::default().host("www.example.", "10.0.0.90");
    let answer = move |asked: &super::Asked| Reply::Answer(zone.answer(asked));
    let server = Server::start(&world.link, &world.link.server.network, named, answer);
    let reply = world.ask(Some(named), "www.example", A).unwrap();
    assert_eq!((reply.server, reply.code, reply.by_tcp), (Some(named), 0, false));
    assert_eq!(reply.records[0].data, RecordData::Address(Family::V4.host(90)));
    assert_eq!((world.server.take().len(), server.take().len()), (0, 1));
    // The answer is not cached for other queries.
    assert_eq!(world.resolve_v4("www.example").unwrap(), [Family::V4.host(80)]);
    // And the answer is not taken from the cache.
    let reply = world.ask(None, "www.example", A).unwrap();
    assert_eq!((reply.server, reply.records[0].ttl), (Some(Family::V4.host(2)), 60));
    assert_eq!(world.server.take().len(), 2);
}

#[test]
fn any_response_code_is_returned_as_the_answer() {
    for code in [ResponseCode::NXDomain, ResponseCode::Refused, ResponseCode::ServFail, ResponseCode::NotAuth] {
        let world = World::with(move |asked| asked.failing(code));
        for server in [None, Some(Family::V4.host(2))] {
            let reply = world.ask(server, "www.example", A).unwrap();
            assert_eq!((reply.code, reply.server), (code.into(), Some(Family::V4.host(2))));
            assert_eq!(reply.records, []);
        }
    }
    let world = World::new(www().alias("a.example.", "elsewhere.test."));
    let reply = world.ask(None, "a.example.", A).unwrap();
    assert_eq!(reply.records[0].data, RecordData::Name("elsewhere.test.".into()));
    assert_eq!(world.asked(), ["a.example. A"], "an alias is not followed");
}

#[test]
fn the_reply_says_whether_it_came_by_tcp() {
    let world = World::with(|asked| {
        let mut answer = www().answer(asked);
        answer.metadata.authoritative = true;
        answer.metadata.truncation = !asked.by_tcp;
        Reply::Answer(answer)
    });
    let reply = world.ask(Some(Family::V4.host(2)), "www.example", A).unwrap();
    assert!(reply.by_tcp && reply.is_authoritative);
}

#[test]
fn a_name_is_queried_as_it_is_written() {
    let world = World::new(www());
    world.link.client.interface().set_search_domains(&["example".to_owned()]).unwrap();
    assert_eq!(world.ask(None, "www", A).unwrap().code, 3);
    assert_eq!(world.asked(), ["www. A"]);
    let local = world.ask(None, "localhost", A).unwrap();
    assert_eq!((local.server, local.code, local.records.len()), (None, 0, 1));
    assert_eq!(world.ask(None, "x.invalid", A).unwrap().code, 3);
    assert_eq!(world.asked(), [""; 0]);
    // If a server is given, even `localhost` is queried.
    world.ask(Some(Family::V4.host(2)), "localhost", A).unwrap();
    assert_eq!(world.asked(), ["localhost. A"]);
}

#[test]
fn servers_that_cannot_be_queried_are_errors() {
    let world = World::new(www());
    for address in ["0.0.0.0", "::", "224.0.0.251", "255.255.255.255", "ff02::fb", "::ffff:10.0.0.2"] {
        let address: IpAddr = address.parse().unwrap();
        assert_eq!(world.ask(Some(address), "www.example", A), Err(ResolveError::InvalidAddress), "{address}");
    }
    assert_eq!(world.ask(None, "a..b", A), Err(ResolveError::InvalidName));
    assert_eq!(world.ask(None, &"a.".repeat(200), A), Err(ResolveError::InvalidName));
    // An invalid address, a host without a server, and a host that does not exist.
    let start = world.link.simulation.now();
    assert_eq!(world.ask(Some([192, 0, 2, 1].into()), "www.example", A), Err(ResolveError::ServersUnreachable));
    assert_eq!(world.ask(Some(Family::V6.host(2)), "www.example", A), Err(ResolveError::ServersUnreachable));
    assert!(world.link.simulation.now() - start < Duration::from_millis(100));
    assert_eq!(world.ask(Some(Family::V4.host(99)), "www.example", A), Err(ResolveError::ServersUnreachable));
    assert!(world.link.simulation.now() - start < Duration::from_secs(11));
    world.link.client.assert_empty();
    let nonsense = World::with(|asked| {
        let mut echoed = asked.message.clone();
        echoed.metadata.message_type = hickory_proto::op::MessageType::Query;
        Reply::Answer(echoed)
    });
    assert_eq!(nonsense.ask(None, "www.example", A), Err(ResolveError::ServerFailure));
}

#[test]
fn a_server_is_queried_only_through_interfaces_of_the_network() {
    let link = Link::plain(1);
    let server =
        Server::start(&link, &link.server.network, Family::V4.host(2), |asked| Reply::Answer(www().answer(asked)));
    let alone = link.client.manager.network_of(["lo"]).unwrap();
    let resolver = Resolver::new(alone, ResolverOptions::default());
    let reply = link.block_on(resolver.ask(Some(Family::V4.host(2)), "www.example", A));
    assert_eq!(reply, Err(ResolveError::ServersUnreachable));
    assert_eq!(server.take().len(), 0);
}
