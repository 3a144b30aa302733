mod memory;

use std::vec::Vec;

use super::world::{ADDRESS, HARDWARE, Heard, Message, SERVER};
use super::*;

const NONE: Ipv4Addr = Ipv4Addr::UNSPECIFIED;
const OTHER: Ipv4Addr = Ipv4Addr::new(10, 8, 0, 20);
const OFFER: u8 = 2;
const ACK: u8 = 5;
const NAK: u8 = 6;
const DISCOVER: u8 = 1;
const REQUEST: u8 = 3;
const RELEASE: u8 = 7;

/// A datagram that the client sent: the time in milliseconds, the source, the destination, and the parsed message.
type Sent = (u64, Ipv4Addr, Ipv4Addr, Heard);

/// A client with the messages that it has sent, under virtual time.
struct World {
    client: Client,
    random: Random,
    now: Instant,
    sent: Vec<Sent>,
    told: Vec<Action>,
}

/// A server: the answer to each message.
type Server<'a> = &'a dyn Fn(&Heard) -> Option<Message>;

/// A server that leases what [`Message::new`] contains.
fn lends(heard: &Heard) -> Option<Message> {
    match heard.kind {
        DISCOVER => Some(Message::new(OFFER, heard.transaction)),
        REQUEST => Some(Message::new(ACK, heard.transaction)),
        _ => None,
    }
}

/// A server that refuses the lease that it has offered.
fn refuses(heard: &Heard) -> Option<Message> {
    match heard.kind {
        DISCOVER => Some(Message::new(OFFER, heard.transaction)),
        REQUEST => Some(Message::new(NAK, heard.transaction)),
        _ => None,
    }
}

fn silent(_: &Heard) -> Option<Message> {
    None
}

fn seconds(count: u64) -> Duration {
    Duration::from_secs(count)
}

impl World {
    fn with(config: Config) -> Self {
        let now = Instant::from_origin(seconds(1000));
        let client = Client::new(HARDWARE, config, now);
        Self { client, random: Random::new([11; 32]), now, sent: Vec::new(), told: Vec::new() }
    }

    fn new() -> Self {
        Self::with(Config::default())
    }

    /// A world with a lease that was requested at second 0.
    fn bound() -> Self {
        let mut world = Self::new();
        world.advance(0, &lends);
        assert_eq!(world.client.state(), State::Bound);
        world.clear();
        world
    }

    fn clear(&mut self) {
        self.sent.clear();
        self.told.clear();
    }

    /// Milliseconds since the start.
    fn time(&self) -> u64 {
        self.now.millis() - 1_000_000
    }

    fn receive(&mut self, message: &Message) -> Result<Reception, Nonsense> {
        let bytes = message.bytes();
        let received = Received { source: SERVER, destination: Ipv4Addr::BROADCAST, payload: &bytes };
        self.client.receive(received, self.now, &mut self.random)
    }

    /// Does what is due now. The server answers at once.
    fn run(&mut self, server: Server<'_>) {
        let mut steps = 0;
        while let Some(action) = self.client.poll(self.now, &mut self.random) {
            steps += 1;
            assert!(steps < 40, "too much at once");
            let Action::Send(datagram) = action else {
                self.told.push(action);
                continue;
            };
            let heard = Heard::read(&datagram.payload);
            self.sent.push((self.time(), datagram.source, datagram.destination, heard.clone()));
            if let Some(answer) = server(&heard) {
                let _ = self.receive(&answer);
            }
        }
        assert!(self.client.next_timeout().is_none_or(|next| next > self.now), "it says when to poll");
    }

    /// Advances the time to a number of seconds since the start, in the steps that the client asks for.
    fn advance(&mut self, until: u64, server: Server<'_>) {
        let end = Instant::from_origin(seconds(1000 + until));
        loop {
            self.run(server);
            match self.client.next_timeout() {
                Some(next) if next <= end => self.now = next,
                Some(_) | None => break,
            }
        }
        self.now = end;
        self.run(server);
    }

    fn kinds(&self) -> Vec<u8> {
        self.sent.iter().map(|sent| sent.3.kind).collect()
    }

    /// When messages were sent, in rounded seconds.
    fn times(&self) -> Vec<u64> {
        self.sent.iter().map(|sent| (sent.0 + 500) / 1000).collect()
    }

    fn is_lost(&self) -> bool {
        matches!(&self.told[..], [.., Action::Lost(_)]) && self.client.lease().is_none()
    }
}

#[test]
fn a_lease_is_found_offered_requested_and_lent() {
    let mut world = World::with(Config { host_name: Some("xila".into()), ..Config::default() });
    assert_eq!((world.client.state(), world.client.next_timeout()), (State::Init, Some(world.now)));
    world.run(&silent);
    assert_eq!(world.client.state(), State::Selecting);
    let (at, source, destination, discover) = world.sent[0].clone();
    assert_eq!((at, source, destination), (0, NONE, Ipv4Addr::BROADCAST));
    assert_eq!((discover.kind, discover.secs, discover.flags, discover.client), (DISCOVER, 0, 0, NONE));
    assert_eq!((discover.requested, discover.server), (None, None));
    assert_eq!(discover.options[&61], [1, 2, 0, 0, 0, 0, 7]);
    assert_eq!(discover.options[&57], 1472u16.to_be_bytes());
    assert_eq!(discover.options[&12], b"xila");
    assert_eq!(discover.options[&55], [1, 121, 3, 6, 15, 26, 42, 51, 54, 58, 59, 119]);

    world.now += seconds(2);
    assert_eq!(world.receive(&Message::new(OFFER, discover.transaction)), Ok(Reception::Taken));
    assert_eq!(world.client.state(), State::Requesting);
    world.run(&silent);
    let (at, source, destination, request) = world.sent[1].clone();
    assert_eq!((at, source, destination), (2000, NONE, Ipv4Addr::BROADCAST));
    assert_eq!((request.kind, request.transaction, request.client), (REQUEST, discover.transaction, NONE));
    assert_eq!(request.secs, 0, "as the message that was offered for (RFC 2131 section 3.1 step 3)");
    assert_eq!((request.requested, request.server), (Some(ADDRESS), Some(SERVER)));
    assert_eq!(request.options[&55], discover.options[&55]);
    assert_eq!(request.options[&61], discover.options[&61]);

    world.now += seconds(1);
    assert_eq!(world.receive(&Message::new(ACK, discover.transaction)), Ok(Reception::Taken));
    let lease = world.client.lease().expect("bound").clone();
    assert_eq!((lease.address, lease.prefix, lease.server), (ADDRESS, 24, SERVER));
    assert_eq!(lease.since.millis(), 1_002_000, "from the request on");
    assert_eq!(world.client.next_timeout(), Some(world.now), "to be told");
    world.run(&silent);
    assert_eq!(world.told, [Action::Bound { lease: Box::new(lease), former: None }]);
    let remembered = Remembered { address: ADDRESS, is_current: true };
    assert_eq!((world.client.state(), world.client.remembered()), (State::Bound, Some(remembered)));
    assert_eq!(world.client.next_timeout().map(Instant::millis), Some(1_402_000), "T1");
}

#[test]
fn without_answers_messages_become_less_frequent() {
    let mut world = World::new();
    world.advance(700, &silent);
    let times: Vec<u64> = world.sent.iter().map(|sent| sent.0).collect();
    assert_eq!(times[0], 0);
    let waits: Vec<u64> = times.windows(2).map(|pair| pair[1] - pair[0]).collect();
    for (wait, about) in waits.iter().zip([4000, 8000, 16_000, 32_000, 64_000, 64_000, 64_000, 64_000]) {
        assert!((about - 1000..=about + 1000).contains(wait), "{waits:?}");
    }
    assert!(waits.iter().any(|wait| wait % 1000 != 0), "by chance");
    let (first, last) = (&world.sent[0].3, &world.sent[5].3);
    assert_eq!(first.transaction, last.transaction);
    assert_eq!(u64::from(last.secs), times[5] / 1000);
    assert!(world.kinds().iter().all(|kind| *kind == DISCOVER));
}

#[test]
fn an_unanswered_request_is_repeated_for_a_minute_and_then_the_client_starts_again() {
    let mut world = World::new();
    let offers = |heard: &Heard| lends(heard).filter(|_| heard.kind == DISCOVER);
    world.advance(70, &offers);
    let kinds = world.kinds();
    assert_eq!(kinds[..6], [DISCOVER, REQUEST, REQUEST, REQUEST, REQUEST, DISCOVER]);
    let times = world.times();
    for (time, about) in times[..6].iter().zip([0, 0, 4, 12, 28, 60u64]) {
        assert!(time.abs_diff(about) <= 4, "{times:?}");
    }
    let transactions: Vec<u32> = world.sent.iter().map(|sent| sent.3.transaction).collect();
    assert!(transactions[..5].iter().all(|transaction| *transaction == transactions[0]));
    assert_ne!(transactions[5], transactions[0]);
    assert!(world.sent[..5].iter().all(|sent| sent.3.secs == 0), "as the message that was offered for");
}

#[test]
fn a_lease_counts_from_its_first_request() {
    let mut world = World::new();
    let asked = core::cell::Cell::new(0);
    let late = |heard: &Heard| {
        asked.set(asked.get() + u32::from(heard.kind == REQUEST));
        lends(heard).filter(|_| heard.kind == DISCOVER || asked.get() == 3)
    };
    world.advance(20, &late);
    assert_eq!(world.client.lease().expect("bound").since.millis(), 1_000_000);
    // A lease that has expired when it arrives is ignored.
    let mut world = World::new();
    asked.set(0);
    let moments = |heard: &Heard| late(heard).map(|answer| answer.with(51, 9u32.to_be_bytes()));
    world.advance(20, &moments);
    assert_eq!((world.client.state(), world.client.lease()), (State::Requesting, None));
}

#[test]
fn messages_that_answer_nothing_are_ignored() {
    let mut world = World::new();
    for kind in [OFFER, ACK, NAK] {
        assert_eq!(world.receive(&Message::new(kind, 0)), Ok(Reception::Ignored), "before anything was asked");
    }
    world.run(&silent);
    let transaction = world.sent[0].3.transaction;
    for message in [
        Message::new(OFFER, transaction ^ 1),
        Message::new(ACK, transaction),
        Message::new(NAK, transaction),
        Message { hardware: EthernetAddress([2, 0, 0, 0, 0, 8]), ..Message::new(OFFER, transaction) },
    ] {
        assert_eq!(world.receive(&message), Ok(Reception::Ignored));
    }
    let bytes = Message::new(OFFER, transaction).bytes();
    let group = Received { source: SERVER, destination: Ipv4Addr::new(224, 0, 0, 1), payload: &bytes };
    assert_eq!(world.client.receive(group, world.now, &mut world.random), Ok(Reception::Ignored));
    assert_eq!(world.receive(&Message::new(OFFER, transaction)), Ok(Reception::Taken));
    assert_eq!(world.receive(&Message::new(ACK, transaction)), Ok(Reception::Ignored), "not requested yet");
    world.run(&silent);
    assert_eq!(world.receive(&Message::new(OFFER, transaction)), Ok(Reception::Ignored), "one was taken");
    for kind in [ACK, NAK] {
        let other = Message::new(kind, transaction).with(54, OTHER.octets());
        assert_eq!(world.receive(&other), Ok(Reception::Ignored), "another server");
    }
    assert_eq!(world.receive(&Message::new(ACK, transaction)), Ok(Reception::Taken));
    let copy = Message { address: OTHER, ..Message::new(ACK, transaction) };
    assert_eq!(world.receive(&copy), Ok(Reception::Ignored), "a second copy is no renewal");
    assert_eq!(world.receive(&Message::new(NAK, transaction)), Ok(Reception::Ignored));
    assert_eq!((world.client.lease().map(|lease| lease.address), world.client.refused()), (Some(ADDRESS), 0));
}

#[test]
fn an_invalid_offer_is_counted_and_another_one_is_selected() {
    let mut world = World::new();
    world.run(&silent);
    let transaction = world.sent[0].3.transaction;
    let bad = Message::new(OFFER, transaction).with(1, [255, 0, 255, 0]);
    assert_eq!(world.receive(&bad), Err(Nonsense::MaskHoles));
    assert_eq!((world.client.refused(), world.client.state()), (1, State::Selecting));
    assert_eq!(world.receive(&Message::new(OFFER, transaction).without(1)), Ok(Reception::Taken));
    world.run(&silent);
    assert_eq!(world.sent[1].3.kind, REQUEST);
}

#[test]
fn an_invalid_lease_is_counted_and_the_client_asks_again_after_ten_seconds() {
    let mut world = World::new();
    world.advance(60, &|heard: &Heard| {
        lends(heard).map(|message| if heard.kind == REQUEST { message.without(1) } else { message })
    });
    let times = world.times();
    assert_eq!(times[..6], [0, 0, 10, 10, 20, 20]);
    assert_eq!((world.client.refused(), world.client.lease()), (7, None));
    assert!(world.told.is_empty());
    world.advance(70, &lends);
    assert_eq!(world.client.state(), State::Bound);
}

#[test]
fn a_refusal_restarts_at_once_but_within_the_rate_limit() {
    let mut world = World::new();
    world.advance(400, &refuses);
    let times = world.times();
    assert_eq!(times[..10], [0, 0, 0, 0, 0, 0, 0, 0, 4, 8]);
    assert_eq!(times.len(), 8 + 100);
    assert!(world.told.is_empty() && world.client.remembered().is_none());
    // Restarting does not circumvent the rate limit.
    for _ in 0..20 {
        world.client.restart(Remember::Nothing, world.now);
        world.run(&refuses);
    }
    assert_eq!(world.sent.len(), 8 + 100);
}

#[test]
fn very_short_leases_do_not_exceed_the_rate_limit() {
    let mut world = World::new();
    let moments = |heard: &Heard| {
        let message = lends(heard)?.with(51, 2u32.to_be_bytes()).with(58, [0; 4]);
        Some(message.with(59, 1u32.to_be_bytes()))
    };
    world.advance(400, &moments);
    assert!((100..=8 + 100).contains(&world.sent.len()), "{}", world.sent.len());
}

#[test]
fn a_lease_is_renewed_at_t1_by_its_server_alone() {
    let mut world = World::bound();
    world.advance(399, &lends);
    assert!(world.sent.is_empty());
    let former = world.client.lease().cloned();
    world.advance(400, &lends);
    let [(at, source, destination, request)] = &world.sent[..] else { panic!("{:?}", world.sent) };
    assert_eq!((*at, *source, *destination), (400_000, ADDRESS, SERVER));
    assert_eq!((request.kind, request.client, request.secs, request.flags), (REQUEST, ADDRESS, 0, 0));
    assert_eq!((request.requested, request.server), (None, None), "table 4 of RFC 2131");
    assert!(request.options.contains_key(&55) && request.options.contains_key(&61));
    let lease = world.client.lease().cloned().map(Box::new).expect("renewed");
    assert_eq!(lease.since.millis(), 1_400_000);
    assert_eq!(world.told, [Action::Bound { lease, former: former.map(Box::new) }]);
    assert_eq!(world.client.state(), State::Bound);
    // And it is renewed again.
    world.advance(2000, &lends);
    assert_eq!(world.times(), [400, 800, 1200, 1600, 2000]);
}

#[test]
fn renewal_is_retried_at_half_of_the_remaining_time_then_by_any_server_until_the_end() {
    let mut world = World::bound();
    world.advance(999, &silent);
    // T1 is 400, T2 is 800, the end is 1000: half of the remaining time, but at least a minute.
    assert_eq!(world.times(), [400, 600, 700, 760, 800, 900, 960]);
    for (_, source, destination, request) in &world.sent[..4] {
        assert_eq!((*source, *destination, request.client), (ADDRESS, SERVER, ADDRESS));
    }
    for (_, source, destination, request) in &world.sent[4..] {
        assert_eq!((*source, *destination, request.client), (ADDRESS, Ipv4Addr::BROADCAST, ADDRESS));
        assert_eq!((request.requested, request.server, request.kind), (None, None, REQUEST));
    }
    assert_eq!((world.sent[2].3.secs, world.sent[5].3.secs), (300, 100));
    assert_ne!(world.sent[0].3.transaction, world.sent[1].3.transaction);
    assert_eq!((world.client.state(), world.told.len()), (State::Rebinding, 0));
    let transaction = world.sent[6].3.transaction;
    world.advance(1000, &silent);
    assert!(world.is_lost());
    assert_eq!((world.client.state(), world.kinds().last()), (State::Selecting, Some(&DISCOVER)));
    // The same address is requested, but not claimed as in use.
    let (_, source, _, discover) = world.sent.last().cloned().expect("sent");
    assert_eq!((source, discover.client, discover.requested), (NONE, NONE, Some(ADDRESS)));
    assert_eq!(world.receive(&Message::new(ACK, transaction)), Ok(Reception::Ignored), "too late");
}

#[test]
fn an_answer_to_the_last_question_counts_from_that_question() {
    let mut world = World::bound();
    world.advance(650, &silent);
    let (first, second) = (world.sent[0].3.transaction, world.sent[1].3.transaction);
    assert_eq!(world.receive(&Message::new(ACK, first)), Ok(Reception::Ignored));
    assert_eq!(world.receive(&Message::new(ACK, second)), Ok(Reception::Taken));
    assert_eq!(world.client.lease().expect("renewed").since.millis(), 1_600_000);
}

#[test]
fn an_answer_after_the_end_is_too_late_although_nobody_has_looked_since() {
    let mut world = World::bound();
    world.advance(990, &silent);
    let transaction = world.sent.last().expect("asked").3.transaction;
    world.now += seconds(10);
    assert_eq!(world.receive(&Message::new(ACK, transaction)), Ok(Reception::Ignored));
    assert_eq!((world.client.state(), world.client.lease()), (State::Init, None));
    let mut world = World::bound();
    world.now += seconds(1000);
    assert_eq!(world.client.release(world.now, &mut world.random), None, "it is not this host's to give back");
}

#[test]
fn another_server_may_extend_a_lease_after_t2_and_lend_another_address() {
    let mut world = World::bound();
    world.advance(799, &silent);
    let other = |heard: &Heard| {
        Some(Message { address: OTHER, ..lends(heard)?.with(54, [10, 8, 0, 1]).with(3, [10, 8, 0, 1]) })
    };
    world.advance(800, &other);
    let Some(Action::Bound { lease, former }) = world.told.last() else { panic!("{:?}", world.told) };
    assert_eq!((lease.address, lease.server), (OTHER, Ipv4Addr::new(10, 8, 0, 1)));
    assert_eq!(former.as_ref().map(|former| former.address), Some(ADDRESS));
}

#[test]
fn an_invalid_renewal_leaves_the_lease_until_its_end() {
    let mut world = World::bound();
    let nonsense = |heard: &Heard| lends(heard).map(|message| message.with(3, [0; 4]));
    world.advance(999, &nonsense);
    assert_eq!((world.client.refused(), world.told.len(), world.client.state()), (7, 0, State::Rebinding));
    world.advance(1000, &nonsense);
    assert!(world.is_lost());
}

#[test]
fn a_refused_renewal_ends_the_lease_at_once() {
    let mut world = World::bound();
    let lease = world.client.lease().cloned().map(Box::new).expect("bound");
    world.advance(400, &|heard: &Heard| refuses(heard).filter(|_| heard.kind == REQUEST));
    assert_eq!(world.told, [Action::Lost(lease)]);
    assert_eq!((world.kinds(), world.client.remembered()), (Vec::from([REQUEST, DISCOVER]), None));
    assert_eq!(world.sent[1].3.requested, None, "it was refused");
    // A refusal without a server identifier is invalid.
    let mut world = World::bound();
    world.advance(400, &|heard: &Heard| refuses(heard).map(|message| message.without(54)));
    assert_eq!((world.client.refused(), world.client.state()), (1, State::Renewing));
}

#[test]
fn a_host_that_has_slept_does_what_is_due_now() {
    for (until, kinds, destination) in [
        (790, &[REQUEST][..], SERVER),
        (900, &[REQUEST], Ipv4Addr::BROADCAST),
        (5000, &[DISCOVER], Ipv4Addr::BROADCAST),
    ] {
        let mut world = World::bound();
        world.now += seconds(until);
        world.run(&silent);
        assert_eq!((&world.kinds()[..], world.sent[0].2), (kinds, destination), "{until}");
        assert_eq!(world.client.lease().is_none(), until == 5000);
    }
}

#[test]
fn a_lease_for_ever_is_never_asked_for_again() {
    let mut world = World::new();
    world.advance(3600 * 24 * 365, &|heard: &Heard| lends(heard).map(|message| message.with(51, [255; 4])));
    assert_eq!((world.kinds(), world.client.next_timeout()), (Vec::from([DISCOVER, REQUEST]), None));
    assert_eq!(world.client.state(), State::Bound);
}

#[test]
fn arbitrary_answers_leave_the_client_working() {
    for seed in 0..40 {
        let mut world = World::new();
        let chance = core::cell::RefCell::new(Random::new([seed; 32]));
        let mut steps = 0;
        while steps < 300 {
            steps += 1;
            while let Some(action) = world.client.poll(world.now, &mut world.random) {
                let Action::Send(datagram) = action else { continue };
                let heard = Heard::read(&datagram.payload);
                let mut chance = chance.borrow_mut();
                let kind = [OFFER, ACK, ACK, NAK][chance.below(4) as usize];
                let mut bytes = Message::new(kind, heard.transaction).with(51, chance.next_u32().to_be_bytes()).bytes();
                for _ in 0..chance.below(3) {
                    let at = chance.below(bytes.len() as u32) as usize;
                    bytes[at] = chance.next_u32() as u8;
                }
                let received = Received { source: SERVER, destination: ADDRESS, payload: &bytes };
                let _ = world.client.receive(received, world.now, &mut world.random);
            }
            if let Some(lease) = world.client.lease() {
                assert!(lease.expires().is_none_or(|expires| expires > world.now));
            }
            match chance.borrow_mut().below(30) {
                0 => world.client.restart(Remember::Verify, world.now),
                1 => world.client.restart(Remember::Nothing, world.now),
                2 => drop(world.client.decline(ADDRESS, world.now, &mut world.random)),
                3 => world.client.refuse(world.now),
                _ => {}
            }
            world.now = world.client.next_timeout().unwrap_or(world.now + seconds(1)).max(world.now);
        }
        world.client.restart(Remember::Nothing, world.now);
        let until = world.time() / 1000 + 40;
        world.advance(until, &lends);
        assert_eq!(world.client.state(), State::Bound, "{seed}");
    }
}
