//! Fuzzes the DHCP client against hostile servers, alone or within an engine. The input bytes determine the servers'
//! messages, the passing of time and the owner's commands.

use core::net::Ipv4Addr;
use core::time::Duration;

use smoltcp::wire::EthernetAddress;
use xila_network_engine::configure::dhcp::{
    Action, Client, Config, Datagram, Lease, Received, Reception, Remember, Remembered, State,
};
use xila_network_engine::random::Random;
use xila_network_engine::time::Instant;

use super::bytes::Bytes;
use super::lender::{ACK, Asked, DECLINE, DISCOVER, NAK, RELEASE, REQUEST, SERVERS, array, kind, lent, reply};
use super::loans;
use super::station::{OWN, Station};

/// The maximum number of entries that the client takes from each list of a lease.
const MOST: usize = 16;

/// The interval after which the client may send one message more.
const INTERVAL: Duration = Duration::from_secs(4);

/// The message that servers answer to before the client has sent one.
pub(crate) const NOTHING: Asked =
    Asked { kind: DISCOVER, transaction: [0; 4], hardware: OWN, client: None, requested: None, server: None };

struct World {
    client: Client,
    random: Random,
    now: Instant,
    is_up: bool,
    /// The client's last message, while it may be answered.
    asked: Option<Asked>,
    /// The lease that the client has reported to its owner.
    told: Option<Lease>,
    /// Some of the servers' earlier messages, which may be repeated.
    said: Vec<Vec<u8>>,
    /// The time at which all messages would have been sent, at one in four seconds.
    spent: Instant,
    refused: u64,
}

/// Runs the scenario that the bytes encode.
pub(crate) fn run(data: &[u8]) {
    let mut bytes = Bytes::new(data);
    if bytes.byte() >= 160 {
        return loans::lend(&mut bytes);
    }
    let mut world = World::new(&mut bytes);
    while !bytes.is_empty() {
        world.act(&mut bytes);
    }
    world.is_up = true;
    world.go_on();
    world.pass(Duration::from_secs(600));
}

impl World {
    fn new(bytes: &mut Bytes<'_>) -> Self {
        let (now, setting) = (Instant::ORIGIN + Duration::from_secs(1000), bytes.byte());
        let address = Ipv4Addr::new(192, 0, 2, bytes.pick(&[77, 78, 0]));
        let remembered = Remembered { address, is_current: setting & 2 != 0 };
        let length = bytes.below(300);
        let config = Config {
            host_name: (setting & 4 != 0).then(|| "n".repeat(length)),
            remembered: (setting & 1 != 0).then_some(remembered),
            longest_message: if setting & 8 != 0 { bytes.word() } else { 1472 },
            broadcast: setting & 16 != 0,
        };
        let mut world = Self {
            client: Client::new(EthernetAddress(OWN), config, now),
            random: Random::new([setting; 32]),
            now,
            is_up: true,
            asked: None,
            told: None,
            said: Vec::new(),
            spent: now,
            refused: 0,
        };
        world.go_on();
        world
    }

    fn act(&mut self, bytes: &mut Bytes<'_>) {
        match bytes.byte() % 16 {
            0..=6 => {
                let message = self.message(bytes);
                self.hear(&message, bytes);
            }
            7..=9 => {
                // Advances the clock until the next timer, but at most a year.
                if let Some(due) = self.next_timeout() {
                    self.pass((due - self.now).min(Duration::from_secs(31_536_000)));
                }
            }
            10 => self.pass(Station::time(bytes)),
            11 => {
                // The clock jumps: the client was not polled for a while.
                self.now += Station::time(bytes);
                self.go_on();
            }
            12 => {
                if let Some(message) = self.said.get(bytes.below(self.said.len().max(1))).cloned() {
                    self.hear(&message, bytes);
                }
            }
            13 => {
                // A server repeats the same kind of answer in a burst.
                let way = bytes.take(24);
                for _ in 0..bytes.byte() % 64 {
                    let message = self.message(&mut Bytes::new(way));
                    self.hear(&message, &mut Bytes::new(&[]));
                }
            }
            14 => {
                let length = bytes.below(400);
                let mut message = bytes.take(length).to_vec();
                if let Some(asked) = &self.asked
                    && message.len() > 34
                {
                    message[..4].copy_from_slice(&[2, 1, 6, 0]);
                    message[4..8].copy_from_slice(&asked.transaction);
                    message[28..34].copy_from_slice(&OWN);
                }
                self.hear(&message, bytes);
            }
            _ => self.own(bytes),
        }
    }

    fn message(&self, bytes: &mut Bytes<'_>) -> Vec<u8> {
        reply(self.asked.as_ref().unwrap_or(&NOTHING), bytes)
    }

    /// A command of the owner.
    fn own(&mut self, bytes: &mut Bytes<'_>) {
        let now = self.now;
        match bytes.byte() % 8 {
            0 | 1 => {
                self.client.restart(Remember::Verify, now);
                self.asked = None;
            }
            2 => {
                self.client.restart(Remember::Nothing, now);
                self.asked = None;
                assert!(self.client.lease().is_none() && self.client.remembered().is_none());
            }
            3 => {
                let before = self.client.lease().cloned();
                let datagram = self.client.release(now, &mut self.random);
                self.last_words(datagram.as_ref(), before.as_ref(), RELEASE);
                assert_eq!(self.client.state(), State::Released);
                self.asked = None;
            }
            4 => {
                let before = self.client.lease().cloned();
                let lent = before.as_ref().map(|lease| lease.address);
                let address = lent.filter(|_| bytes.byte() < 200).unwrap_or(Ipv4Addr::new(192, 0, 2, 78));
                let declined = before.as_ref().filter(|lease| lease.address == address);
                let datagram = self.client.decline(address, now, &mut self.random);
                self.last_words(datagram.as_ref(), declined, DECLINE);
                if declined.is_some() {
                    self.asked = None;
                }
            }
            5 => {
                if self.client.lease().is_some() {
                    self.refused += 1;
                    self.asked = None;
                }
                self.client.refuse(now);
            }
            6 => self.is_up = false,
            _ => self.is_up = true,
        }
        self.go_on();
    }

    /// Checks the message by which the client releases or declines a lease.
    fn last_words(&self, datagram: Option<&Datagram>, lease: Option<&Lease>, kind: u8) {
        assert_eq!(datagram.is_some(), lease.is_some());
        let (Some(datagram), Some(lease)) = (datagram, lease) else { return };
        let asked = Asked::read(&datagram.payload);
        assert_eq!((asked.kind, asked.server, asked.hardware), (kind, Some(lease.server), OWN));
        let ends =
            if kind == RELEASE { (lease.address, lease.server) } else { (Ipv4Addr::UNSPECIFIED, Ipv4Addr::BROADCAST) };
        assert_eq!((datagram.source, datagram.destination), ends);
        assert_eq!(asked.client.or(asked.requested), Some(lease.address));
        assert!(self.client.lease().is_none());
    }

    /// Gives a server's message to the client and checks the outcome.
    fn hear(&mut self, message: &[u8], bytes: &mut Bytes<'_>) {
        let source = if bytes.byte() < 220 { SERVERS[0] } else { bytes.pick(&SERVERS) };
        let destination = bytes.pick(&[Ipv4Addr::BROADCAST, Ipv4Addr::new(192, 0, 2, 77), Ipv4Addr::new(224, 0, 0, 1)]);
        let before = (self.client.lease().cloned(), self.client.state(), self.next_timeout());
        let received = Received { source, destination, payload: message };
        let outcome = self.client.receive(received, self.now, &mut self.random);
        let lease = self.client.lease().cloned();
        match outcome {
            Ok(Reception::Ignored) => {
                assert_eq!((lease, self.client.state(), self.next_timeout()), before, "{message:02x?}");
            }
            Err(_) => {
                self.refused += 1;
                assert_eq!(lease, before.0);
            }
            Ok(Reception::Taken) => {
                let asked = self.asked.as_ref().expect("an answer without a question");
                assert!(!matches!(before.1, State::Init | State::InitReboot | State::Bound | State::Released));
                assert_eq!((array(message, 4), array(message, 28)), (asked.transaction, OWN));
                match &lease {
                    Some(lease) if self.client.state() == State::Bound => {
                        assert_eq!((asked.kind, kind(message)), (REQUEST, Some(ACK)), "{message:02x?}");
                        assert_eq!(lease.address, lent(message));
                        assert!(asked.server.is_none_or(|server| server == lease.server), "of another server");
                    }
                    None if before.0.is_some() => assert_eq!(kind(message), Some(NAK)),
                    // The client continues with its question, or starts again.
                    Some(_) | None => assert_eq!(lease, before.0),
                }
            }
        }
        assert_eq!(self.client.refused(), self.refused);
        if self.said.len() < 16 {
            self.said.push(message.to_vec());
        }
        self.go_on();
    }

    fn next_timeout(&self) -> Option<Instant> {
        if self.is_up { self.client.next_timeout() } else { self.client.next_silent_timeout() }
    }

    /// Handles expired timers: this takes a few actions only, and leaves no expired timer.
    fn go_on(&mut self) {
        for round in 0.. {
            assert!(round < 16, "something is due without end");
            let action = if self.is_up {
                self.client.poll(self.now, &mut self.random)
            } else {
                self.client.poll_silently(self.now)
            };
            match action {
                None => break,
                Some(Action::Send(datagram)) => self.send(&datagram),
                Some(Action::Bound { lease, former }) => {
                    assert_eq!(former.as_deref(), self.told.as_ref());
                    self.told = Some(*lease);
                }
                Some(Action::Lost(lease)) => {
                    assert_eq!(Some(*lease), self.told.take(), "of what was lost nobody was told");
                }
            }
        }
        assert!(self.next_timeout().is_none_or(|due| due > self.now), "due, and nothing to be done");
        self.check();
    }

    /// Checks a message that the client sends on its own.
    fn send(&mut self, datagram: &Datagram) {
        assert!(self.is_up);
        let asked = Asked::read(&datagram.payload);
        assert_eq!(asked.hardware, OWN);
        let (lease, state) = (self.client.lease(), self.client.state());
        let to_all = (Ipv4Addr::UNSPECIFIED, Ipv4Addr::BROADCAST);
        let ends = match state {
            State::Renewing => lease.map(|lease| (lease.address, lease.server)),
            State::Rebinding => lease.map(|lease| (lease.address, Ipv4Addr::BROADCAST)),
            _ => Some(to_all),
        };
        assert_eq!(Some((datagram.source, datagram.destination)), ends, "{state:?}");
        // RFC 2131 tables 4 and 5: the fields of the client's messages.
        let of_lease = lease.map(|lease| lease.address);
        let (names_client, names_address, names_server) =
            (asked.client.is_some(), asked.requested.is_some(), asked.server.is_some());
        match state {
            State::Selecting => assert_eq!((asked.kind, names_client, names_server), (DISCOVER, false, false)),
            State::Requesting => {
                assert_eq!((asked.kind, names_client, names_address, names_server), (REQUEST, false, true, true));
            }
            State::Rebooting => {
                assert_eq!((asked.kind, names_client, names_address, names_server), (REQUEST, false, true, false));
            }
            State::Renewing | State::Rebinding => {
                assert_eq!((asked.kind, names_address, names_server), (REQUEST, false, false));
                assert_eq!(asked.client, of_lease);
            }
            State::Init | State::InitReboot | State::Bound | State::Released => panic!("{state:?} asks nothing"),
        }
        self.asked = Some(asked);
        // The rate limit: a burst of eight messages, and one in four seconds.
        self.spent = self.spent.max(self.now) + INTERVAL;
        assert!(self.spent - self.now <= INTERVAL * 8, "more than eight messages at once");
    }

    fn check(&self) {
        let lease = self.client.lease();
        assert_eq!(lease, self.told.as_ref(), "it is told of");
        if let Some(remembered) = self.client.remembered() {
            assert!(is_host(remembered.address));
        }
        if let Some(lease) = lease {
            assert!(lease.expires().is_none_or(|expires| expires > self.now), "it is over");
            assert!(lease.since <= self.now);
            check_lease(lease);
        }
    }

    fn pass(&mut self, time: Duration) {
        let end = self.now + time;
        let mut steps = 0;
        while let Some(due) = self.next_timeout().filter(|due| *due <= end) {
            self.now = self.now.max(due);
            self.go_on();
            steps += 1;
            assert!(steps < 20_000, "timers that never rest");
        }
        self.now = end;
        self.go_on();
    }
}

/// Checks that the lists of a lease are bounded and its values make sense.
pub(crate) fn check_lease(lease: &Lease) {
    assert!(is_host(lease.address) && is_host(lease.server) && (1..=32).contains(&lease.prefix));
    check_list(&lease.routers, |router| is_host(*router) && *router != lease.address);
    check_list(&lease.routes, |route| {
        route.gateway.is_none_or(|gateway| is_host(gateway) && gateway != lease.address)
            && route.destination.prefix_len() <= 32
    });
    check_list(&lease.dns_servers, |server| is_host(*server));
    check_list(&lease.ntp_servers, |server| is_host(*server));
    check_list(&lease.search, |name| is_name(name));
    assert!(lease.domain.as_deref().is_none_or(is_name), "{:?}", lease.domain);
    assert!(lease.routes.is_empty() || lease.routers.is_empty());
    assert!(lease.mtu.is_none_or(|mtu| mtu >= 68));
    assert!(lease.lifetime.is_none_or(|time| !time.is_zero()));
    let times = (lease.renewal, lease.rebinding, lease.lifetime);
    match times {
        (Some(renewal), Some(rebinding), Some(lifetime)) => {
            assert!(!renewal.is_zero() && renewal < rebinding && rebinding < lifetime, "{times:?}");
        }
        _ => assert_eq!(times, (None, None, None)),
    }
}

fn check_list<T: PartialEq + core::fmt::Debug>(list: &[T], is_fine: impl Fn(&T) -> bool) {
    assert!(list.len() <= MOST && list.iter().all(is_fine), "{list:?}");
    assert!((1..list.len()).all(|place| !list[..place].contains(&list[place])), "twice: {list:?}");
}

fn is_host(address: Ipv4Addr) -> bool {
    !matches!(address.octets()[0], 0 | 127 | 224..)
}

/// Whether a domain name can safely be displayed and written into a file.
pub(crate) fn is_name(name: &str) -> bool {
    let is_label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_'))
    };
    name.len() <= 253 && name.split('.').all(is_label)
}
