//! A resolver with hostile DNS servers. A string of bytes determines the questions, the answers and the delays.

use core::future::{Future, pending, poll_fn};
use core::net::{IpAddr, SocketAddr};
use core::pin::pin;
use core::task::Poll;
use core::time::Duration;
use std::sync::{Arc, Mutex};

use xila_network_host::address::Family;
use xila_network_host::platform::simulated::{Simulation, Stalled};
use xila_network_host::socket::dns::{Record, RecordData, Reply};
use xila_network_host::socket::{Budget, ResolveError, Resolver, ResolverOptions};
use xila_network_host::{Interface, Manager};

use super::bytes::Bytes;
use super::server::{NAMES, Script, TYPES, serve};

/// The addresses of the servers that answer.
const SERVERS: [IpAddr; 2] =
    [IpAddr::V4(core::net::Ipv4Addr::new(127, 0, 0, 53)), IpAddr::V6(core::net::Ipv6Addr::LOCALHOST)];

/// The addresses of servers that do not answer: one of this host, where no socket listens, and one without a route.
const SILENT: [IpAddr; 2] =
    [IpAddr::V4(core::net::Ipv4Addr::new(127, 0, 0, 9)), IpAddr::V4(core::net::Ipv4Addr::new(192, 0, 2, 53))];

/// The longest time for which a record may be kept (RFC 8767 section 4).
const MOST_TTL: u32 = 86_400;
/// The largest numbers of queries for one name, of names for one text, and of servers.
const MOST_QUERIES: u32 = 8;
const MOST_CANDIDATES: u32 = 9;
const MOST_SERVERS: u32 = 4;

const MEMORY: usize = 1 << 20;

struct World {
    simulation: Simulation,
    manager: Manager,
    interface: Interface,
    script: Script,
    budget: Budget,
    options: ResolverOptions,
    resolver: Resolver,
}

/// Runs the actions that the bytes describe.
pub(crate) fn run(data: &[u8]) {
    let mut bytes = Bytes::new(data);
    let mut world = World::new(&mut bytes);
    while !bytes.is_empty() {
        world.act(&mut bytes);
        world.check();
    }
    let World { resolver, budget, simulation, interface, manager, .. } = world;
    drop(resolver);
    assert_eq!(budget.held(), 0, "what was kept is free");
    // TCP flows end after their peers have closed.
    simulation.advance(Duration::from_secs(600));
    let statistics = interface.statistics();
    assert_eq!((statistics.udp_sockets, statistics.tcp_flows), (2, 0), "something is left of questions");
    // Without interfaces the server tasks end too.
    drop(manager);
    assert_ended(&simulation);
}

/// Asserts that no task is left that still waits.
pub(crate) fn assert_ended(simulation: &Simulation) {
    assert_eq!(simulation.try_block_on(pending::<()>()), Err(Stalled { tasks: 0 }));
}

impl World {
    fn new(bytes: &mut Bytes<'_>) -> Self {
        let simulation = Simulation::new(bytes.byte().into());
        let manager = Manager::new(simulation.platform());
        let interface = manager.interface("lo").expect("there is one");
        let script = Script::default();
        for server in SERVERS {
            serve(&simulation, &manager.network(), SocketAddr::new(server, 53), &script);
        }
        interface.add_dns_server(SERVERS[0]).expect("there is room");
        let (budget, options) = (Budget::new(MEMORY), options(bytes));
        let resolver = Resolver::for_guest(manager.network(), options.clone(), &budget);
        Self { simulation, manager, interface, script, budget, options, resolver }
    }

    fn act(&mut self, bytes: &mut Bytes<'_>) {
        match bytes.byte() % 16 {
            0..=4 => {
                let (name, kind) = (name(bytes), kind(bytes));
                self.prepare(bytes);
                self.ask(look_up(self.resolver.clone(), name, kind));
            }
            5 | 6 => {
                let (name, family) = (name(bytes), bytes.pick(&[None, Some(Family::V4), Some(Family::V6)]));
                self.prepare(bytes);
                self.ask(resolve(self.resolver.clone(), name, family));
            }
            7 => {
                let address = address(bytes);
                self.prepare(bytes);
                self.ask(reverse(self.resolver.clone(), address));
            }
            8 => {
                let server = bytes.pick(&[None, Some(SERVERS[0]), Some(SERVERS[1]), Some(SILENT[0])]);
                let server = if bytes.byte() < 230 { server } else { Some(address(bytes)) };
                let (name, kind) = (name(bytes), kind(bytes));
                self.prepare(bytes);
                self.ask(ask(self.resolver.clone(), server, name, kind));
            }
            9 | 10 => self.simulation.advance(time(bytes)),
            11 => self.ask_together(bytes),
            12 => {
                // The caller cancels the query.
                let (name, kind, patience) = (name(bytes), kind(bytes), time(bytes).min(Duration::from_secs(60)));
                self.prepare(bytes);
                let asking = look_up(self.resolver.clone(), name, kind);
                self.simulation.block_on(within(asking, self.simulation.sleep(patience)));
            }
            13 => self.configure(bytes),
            14 => {
                self.options = options(bytes);
                self.resolver = Resolver::for_guest(self.manager.network(), self.options.clone(), &self.budget);
            }
            _ => {
                // The guest uses its memory for something else.
                let taken = self.budget.left();
                assert!(self.budget.take(taken));
                let (name, kind) = (name(bytes), kind(bytes));
                self.prepare(bytes);
                self.ask(look_up(self.resolver.clone(), name, kind));
                self.budget.give_back(taken);
            }
        }
    }

    /// Sets the next answers of the servers, in order.
    fn prepare(&self, bytes: &mut Bytes<'_>) {
        let said: Vec<Vec<u8>> = (0..bytes.byte() % 6)
            .map(|_| {
                let length = bytes.byte();
                bytes.take(length.into()).to_vec()
            })
            .collect();
        self.script.replace(said.into_iter());
    }

    /// Runs a query to its end, and checks that it takes no longer than it may.
    fn ask<T>(&self, asking: impl Future<Output = T>) -> T {
        let begun = self.simulation.now();
        let result = self.simulation.block_on(asking);
        let rounds = u32::try_from(self.options.attempts.max(1)).unwrap_or(u32::MAX);
        // An earlier resolver may have had a timeout of three seconds and three attempts.
        let longest = Duration::from_secs(3) * rounds.max(3) * MOST_SERVERS * MOST_QUERIES * MOST_CANDIDATES;
        assert!(self.simulation.now() - begun <= longest, "{:?}", self.simulation.now() - begun);
        result
    }

    /// Several tasks query at once, some of them for the same name. Each gets its own answer.
    fn ask_together(&self, bytes: &mut Bytes<'_>) {
        let count = 1 + usize::from(bytes.byte() % 5);
        let ended = Arc::new(Mutex::new(0));
        for _ in 0..count {
            let (resolver, ended) = (self.resolver.clone(), ended.clone());
            let (name, kind, way) = (name(bytes), kind(bytes), bytes.byte());
            self.simulation.spawn(async move {
                match way % 3 {
                    0 => look_up(resolver, name, kind).await,
                    1 => resolve(resolver, name, None).await,
                    _ => ask(resolver, None, name, kind).await,
                }
                *ended.lock().expect("nobody panics with it") += 1;
            });
        }
        self.prepare(bytes);
        // This is longer than any of the queries takes.
        self.simulation.advance(Duration::from_secs(7200));
        assert_eq!(*ended.lock().expect("nobody panics with it"), count, "some wait for ever");
    }

    fn configure(&self, bytes: &mut Bytes<'_>) {
        let server = bytes.pick(&[SERVERS[0], SERVERS[1], SILENT[0], SILENT[1]]);
        match bytes.byte() % 4 {
            0 | 1 => drop(self.interface.add_dns_server(server)),
            2 => drop(self.interface.remove_dns_server(server)),
            _ => {
                let domains: Vec<String> = (0..bytes.byte() % 10).map(|_| name(bytes)).collect();
                let before = self.interface.search_domains();
                if self.interface.set_search_domains(&domains).is_err() {
                    assert_eq!(self.interface.search_domains(), before);
                }
            }
        }
    }

    fn check(&self) {
        let most = self.options.cache.min(MEMORY / 16);
        assert!(self.budget.held() <= most, "{} bytes are kept", self.budget.held());
        assert_eq!(self.interface.statistics().udp_sockets, 2, "a question that is over has a socket");
    }
}

fn options(bytes: &mut Bytes<'_>) -> ResolverOptions {
    ResolverOptions {
        search: (0..bytes.byte() % 3)
            .map(|_| bytes.pick(&["lan", "example", "no domain", "a.example."]).into())
            .collect(),
        ndots: usize::from(bytes.byte() % 4),
        timeout: Duration::from_secs(bytes.pick(&[3, 1, 2])),
        attempts: bytes.pick(&[2, 1, 3, 0]),
        cache: bytes.pick(&[1 << 20, 32 << 10, 0]),
    }
}

fn time(bytes: &mut Bytes<'_>) -> Duration {
    Duration::from_millis(bytes.pick(&[1, 100, 999, 1000, 2500, 30_000, 61_000, 3_600_000, 90_000_000]))
}

fn name(bytes: &mut Bytes<'_>) -> String {
    match bytes.byte() {
        byte @ 0..150 => NAMES[usize::from(byte) % NAMES.len()].into(),
        byte @ 150..190 => format!("{}.", NAMES[usize::from(byte) % NAMES.len()]),
        190..210 => {
            bytes.pick(&["", ".", "127.0.0.1", "[::1]", "b\u{fc}cher.example", "a..b", "x.onion", "a\\.b"]).into()
        }
        210..230 => {
            let (label, count) = (1 + usize::from(bytes.byte() % 64), usize::from(bytes.byte() % 9));
            vec!["y".repeat(label); count].join(".")
        }
        230.. => {
            let length = bytes.below(40);
            String::from_utf8_lossy(bytes.take(length)).into_owned()
        }
    }
}

fn kind(bytes: &mut Bytes<'_>) -> u16 {
    match bytes.byte() {
        byte @ 0..240 => TYPES[usize::from(byte) % TYPES.len()],
        240.. => bytes.word(),
    }
}

fn address(bytes: &mut Bytes<'_>) -> IpAddr {
    match bytes.byte() {
        0..100 => [192, 0, 2, bytes.byte()].into(),
        100..200 => [0x2001, 0xdb8, 0, 0, 0, 0, 0, u16::from(bytes.byte())].into(),
        200..220 => SERVERS[0],
        220..240 => [0, 0, 0, 0, 0, 0xffff, 0xc000, 0x201].into(),
        240.. => bytes.pick(&[[0, 0, 0, 0].into(), [224, 0, 0, 1].into(), SERVERS[1], [255; 4].into()]),
    }
}

async fn look_up(resolver: Resolver, name: String, kind: u16) {
    let Ok(records) = resolver.lookup(&name, kind).await else { return };
    assert!(!records.is_empty());
    records.iter().for_each(check_record);
    // Each alias leads to the owner of the next record, and records of other owners are not returned.
    let mut owner = records[0].name.clone();
    for record in &records {
        assert!(record.name.eq_ignore_ascii_case(&owner), "of {} among those of {owner}: {records:?}", record.name);
        let is_asked = kind == 255 || record.record_type == kind;
        assert!(is_asked || record.record_type == 5, "of type {}, where {kind} was asked for", record.record_type);
        if let (RecordData::Name(target), false) = (&record.data, is_asked) {
            owner.clone_from(target);
        }
        assert!(record.ttl <= MOST_TTL, "for {} seconds", record.ttl);
    }
}

async fn resolve(resolver: Resolver, name: String, family: Option<Family>) {
    let Ok(found) = resolver.resolve(&name, family).await else { return };
    assert!(!found.is_empty());
    assert!((1..found.len()).all(|place| !found[..place].contains(&found[place])), "twice: {found:?}");
    assert!(found.iter().all(|address| family.is_none_or(|family| Family::of(*address) == family)), "{found:?}");
}

async fn reverse(resolver: Resolver, address: IpAddr) {
    if let Ok(names) = resolver.reverse(address).await {
        names.iter().for_each(|name| check_name(name));
    }
}

async fn ask(resolver: Resolver, server: Option<IpAddr>, name: String, kind: u16) {
    match resolver.ask(server, &name, kind).await {
        Ok(Reply { server: from, code, records, .. }) => {
            assert!(from.is_none() || server.is_none() || from == server, "{from:?}");
            assert!(code < 1 << 12);
            records.iter().for_each(check_record);
        }
        Err(ResolveError::NameNotFound | ResolveError::NoRecords) => panic!("an answer that is an error"),
        Err(_) => {}
    }
}

/// Checks that the names in a record can be displayed.
fn check_record(record: &Record) {
    check_name(&record.name);
    match &record.data {
        RecordData::Address(_) | RecordData::Txt(_) | RecordData::Other(_) => {}
        RecordData::Name(name) => check_name(name),
        RecordData::Mx { exchange, .. } => check_name(exchange),
        RecordData::Srv { target, .. } => check_name(target),
        RecordData::Soa { primary, mailbox, .. } => {
            check_name(primary);
            check_name(mailbox);
        }
    }
}

fn check_name(name: &str) {
    assert!(name.ends_with('.') && name.bytes().all(|byte| byte.is_ascii_graphic()), "{name:?}");
}

/// Waits for the first of two futures, and drops the other.
async fn within(asking: impl Future<Output = ()>, patience: impl Future<Output = ()>) {
    let (mut asking, mut patience) = (pin!(asking), pin!(patience));
    poll_fn(|context| {
        if asking.as_mut().poll(context).is_ready() || patience.as_mut().poll(context).is_ready() {
            Poll::Ready(())
        } else {
            Poll::Pending
        }
    })
    .await;
}
