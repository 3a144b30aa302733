//! Hostile clients of a DHCP server. A string of bytes determines the messages, by whom they are sent, and when.

use core::net::Ipv4Addr;
use core::time::Duration;
use std::collections::BTreeSet;

use xila_network_host::address::{Cidr, MacAddress};
use xila_network_host::platform::Instant;
use xila_network_host::services::dhcp::{Answer, Config, Server};

use super::bytes::Bytes;

const SERVER: Ipv4Addr = Ipv4Addr::new(10, 9, 0, 1);
/// A router of the network, in the middle of the pool.
const ROUTER: Ipv4Addr = Ipv4Addr::new(10, 9, 0, 12);
const POOL: [u8; 2] = [10, 17];
const COOKIE: [u8; 4] = [99, 130, 83, 99];
const COOKIE_AT: usize = 236;

/// Runs the messages that the bytes describe.
pub(crate) fn run(data: &[u8]) {
    let mut bytes = Bytes::new(data);
    let mut config = Config::new(Cidr::new(SERVER.into(), 24).expect("a network")).expect("an address");
    config.pool = host(POOL[0])..=host(POOL[1]);
    config.routers = vec![ROUTER];
    config.search = vec!["corp.example".into()];
    let mut server = Server::new(&config).expect("a configuration");
    let mut now = Instant::from_origin(Duration::ZERO);
    while !bytes.is_empty() {
        now += Duration::from_secs(bytes.pick(&[0, 0, 1, 59, 61, 600, 3600, 90_000]));
        let (sender, message) = (hardware(bytes.byte() % 16), message(&mut bytes));
        let before = server.statistics();
        let answer = server.handle(now, sender, &message);
        if let Some(answer) = &answer {
            check(answer, &message);
        }
        let after = server.statistics();
        let told = [after.offers - before.offers, after.acknowledgements - before.acknowledgements];
        let told = told.iter().sum::<u64>() + after.refusals - before.refusals;
        assert_eq!(told, u64::from(answer.is_some()), "each answer is counted");
        let leased: BTreeSet<Ipv4Addr> = server.leases(now).map(|lease| lease.address).collect();
        assert!(leased.iter().all(|address| is_leasable(*address)), "{leased:?}");
        assert!(server.leases(now).all(|lease| lease.ends > now));
        assert_eq!(leased.len(), server.leases(now).count());
    }
}

const fn host(last: u8) -> Ipv4Addr {
    Ipv4Addr::new(10, 9, 0, last)
}

fn hardware(number: u8) -> MacAddress {
    MacAddress::new([2, 0, 0, 0, 0, number]).expect("a unicast address")
}

fn is_leasable(address: Ipv4Addr) -> bool {
    (host(POOL[0])..=host(POOL[1])).contains(&address) && address != ROUTER
}

fn address(bytes: &mut Bytes<'_>) -> Ipv4Addr {
    match bytes.byte() {
        choice @ 0..=31 => host(choice),
        32..=95 => Ipv4Addr::UNSPECIFIED,
        96..=103 => Ipv4Addr::BROADCAST,
        104..=111 => Ipv4Addr::LOCALHOST,
        _ => Ipv4Addr::from_bits(bytes.long()),
    }
}

/// A message that is close to a valid one.
fn message(bytes: &mut Bytes<'_>) -> Vec<u8> {
    let mut message = vec![1, 1, 6, 0];
    message.extend(bytes.long().to_be_bytes());
    message.extend([0, 0, bytes.byte() & 0x80, 0]);
    message.extend(address(bytes).octets());
    message.extend([0; 8]);
    message.extend(if bytes.byte() < 200 { Ipv4Addr::UNSPECIFIED } else { address(bytes) }.octets());
    message.extend(hardware(bytes.byte() % 16).octets());
    message.resize(COOKIE_AT, 0);
    message.extend(COOKIE);
    message.extend([53, 1, bytes.pick(&[1, 1, 1, 3, 3, 3, 3, 4, 7, 8, 2, 5, 0, 13])]);
    for _ in 0..bytes.byte() % 6 {
        match bytes.byte() % 8 {
            0 | 1 => option(&mut message, 50, &address(bytes).octets()),
            2 => option(&mut message, 54, &bytes.pick(&[SERVER, SERVER, host(2)]).octets()),
            3 => option(&mut message, 61, &[bytes.byte() % 4; 3]),
            4 => option(&mut message, 51, &bytes.long().to_be_bytes()),
            5 => option(&mut message, 57, &bytes.word().to_be_bytes()),
            6 => {
                let count = bytes.below(12);
                option(&mut message, 55, bytes.take(count));
            }
            _ => {
                let (code, length) = (bytes.byte(), bytes.byte());
                option(&mut message, code, &vec![bytes.byte(); length.into()]);
            }
        }
    }
    message.push(255);
    for _ in 0..bytes.byte() % 8 / 5 {
        let at = bytes.below(message.len());
        message[at] = bytes.byte();
    }
    if bytes.byte() > 240 {
        let length = bytes.below(message.len());
        message.truncate(length);
    }
    message
}

fn option(message: &mut Vec<u8>, code: u8, data: &[u8]) {
    message.extend([code, data.len() as u8]);
    message.extend(data);
}

/// The options of an answer, which must be well-formed.
fn options(payload: &[u8]) -> Vec<(u8, &[u8])> {
    assert_eq!(payload[COOKIE_AT..COOKIE_AT + 4], COOKIE);
    let mut rest = &payload[COOKIE_AT + 4..];
    let mut options = Vec::new();
    loop {
        match rest {
            [255, padding @ ..] => {
                assert!(padding.iter().all(|octet| *octet == 0));
                return options;
            }
            [code, length, behind @ ..] => {
                let (data, behind) = behind.split_at(usize::from(*length));
                options.push((*code, data));
                rest = behind;
            }
            _ => panic!("the options have no end: {payload:02x?}"),
        }
    }
}

/// Checks that an answer is one to the message, is what a client understands, and stays on the network.
fn check(answer: &Answer, message: &[u8]) {
    let Answer { hardware, destination, payload } = answer;
    assert_eq!(payload[..4], [2, 1, 6, 0]);
    assert_eq!(payload[4..8], message[4..8], "the transaction");
    assert_eq!(payload[24..34], message[24..34], "the relay and the hardware address");
    let options = options(payload);
    let find = |wanted: u8| options.iter().find(|(code, _)| *code == wanted).map(|(_, data)| *data);
    assert_eq!(find(54), Some(&SERVER.octets()[..]));
    let (kind, lifetime) = (find(53).expect("a type"), find(51));
    let leased = Ipv4Addr::from_octets(payload[16..20].try_into().expect("four bytes"));
    match (kind, lifetime) {
        ([2 | 5], Some(lifetime)) => {
            assert!(is_leasable(leased) && lifetime.len() == 4, "{leased}");
        }
        // An acknowledgement for who has an address from elsewhere, or a refusal.
        ([5 | 6], None) => assert!(leased.is_unspecified(), "{leased}"),
        _ => panic!("{kind:?} {lifetime:?}"),
    }
    let to = *destination.ip();
    assert!(to.is_broadcast() || to.octets()[..3] == SERVER.octets()[..3], "{to}");
    assert_eq!(to.is_broadcast(), *hardware == [0xff; 6]);
    assert!([67, 68].contains(&destination.port()));
}
