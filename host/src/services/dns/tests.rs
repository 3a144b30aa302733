mod edns;
mod forwarding;
mod hosts;

use core::future;
use core::net::Ipv4Addr;

use futures_util::future::join;
use hickory_proto::op::{Edns, Message, MessageType, OpCode, Query, ResponseCode};
use hickory_proto::rr::rdata::{A, TXT};
use hickory_proto::rr::{DNSClass, RData, Record, RecordType};
use parking_lot::Mutex;
use xila_network_commands::interface::State;

use super::respond::Verdict;
use super::*;
use crate::device::hub::{Hub, HubOptions};
use crate::interface::InterfaceConfig;
use crate::manager::Manager;
use crate::platform::simulated::Simulation;
use crate::socket::dns::RecordData;
use crate::socket::{ResolveError, Resolver, ResolverOptions, TcpStream};

const SERVER: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 0, 0, 1));
const SECOND: Duration = Duration::from_secs(1);

/// `server` has two addresses, `idle` none, and `big` many.
struct Table;

fn app() -> [IpAddr; 2] {
    ["10.0.0.7", "fd00::7"].map(|address| address.parse().expect("an address"))
}

impl Names for Table {
    fn lookup(&self, name: &str) -> Option<Vec<IpAddr>> {
        match name {
            "server" => Some(app().to_vec()),
            "a.b" => Some(vec![app()[0]]),
            "idle" => Some(Vec::new()),
            "big" => Some((0..100).map(|last| Ipv4Addr::new(10, 0, 1, last).into()).collect()),
            _ => None,
        }
    }

    fn reverse(&self, address: IpAddr) -> Option<String> {
        app().contains(&address).then(|| "server".into())
    }
}

/// What an upstream does with a query.
type Behaviour = fn(&[u8]) -> Option<Vec<u8>>;

/// An upstream that answers a second later, and remembers what it was asked.
struct Fake {
    simulation: Simulation,
    behaviour: Behaviour,
    asked: Mutex<Vec<(Vec<u8>, Transport)>>,
}

impl Upstream for Fake {
    fn ask<'a>(&'a self, query: &'a [u8], transport: Transport) -> Answering<'a> {
        self.asked.lock().push((query.to_vec(), transport));
        Box::pin(async move {
            self.simulation.sleep(SECOND).await;
            match (self.behaviour)(query) {
                Some(answer) => Ok(answer),
                None => future::pending().await,
            }
        })
    }
}

/// Answers with the address 192.0.2.9.
fn one_address(query: &[u8]) -> Option<Vec<u8>> {
    let mut message = Message::from_vec(query).expect("a query");
    message.metadata.message_type = MessageType::Response;
    let name = message.queries[0].name().clone();
    message.add_answer(Record::from_rdata(name, 60, RData::A(A(Ipv4Addr::new(192, 0, 2, 9)))));
    Some(message.to_vec().expect("it can be encoded"))
}

/// Answers with three thousand bytes.
fn long(query: &[u8]) -> Option<Vec<u8>> {
    let mut message = Message::from_vec(query).expect("a query");
    message.metadata.message_type = MessageType::Response;
    let name = message.queries[0].name().clone();
    let text = TXT::new(vec!["x".repeat(250); 12]);
    message.add_answer(Record::from_rdata(name, 60, RData::TXT(text)));
    Some(message.to_vec().expect("it can be encoded"))
}

fn config(upstream: Option<Arc<dyn Upstream>>) -> Config {
    let networks = vec!["10.0.0.0/24".parse().expect("a network")];
    Config { zone: "internal".into(), names: Arc::new(Table), is_shared: false, hosts: None, networks, upstream }
}

/// A server and a client on one segment.
struct World {
    simulation: Simulation,
    client: Manager,
    /// It keeps the interface of the server.
    server: Manager,
    upstream: Arc<Fake>,
}

impl World {
    fn new(behaviour: Behaviour) -> Self {
        let simulation = Simulation::new(3);
        let upstream = Arc::new(Fake { simulation: simulation.clone(), behaviour, asked: Mutex::default() });
        let hub = Hub::new(&simulation.platform(), HubOptions::default());
        let host = |address: &str| {
            let manager = Manager::without_loopback(simulation.platform());
            let addresses = vec![address.parse().expect("an address")];
            let config = InterfaceConfig { addresses, dns_servers: vec![SERVER], ..InterfaceConfig::default() };
            manager.mount_interface("eth0", hub.port(), config).expect("an interface");
            manager
        };
        let (server, client) = (host("10.0.0.1/24"), host("10.0.0.2/24"));
        let any = "0.0.0.0:53".parse().expect("an address");
        let config = config(Some(upstream.clone()));
        simulation.spawn(Server::bind(&server.network(), &[any], config).expect("a server").run());
        Self { simulation, client, server, upstream }
    }

    fn resolver(&self) -> Resolver {
        Resolver::new(self.client.network(), ResolverOptions::default())
    }

    /// The answer by UDP to a message, if one comes within ten seconds.
    fn ask(&self, message: &[u8]) -> Option<Vec<u8>> {
        self.simulation.block_on(async {
            let any = "0.0.0.0:0".parse().expect("an address");
            let socket = UdpSocket::bind(&self.client.network(), any).expect("a socket");
            socket.send_to(message, SocketAddr::new(SERVER, PORT)).await.expect("it is sent");
            let answer = socket.recv_datagram();
            let answer = self.client.platform().clock.within(SECOND * 10, answer).await?;
            Some(answer.ok()?.data)
        })
    }
}

fn query(name: &str, kind: RecordType) -> Message {
    let mut message = Message::new(0x1234, MessageType::Query, OpCode::Query);
    message.metadata.recursion_desired = true;
    message.add_query(Query::query(Name::from_ascii(name).expect("a name"), kind));
    message
}

fn bytes(message: &Message) -> Vec<u8> {
    message.to_vec().expect("it can be encoded")
}

/// What a server without an upstream answers.
fn respond(message: &[u8], transport: Transport) -> Option<Message> {
    let simulation = Simulation::new(0);
    let responder = Responder::new(Name::from_ascii("internal.").expect("a name"), config(None));
    match responder.consider(message, transport, &*simulation.platform().random) {
        Verdict::Ignore => None,
        Verdict::Answer(answer) => Some(Message::from_vec(&answer).expect("it can be decoded")),
        Verdict::Forward(_) => panic!("there is no upstream"),
    }
}

fn answer(name: &str, kind: RecordType) -> Message {
    let answer = respond(&bytes(&query(name, kind)), Transport::Udp).expect("an answer");
    assert_eq!((answer.metadata.id, answer.metadata.message_type), (0x1234, MessageType::Response));
    assert!(answer.metadata.recursion_desired && !answer.metadata.recursion_available);
    assert_eq!(answer.queries, query(name, kind).queries);
    answer
}

fn data(message: &Message) -> Vec<String> {
    message.answers.iter().map(|record| record.data.to_string()).collect()
}

#[test]
fn names_of_the_zone_have_their_addresses_and_addresses_their_names() {
    for (name, kind, expected) in [
        ("server.internal.", RecordType::A, &["10.0.0.7"][..]),
        ("SERVER.Internal.", RecordType::AAAA, &["fd00::7"]),
        ("server.internal.", RecordType::ANY, &["10.0.0.7", "fd00::7"]),
        ("a.b.internal.", RecordType::A, &["10.0.0.7"]),
        ("7.0.0.10.in-addr.arpa.", RecordType::PTR, &["server.internal."]),
        ("localhost.", RecordType::A, &["127.0.0.1"]),
        ("x.localhost.", RecordType::AAAA, &["::1"]),
        ("1.0.0.127.in-addr.arpa.", RecordType::PTR, &["localhost."]),
        ("7.0.0.10.IN-ADDR.arpa.", RecordType::PTR, &["server.internal."]),
    ] {
        let answer = answer(name, kind);
        assert_eq!((answer.metadata.response_code, answer.metadata.authoritative), (ResponseCode::NoError, true));
        assert_eq!(data(&answer), expected, "{name} {kind}");
        assert!(answer.answers.iter().all(|record| record.name.to_ascii().eq_ignore_ascii_case(name)));
    }
    let reverse = Name::from(app()[1]).to_ascii();
    assert_eq!(data(&answer(&reverse, RecordType::PTR)), ["server.internal."]);
    assert_eq!(answer("internal.", RecordType::SOA).answers.len(), 1);
}

#[test]
fn what_does_not_exist_is_denied_with_the_authority_of_its_zone() {
    use ResponseCode::{NXDomain, NoError};

    for (name, kind, code, zone) in [
        ("server.internal.", RecordType::MX, NoError, "internal."),
        ("idle.internal.", RecordType::A, NoError, "internal."),
        ("internal.", RecordType::A, NoError, "internal."),
        ("localhost.", RecordType::MX, NoError, "localhost."),
        ("7.0.0.10.in-addr.arpa.", RecordType::A, NoError, "0.0.10.in-addr.arpa."),
        ("other.internal.", RecordType::A, NXDomain, "internal."),
        ("x.server.internal.", RecordType::A, NXDomain, "internal."),
        ("99.0.0.10.in-addr.arpa.", RecordType::PTR, NXDomain, "0.0.10.in-addr.arpa."),
        ("x.7.0.0.10.in-addr.arpa.", RecordType::PTR, NXDomain, "0.0.10.in-addr.arpa."),
        ("x.0.0.10.in-addr.arpa.", RecordType::PTR, NXDomain, "0.0.10.in-addr.arpa."),
        ("007.0.0.10.in-addr.arpa.", RecordType::PTR, NXDomain, "0.0.10.in-addr.arpa."),
        ("256.0.0.127.in-addr.arpa.", RecordType::PTR, NXDomain, "127.in-addr.arpa."),
        ("1.2.0.0.in-addr.arpa.", RecordType::PTR, NXDomain, "0.in-addr.arpa."),
        ("254.169.254.169.in-addr.arpa.", RecordType::PTR, NXDomain, "254.169.in-addr.arpa."),
        ("1.2.0.192.in-addr.arpa.", RecordType::PTR, NXDomain, "2.0.192.in-addr.arpa."),
        ("255.255.255.255.in-addr.arpa.", RecordType::PTR, NXDomain, "255.255.255.255.in-addr.arpa."),
        ("x.1.b.e.f.ip6.arpa.", RecordType::PTR, NXDomain, "b.e.f.ip6.arpa."),
        ("x.invalid.", RecordType::A, NXDomain, "invalid."),
        ("x.local.", RecordType::A, NXDomain, "local."),
        ("x.onion.", RecordType::A, NXDomain, "onion."),
        ("test.", RecordType::A, NXDomain, "test."),
    ] {
        let answer = answer(name, kind);
        assert_eq!(answer.metadata.response_code, code, "{name} {kind}");
        assert!(answer.metadata.authoritative && answer.answers.is_empty());
        let [soa] = answer.authorities.as_slice() else { panic!("{answer:?}") };
        assert_eq!((soa.name.to_ascii(), soa.record_type(), soa.ttl), (zone.into(), RecordType::SOA, 5));
    }
    // Names that are no address's, but lead to some.
    for name in ["0.0.10.in-addr.arpa.", "127.in-addr.arpa.", "8.E.f.ip6.arpa.", "0.10.127.in-addr.arpa."] {
        let answer = answer(name, RecordType::PTR);
        assert_eq!((answer.metadata.response_code, answer.authorities.len()), (NoError, 1), "{name}");
    }
    // A label with a dot in it is not two labels.
    let name = Name::from_labels([&b"a.b"[..], b"internal"]).expect("a name");
    let mut message = query("x.", RecordType::A);
    message.queries = vec![Query::query(name, RecordType::A)];
    let answer = respond(&bytes(&message), Transport::Udp).expect("an answer");
    assert_eq!(answer.metadata.response_code, NXDomain);
}

#[test]
fn without_an_upstream_other_names_are_refused() {
    for name in [
        "example.org.",
        ".",
        "arpa.",
        "in-addr.arpa.",
        "ip6.arpa.",
        "e.f.ip6.arpa.",
        "9.9.9.9.in-addr.arpa.",
        "0.10.in-addr.arpa.",
        // Private addresses of networks that the upstream may know.
        "1.1.0.10.in-addr.arpa.",
        "1.1.168.192.in-addr.arpa.",
        "x.arpa.",
    ] {
        let answer = answer(name, RecordType::A);
        assert_eq!(answer.metadata.response_code, ResponseCode::Refused, "{name}");
        assert!(!answer.metadata.authoritative && answer.authorities.is_empty());
    }
    let mut chaos = query("version.bind.", RecordType::TXT);
    chaos.queries[0].set_query_class(DNSClass::CH);
    let transfer = query("internal.", RecordType::AXFR);
    for message in [chaos, transfer] {
        let answer = respond(&bytes(&message), Transport::Tcp).expect("an answer");
        assert_eq!(answer.metadata.response_code, ResponseCode::Refused);
    }
}

#[test]
fn malformed_messages_are_refused_by_their_identifier_and_answers_are_ignored() {
    let good = bytes(&query("server.internal.", RecordType::A));
    let code = |message: &[u8]| {
        respond(message, Transport::Udp).map(|answer| (answer.metadata.id, answer.metadata.response_code))
    };
    let changed = |at: usize, value: u8| {
        let mut message = good.clone();
        message[at] = value;
        message
    };
    assert_eq!(code(&good), Some((0x1234, ResponseCode::NoError)));
    for length in 0..good.len() {
        let expected = (length >= 4).then_some((0x1234, ResponseCode::FormErr));
        assert_eq!(code(&good[..length]), expected, "{length} bytes");
    }
    assert_eq!(code(&changed(5, 0)), Some((0x1234, ResponseCode::FormErr)), "no question");
    assert_eq!(code(&changed(5, 2)), Some((0x1234, ResponseCode::FormErr)), "two questions, of which one is missing");
    assert_eq!(code(&changed(2, 0x80)), None, "a response");
    for operation in [1, 2, 4, 5, 15] {
        assert_eq!(code(&changed(2, operation << 3)), Some((0x1234, ResponseCode::NotImp)));
    }
    let mut random = xila_network_engine::random::Random::new([1; 32]);
    for _ in 0..20_000 {
        let mut message = good.clone();
        for _ in 0..random.below(6) {
            let at = random.below(message.len() as u32) as usize;
            message[at] = random.next_u32() as u8;
        }
        message.truncate(message.len() - random.below(4) as usize);
        let answer = respond(&message, Transport::Udp);
        assert!(answer.is_none_or(|answer| answer.metadata.message_type == MessageType::Response));
    }
}

/// An upstream that answers with a changed query.
struct Mutating(Mutex<xila_network_engine::random::Random>);

impl Upstream for Mutating {
    fn ask<'a>(&'a self, query: &'a [u8], _: Transport) -> Answering<'a> {
        let mut answer = query.to_vec();
        answer[2] |= 0x80;
        mutate(&mut answer, &mut self.0.lock());
        Box::pin(future::ready(Ok(answer)))
    }
}

/// Changes some bytes, and sometimes the length.
fn mutate(message: &mut Vec<u8>, random: &mut xila_network_engine::random::Random) {
    for _ in 0..random.below(5) {
        let at = random.below(message.len() as u32) as usize;
        message[at] = if random.below(2) == 0 { message[at] ^ 1 << random.below(8) } else { random.next_u32() as u8 };
    }
    match random.below(8) {
        0 => message.truncate(random.below(message.len() as u32 + 1) as usize),
        1 => message.resize(message.len() + random.below(1500) as usize, random.next_u32() as u8),
        _ => {}
    }
}

#[test]
fn changed_queries_and_answers_get_well_formed_answers_to_themselves() {
    use xila_network_engine::random::Random;

    let simulation = Simulation::new(0);
    let platform = simulation.platform();
    let mut random = Random::new([4; 32]);
    let upstream: Arc<dyn Upstream> = Arc::new(Mutating(Mutex::new(random.split())));
    let responder = Responder::new(Name::from_ascii("internal.").expect("a name"), config(Some(upstream.clone())));
    let mut extended = query("big.internal.", RecordType::A);
    extended.edns = Some(Edns::new());
    let other = query("www.example.org.", RecordType::AAAA);
    let reverse = query("7.0.0.10.in-addr.arpa.", RecordType::PTR);
    let seeds = [extended, other, reverse].map(|message| bytes(&message));
    let (mut forwarded, mut passed_on) = (0, 0);
    for _ in 0..20_000 {
        let mut message = seeds[random.below(3) as usize].clone();
        mutate(&mut message, &mut random);
        let answer = match responder.consider(&message, Transport::Udp, &*platform.random) {
            Verdict::Ignore => {
                assert!(message.len() < 4 || message[2] & 0x80 != 0);
                continue;
            }
            Verdict::Answer(answer) => {
                Message::from_vec(&answer).expect("it can be decoded");
                answer
            }
            Verdict::Forward(forward) => {
                forwarded += 1;
                let answer = simulation.block_on(forward.ask(&*upstream, &*platform.clock));
                // It has the query's question, whatever the upstream has said.
                let end = 12 + message[12..].iter().position(|length| *length == 0).expect("the root") + 5;
                assert_eq!(answer[12..end], message[12..end]);
                passed_on += usize::from(answer[3] & 0xf != 2);
                answer
            }
        };
        assert!((12..=1232).contains(&answer.len()));
        assert_eq!((&answer[..2], answer[2] & 0x80), (&message[..2], 0x80));
    }
    assert!(forwarded > 2000 && passed_on > 500 && passed_on < forwarded, "{forwarded} {passed_on}");
}

#[test]
fn an_answer_is_as_long_as_the_client_accepts() {
    let plain = query("big.internal.", RecordType::A);
    let mut extended = plain.clone();
    let mut edns = Edns::new();
    edns.set_max_payload(4096).set_dnssec_ok(true);
    extended.edns = Some(edns);
    for (message, transport, is_cut) in
        [(&plain, Transport::Udp, true), (&extended, Transport::Udp, true), (&plain, Transport::Tcp, false)]
    {
        let answer = respond(&bytes(message), transport).expect("an answer");
        assert_eq!((answer.metadata.truncation, answer.answers.is_empty()), (is_cut, is_cut), "{transport:?}");
        assert_eq!(answer.queries, message.queries);
        let told = answer.edns.as_ref().map(|edns| (edns.max_payload(), edns.flags().dnssec_ok));
        assert_eq!(told, message.edns.as_ref().map(|_| (1232, true)));
    }
    let mut newer = extended.clone();
    newer.edns.as_mut().expect("EDNS").set_version(1);
    let answer = respond(&bytes(&newer), Transport::Udp).expect("an answer");
    // The code has two names (RFC 6895 section 2.3).
    assert_eq!((u16::from(answer.metadata.response_code), answer.answers.len()), (16, 0));
}

#[test]
fn a_zone_has_to_be_a_domain() {
    let world = World::new(one_address);
    for zone in ["", ".", "a..b", "localhost", "caf\u{e9}"] {
        let config = Config { zone: zone.into(), ..config(None) };
        let bound = Server::bind(&world.client.network(), &[], config);
        assert_eq!(bound.map(|_| ()).expect_err(zone), ServeError::Zone);
    }
}
