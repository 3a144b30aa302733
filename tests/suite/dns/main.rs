//! Name resolution on a link under virtual time. The servers are test servers on the link's other host.

mod answers;
mod ask;
mod cache;
mod cut;
mod forgery;
mod hostile;
mod leaving;
mod local;
mod merging;
mod search;
mod server;
mod servers;

use std::net::IpAddr;
use std::time::Duration;

use hickory_proto::op::{Message, ResponseCode};
use hickory_proto::rr::rdata::{CNAME, SOA};
use hickory_proto::rr::{Name, RData, Record, RecordType};
use xila_network_host::socket::{ResolveError, Resolver, ResolverOptions};
use xila_network_tests::link::{Family, Link};

use self::server::{Asked, Reply, Server};

/// The numbers of record types.
const A: u16 = 1;
const AAAA: u16 = 28;

/// A client whose interface knows one server, which is on the other host.
struct World {
    link: Link,
    server: Server,
    resolver: Resolver,
}

impl World {
    /// A world with a server that has this zone.
    fn new(zone: Zone) -> Self {
        Self::with(move |asked| Reply::Answer(zone.answer(asked)))
    }

    /// A world with a server that replies with `reply`.
    fn with(reply: impl FnMut(&Asked) -> Reply + Send + 'static) -> Self {
        Self::on(Link::plain(1), reply)
    }

    /// As [`with`](Self::with), on the given link.
    fn on(link: Link, reply: impl FnMut(&Asked) -> Reply + Send + 'static) -> Self {
        let server = Server::start(&link, &link.server.network, link.server.address(Family::V4), reply);
        Self::asking(link, server)
    }

    /// As [`with`](Self::with), but the server refuses TCP connections.
    fn by_udp(reply: impl FnMut(&Asked) -> Reply + Send + 'static) -> Self {
        let link = Link::plain(1);
        let server = Server::start_by_udp(&link, &link.server.network, link.server.address(Family::V4), reply);
        Self::asking(link, server)
    }

    fn asking(link: Link, server: Server) -> Self {
        link.client.interface().add_dns_server(link.server.address(Family::V4)).unwrap();
        let resolver = Resolver::new(link.client.network.clone(), ResolverOptions::default());
        Self { link, server, resolver }
    }

    /// Starts a second server, at the other host's IPv6 address, which the client queries after the first.
    fn second(&self, zone: Zone) -> Server {
        let address = self.link.server.address(Family::V6);
        self.link.client.interface().add_dns_server(address).unwrap();
        Server::start(&self.link, &self.link.server.network, address, move |asked| Reply::Answer(zone.answer(asked)))
    }

    fn with_options(mut self, options: ResolverOptions) -> Self {
        self.resolver = Resolver::new(self.link.client.network.clone(), options);
        self
    }

    fn resolve(&self, name: &str) -> Result<Vec<String>, ResolveError> {
        let found = self.link.block_on(self.resolver.resolve(name, None))?;
        Ok(found.iter().map(IpAddr::to_string).collect())
    }

    fn resolve_v4(&self, name: &str) -> Result<Vec<IpAddr>, ResolveError> {
        self.link.block_on(self.resolver.resolve(name, Some(xila_network_host::address::Family::V4)))
    }

    fn lookup(&self, name: &str, kind: u16) -> Result<Vec<xila_network_host::socket::dns::Record>, ResolveError> {
        self.link.block_on(self.resolver.lookup(name, kind))
    }

    /// The queries since the last call, in order, as `name type`.
    fn asked(&self) -> Vec<String> {
        self.server.take().iter().map(|asked| format!("{} {}", asked.name(), asked.kind())).collect()
    }

    fn pass(&self, seconds: u64) {
        self.link.simulation.advance(Duration::from_secs(seconds));
    }
}

/// The records of a server. Their names end with `example.`.
#[derive(Clone, Default)]
struct Zone(Vec<Record>);

impl Zone {
    fn with(mut self, name: &str, ttl: u32, data: impl Into<RData>) -> Self {
        self.0.push(Record::from_rdata(self::name(name), ttl, data.into()));
        self
    }

    fn host(self, name: &str, address: &str) -> Self {
        self.with(name, 60, address.parse::<IpAddr>().unwrap())
    }

    fn alias(self, name: &str, target: &str) -> Self {
        self.with(name, 60, RData::CNAME(CNAME(self::name(target))))
    }

    /// The requested records, after the CNAME records that lead to them; without any, the zone's SOA.
    fn answer(&self, asked: &Asked) -> Message {
        let mut response = asked.response();
        let mut owner = asked.query().name().clone();
        let kind = asked.query().query_type();
        loop {
            let own: Vec<&Record> = self.0.iter().filter(|record| record.name == owner).collect();
            let wanted: Vec<&&Record> = own.iter().filter(|record| record.record_type() == kind).collect();
            response.add_answers(wanted.iter().map(|record| (**record).clone()));
            let alias = own.iter().find(|record| record.record_type() == RecordType::CNAME);
            match alias {
                Some(alias) if wanted.is_empty() => {
                    response.add_answer((*alias).clone());
                    let RData::CNAME(target) = &alias.data else { unreachable!("it is one") };
                    owner = target.0.clone();
                }
                _ => {
                    if own.is_empty() {
                        response.metadata.response_code = ResponseCode::NXDomain;
                    }
                    if wanted.is_empty() {
                        let soa = SOA::new(name("ns.example."), name("admin.example."), 1, 3600, 600, 86_400, 30);
                        response.add_authority(Record::from_rdata(name("example."), 60, RData::SOA(soa)));
                    }
                    return response;
                }
            }
        }
    }
}

fn name(text: &str) -> Name {
    Name::from_ascii(text).unwrap()
}

/// A zone with one host, which has an address of each family.
fn www() -> Zone {
    Zone::default().host("www.example.", "10.0.0.80").host("www.example.", "fd00::80")
}
