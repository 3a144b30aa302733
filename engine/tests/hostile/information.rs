//! Fuzzes the client of stateless DHCPv6 against hostile servers. The input bytes determine the servers' messages, the
//! passing of time and the owner's commands.

use core::net::Ipv6Addr;
use core::time::Duration;

use smoltcp::wire::EthernetAddress;
use xila_network_engine::configure::information::{Answer, Client};
use xila_network_engine::random::Random;
use xila_network_engine::time::Instant;

use super::bytes::Bytes;
use super::dhcp::is_name;
use super::lender::names;
use super::station::{OWN, Station, V6};

/// The client's identifier (RFC 8415 section 11.4).
const IDENTIFIER: [u8; 10] = [0, 3, 0, 1, OWN[0], OWN[1], OWN[2], OWN[3], OWN[4], OWN[5]];

/// The maximum numbers of entries that the client takes from an answer.
const MOST_SERVERS: usize = 4;
const MOST_DOMAINS: usize = 16;

/// Refresh times in seconds; the last one means infinity.
const TIMES: [u32; 9] = [86_400, 600, 599, 0, 1, 60, 59, u32::MAX - 1, u32::MAX];

struct World {
    client: Client,
    random: Random,
    now: Instant,
    /// The transaction ID of the open question, and when it was sent last.
    open: Option<([u8; 3], Instant)>,
    /// Some of the servers' earlier messages, which may be repeated.
    said: Vec<Vec<u8>>,
}

/// Runs the scenario that the bytes encode.
pub(crate) fn run(data: &[u8]) {
    let mut bytes = Bytes::new(data);
    let now = Instant::ORIGIN + Duration::from_secs(1000);
    let mut random = Random::new([bytes.byte(); 32]);
    let client = Client::new(EthernetAddress(OWN), now, &mut random);
    let mut world = World { client, random, now, open: None, said: Vec::new() };
    while !bytes.is_empty() {
        world.act(&mut bytes);
    }
    world.pass(Duration::from_secs(7200));
}

impl World {
    fn act(&mut self, bytes: &mut Bytes<'_>) {
        match bytes.byte() % 16 {
            0..=2 => {
                self.client.verify(self.now, &mut self.random);
                self.until_due();
            }
            3..=8 => {
                let message = self.message(bytes);
                self.hear(&message);
            }
            9 | 10 => self.until_due(),
            11 => self.pass(Station::time(bytes)),
            12 => {
                // The clock jumps: the client was not polled for a while.
                self.now += Station::time(bytes);
                self.go_on();
            }
            13 => {
                if let Some(message) = self.said.get(bytes.below(self.said.len().max(1))).cloned() {
                    self.hear(&message);
                }
            }
            14 => {
                let length = bytes.below(300);
                let mut message = bytes.take(length).to_vec();
                if let Some((transaction, _)) = self.open
                    && message.len() > 4
                {
                    message[0] = 7;
                    message[1..4].copy_from_slice(&transaction);
                }
                self.hear(&message);
            }
            _ => match bytes.byte() % 4 {
                0 | 1 => {
                    // The interface forgets its network, and the client starts again.
                    self.client = Client::new(EthernetAddress(OWN), self.now, &mut self.random);
                    self.open = None;
                }
                _ => {
                    self.client.verify(self.now, &mut self.random);
                }
            },
        }
        self.go_on();
    }

    /// A server's answer. If no bytes are left, it is valid and carries no information.
    fn message(&self, bytes: &mut Bytes<'_>) -> Vec<u8> {
        let [a, b, c] = self.open.map_or([0; 3], |(transaction, _)| transaction);
        let strange = bytes.byte();
        let is_strange = |bit: u8| strange >= 192 && strange >> bit & 1 == 1;
        let mut message = vec![if is_strange(0) { bytes.byte() } else { 7 }, a, b, c];
        if !is_strange(1) {
            put(&mut message, 1, &IDENTIFIER);
        }
        if !is_strange(2) {
            put(&mut message, 2, &[0, 3, 0, 1, 2, 0, 0, 0, 0, 0xfe]);
        }
        for _ in 0..bytes.byte() % 16 {
            match bytes.byte() % 8 {
                0 | 1 => {
                    let data: Vec<u8> = (0..bytes.byte() % 12).flat_map(|_| host(bytes).octets()).collect();
                    let length = if bytes.byte() < 230 { data.len() } else { bytes.below(data.len() + 1) };
                    put(&mut message, 23, &data[..length]);
                }
                2 | 3 => put(&mut message, 24, &names(bytes)),
                4 => {
                    let code = bytes.pick(&[32, 83]);
                    let length = if bytes.byte() < 230 { 4 } else { bytes.below(5) };
                    put(&mut message, code, &bytes.pick(&TIMES).to_be_bytes()[..length]);
                }
                5 => put(&mut message, 13, &[0, bytes.pick(&[0, 0, 0, 1, 5])]),
                6 => put(&mut message, bytes.pick(&[1, 2]), bytes.pick(&[&IDENTIFIER[..], &[], &[0, 1, 2]])),
                _ => {
                    let (code, length) = (bytes.word(), bytes.below(32));
                    put(&mut message, code, bytes.take(length));
                }
            }
        }
        if is_strange(3) {
            for _ in 0..1 + bytes.byte() % 4 {
                let at = bytes.below(message.len());
                message[at] = bytes.byte();
            }
        }
        if is_strange(4) {
            message.truncate(bytes.below(message.len()));
        }
        message
    }

    /// Gives a server's message to the client and checks the outcome.
    fn hear(&mut self, message: &[u8]) {
        let before = self.client.next_timeout();
        match self.client.receive(message, self.now).then(|| self.client.answer().clone()) {
            None => assert_eq!(self.client.next_timeout(), before, "{message:02x?}"),
            Some(Answer { servers, domains }) => {
                let (transaction, _) = self.open.take().expect("an answer without a question");
                assert_eq!((message[0], &message[1..4]), (7, &transaction[..]));
                assert!(message.windows(10).any(|part| part == IDENTIFIER), "for another host");
                assert!(servers.len() <= MOST_SERVERS && servers.iter().all(|server| is_host(*server)), "{servers:?}");
                assert!((1..servers.len()).all(|place| !servers[..place].contains(&servers[place])), "{servers:?}");
                assert!(domains.len() <= MOST_DOMAINS && domains.iter().all(|name| is_name(name)), "{domains:?}");
                // A server cannot make the client ask it again and again.
                let next = self.client.next_timeout();
                assert!(next.is_none_or(|next| next - self.now >= Duration::from_secs(600)), "{next:?}");
            }
        }
        if self.said.len() < 16 {
            self.said.push(message.to_vec());
        }
    }

    /// Sends the message that is due, at most one, and leaves no expired timer.
    fn go_on(&mut self) {
        let mut count = 0;
        while let Some(message) = self.client.poll(self.now, &mut self.random) {
            count += 1;
            assert!(count < 2, "messages without end");
            self.sent(&message);
        }
        assert!(self.client.next_timeout().is_none_or(|due| due > self.now), "due, and nothing to be done");
    }

    fn sent(&mut self, message: &[u8]) {
        let [11, a, b, c, 0, 1, 0, 10, rest @ ..] = message else { panic!("{message:02x?}") };
        let rest = rest.strip_prefix(&IDENTIFIER).expect("the identifier");
        assert_eq!((&rest[..4], rest.len()), (&[0, 8, 0, 2][..], 6 + 4 + 8));
        let transaction = [*a, *b, *c];
        let is_again = self.open.is_some_and(|(open, _)| open == transaction);
        if let Some((_, before)) = self.open.filter(|_| is_again) {
            // The client waits at least a second less a tenth, and longer each time.
            assert!(self.now - before >= Duration::from_millis(900), "asked again after {:?}", self.now - before);
        }
        self.open = Some((transaction, self.now));
    }

    fn until_due(&mut self) {
        if let Some(due) = self.client.next_timeout() {
            self.now = self.now.max(due);
            self.go_on();
        }
    }

    fn pass(&mut self, time: Duration) {
        let end = self.now + time;
        let mut steps = 0;
        while let Some(due) = self.client.next_timeout().filter(|due| *due <= end) {
            self.now = self.now.max(due);
            self.go_on();
            steps += 1;
            assert!(steps < 2000, "timers that never rest");
        }
        self.now = end;
        self.go_on();
    }
}

fn put(message: &mut Vec<u8>, code: u16, data: &[u8]) {
    message.extend(code.to_be_bytes());
    message.extend((data.len() as u16).to_be_bytes());
    message.extend(data);
}

fn host(bytes: &mut Bytes<'_>) -> Ipv6Addr {
    match bytes.byte() {
        byte @ 0..160 => Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0x53, byte.into()),
        byte @ 160..230 => V6[usize::from(byte) % V6.len()],
        230.. => Ipv6Addr::from(core::array::from_fn::<u8, 16, _>(|_| bytes.byte())),
    }
}

fn is_host(address: Ipv6Addr) -> bool {
    !address.is_unspecified() && !address.is_loopback() && !address.is_multicast() && address.to_ipv4_mapped().is_none()
}
