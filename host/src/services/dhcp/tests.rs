mod addresses;
mod options;

use xila_network_engine::configure::dhcp::options::{COOKIE, HEADER, Options};
use xila_network_engine::configure::dhcp::{Action, Client, Config as ClientConfig, Received};
use xila_network_engine::random::Random;

use super::*;

const SERVER: Ipv4Addr = Ipv4Addr::new(10, 9, 0, 1);
const RELAY: Ipv4Addr = Ipv4Addr::new(10, 9, 0, 200);

fn config(pool: RangeInclusive<u8>) -> Config {
    let own = Cidr::new(SERVER.into(), 24).expect("a network");
    let address = |last| Ipv4Addr::new(10, 9, 0, last);
    Config { pool: address(*pool.start())..=address(*pool.end()), ..Config::new(own).expect("a host's address") }
}

fn server(pool: RangeInclusive<u8>) -> Server {
    Server::new(&config(pool)).expect("a configuration")
}

fn mac(number: u8) -> MacAddress {
    MacAddress::new([2, 0, 0, 0, 0, number]).expect("a unicast address")
}

fn host(last: u8) -> Ipv4Addr {
    Ipv4Addr::new(10, 9, 0, last)
}

fn at(seconds: u64) -> Instant {
    Instant::from_origin(Duration::from_secs(seconds))
}

/// A message of a client, field by field.
#[derive(Clone)]
struct Message {
    hardware: MacAddress,
    flags: u16,
    ciaddr: Ipv4Addr,
    giaddr: Ipv4Addr,
    options: Vec<(u8, Vec<u8>)>,
}

impl Message {
    /// A message of a type: 1 discover, 3 request, 4 decline, 7 release, 8 inform.
    fn new(kind: u8, hardware: MacAddress) -> Self {
        let none = Ipv4Addr::UNSPECIFIED;
        Self { hardware, flags: 0, ciaddr: none, giaddr: none, options: vec![(53, vec![kind])] }
    }

    /// A request in the state SELECTING, as RFC 2131 table 5 has it.
    fn selecting(hardware: MacAddress, address: Ipv4Addr) -> Self {
        Self::new(3, hardware).with(54, SERVER.octets()).with(50, address.octets())
    }

    /// In the states RENEWING and REBINDING.
    fn renewing(hardware: MacAddress, address: Ipv4Addr) -> Self {
        Self { ciaddr: address, ..Self::new(3, hardware) }
    }

    fn with(mut self, code: u8, data: impl AsRef<[u8]>) -> Self {
        self.options.push((code, data.as_ref().to_vec()));
        self
    }

    fn bytes(&self) -> Vec<u8> {
        let mut bytes = vec![1, 1, 6, 0, 0xde, 0xad, 0xbe, 0xef, 0, 9];
        bytes.extend(self.flags.to_be_bytes());
        bytes.extend(self.ciaddr.octets());
        bytes.resize(24, 0);
        bytes.extend(self.giaddr.octets());
        bytes.extend(self.hardware.octets());
        bytes.resize(HEADER, 0);
        bytes.extend(COOKIE);
        for (code, data) in &self.options {
            bytes.extend([*code, u8::try_from(data.len()).expect("one option")]);
            bytes.extend(data);
        }
        bytes.push(255);
        bytes
    }

    fn to(&self, server: &mut Server, seconds: u64) -> Option<Answer> {
        server.handle(at(seconds), self.hardware, &self.bytes())
    }
}

/// The type of an answer, and `yiaddr`.
fn told(answer: Option<&Answer>) -> Option<(u8, Ipv4Addr)> {
    let payload = &answer?.payload;
    assert!(payload.len() >= 300);
    assert_eq!(payload[..4], [2, 1, 6, 0]);
    assert_eq!(payload[4..10], [0xde, 0xad, 0xbe, 0xef, 0, 0], "the transaction, and no time");
    let server: Option<[u8; 4]> = options(answer?).fixed(54);
    assert_eq!(server, Some(SERVER.octets()));
    let kind: [u8; 1] = options(answer?).fixed(53).expect("a type");
    Some((kind[0], Ipv4Addr::from_octets(payload[16..20].try_into().expect("four bytes"))))
}

fn options(answer: &Answer) -> Options<'_> {
    Options::parse(&answer.payload).expect("well-formed options")
}

fn answer(server: &mut Server, message: &Message, seconds: u64) -> Option<(u8, Ipv4Addr)> {
    told(message.to(server, seconds).as_ref())
}

/// Leases the address that the server offers to a client.
fn lease(server: &mut Server, hardware: MacAddress, seconds: u64) -> Ipv4Addr {
    let (kind, address) = answer(server, &Message::new(1, hardware), seconds).expect("an offer");
    assert_eq!(kind, 2);
    assert_eq!(answer(server, &Message::selecting(hardware, address), seconds), Some((5, address)));
    address
}

const NAK: Option<(u8, Ipv4Addr)> = Some((6, Ipv4Addr::UNSPECIFIED));

#[test]
fn our_own_client_gets_a_lease_and_renews_it() {
    let mut config = config(2..=9);
    config.routers = vec![SERVER];
    config.dns_servers = vec![SERVER, host(2)];
    config.domain = Some("corp.example".into());
    config.search = vec!["corp.example".into(), "lab.example.".into()];
    config.mtu = Some(1400);
    let mut server = Server::new(&config).expect("a configuration");
    let mut random = Random::new([7; 32]);
    let hardware = smoltcp::wire::EthernetAddress(mac(7).octets());
    let mut client = Client::new(hardware, ClientConfig::default(), at(0));
    let (mut leases, mut sent, mut now) = (Vec::new(), 0, at(0));
    while now < at(4000) {
        match client.poll(now, &mut random) {
            Some(Action::Send(datagram)) => {
                sent += 1;
                let answer = server.handle(now, mac(7), &datagram.payload).expect("an answer");
                let destination = *answer.destination.ip();
                assert_eq!((answer.hardware, destination), (mac(7).octets(), host(3)), "without broadcast");
                let received = Received { source: SERVER, destination, payload: &answer.payload };
                client.receive(received, now, &mut random).expect("a lease that makes sense");
            }
            Some(Action::Bound { lease, .. }) => leases.push(lease),
            Some(Action::Lost(lease)) => panic!("{lease:?} is lost"),
            None => now = client.next_timeout().expect("a renewal"),
        }
    }
    assert_eq!((leases.len(), sent), (3, 4), "one lease by two messages, and two renewals");
    let lease = &leases[0];
    assert_eq!((lease.address, lease.prefix, lease.server), (host(3), 24, SERVER), "10.9.0.2 is a DNS server");
    assert_eq!((&lease.routers, &lease.dns_servers), (&vec![SERVER], &vec![SERVER, host(2)]));
    assert_eq!((lease.domain.as_deref(), lease.mtu), (Some("corp.example"), Some(1400)));
    assert_eq!(lease.search, ["corp.example", "lab.example"]);
    let hour = Duration::from_secs(3600);
    assert_eq!((lease.lifetime, lease.renewal, lease.rebinding), (Some(hour), Some(hour / 2), Some(hour * 7 / 8)));
    let counts = Statistics { offers: 1, acknowledgements: 3, ..Statistics::default() };
    assert_eq!(server.statistics(), counts);
    assert_eq!(
        server.leases(now).map(|lease| (lease.address, lease.hardware)).collect::<Vec<_>>(),
        [(host(3), mac(7))]
    );
}

#[test]
fn a_client_gets_its_address_again_and_others_get_others() {
    let mut server = server(10..=12);
    assert_eq!(lease(&mut server, mac(1), 0), host(10));
    assert_eq!(lease(&mut server, mac(2), 0), host(11));
    assert_eq!(lease(&mut server, mac(1), 5), host(10), "which ends later than that of the other client");
    // The leases have ended long ago, and the address of the pool that was never used is given before theirs.
    assert_eq!(lease(&mut server, mac(3), 9000), host(12));
    // Nothing else is left: what has been free for the longest time goes to another client.
    assert_eq!(lease(&mut server, mac(4), 9000), host(11));
    assert_eq!(lease(&mut server, mac(1), 9000), host(10), "its own, which nobody got meanwhile");
    assert_eq!(answer(&mut server, &Message::new(1, mac(2)), 9000), None);
    assert_eq!(server.statistics().exhausted, 1);
}

#[test]
fn an_offer_is_kept_for_a_minute() {
    let mut server = server(10..=10);
    assert_eq!(answer(&mut server, &Message::new(1, mac(1)), 0), Some((2, host(10))));
    assert_eq!(answer(&mut server, &Message::new(1, mac(2)), 59), None);
    assert_eq!(answer(&mut server, &Message::new(1, mac(2)), 60), Some((2, host(10))));
    assert_eq!(answer(&mut server, &Message::selecting(mac(1), host(10)), 61), NAK);
    assert_eq!(answer(&mut server, &Message::selecting(mac(2), host(10)), 61), Some((5, host(10))));
}

#[test]
fn an_offer_is_free_when_its_client_selects_another_server() {
    let mut server = server(10..=10);
    assert_eq!(answer(&mut server, &Message::new(1, mac(1)), 0), Some((2, host(10))));
    let other = Message::new(3, mac(1)).with(54, [10, 9, 0, 2]).with(50, host(77).octets());
    assert_eq!(answer(&mut server, &other, 1), None);
    assert_eq!(answer(&mut server, &Message::new(1, mac(2)), 1), Some((2, host(10))));
    // A lease is not given up by that.
    assert_eq!(answer(&mut server, &Message::selecting(mac(2), host(10)), 1), Some((5, host(10))));
    let other = Message { hardware: mac(2), ..other };
    assert_eq!(answer(&mut server, &other, 2), None);
    assert_eq!(server.leases(at(2)).count(), 1);
}

#[test]
fn a_requested_address_is_offered_if_it_is_free() {
    let mut server = server(10..=20);
    let wish = |number, last| Message::new(1, mac(number)).with(50, host(last).octets());
    assert_eq!(answer(&mut server, &wish(1, 15), 0), Some((2, host(15))));
    assert_eq!(answer(&mut server, &wish(2, 15), 0), Some((2, host(10))), "it is taken");
    assert_eq!(answer(&mut server, &wish(3, 99), 0), Some((2, host(11))), "it is outside of the pool");
    assert_eq!(answer(&mut server, &wish(1, 16), 0), Some((2, host(15))), "the client has one already");
}

#[test]
fn addresses_that_others_have_are_never_leased() {
    let mut config = config(1..=6);
    config.reserved = vec![host(2)];
    config.routers = vec![host(3)];
    config.dns_servers = vec![host(4)];
    let mut server = Server::new(&config).expect("a configuration");
    assert_eq!([lease(&mut server, mac(1), 0), lease(&mut server, mac(2), 0)], [host(5), host(6)]);
    assert_eq!(answer(&mut server, &Message::new(1, mac(3)), 0), None);
    for last in [1, 2, 3, 4] {
        assert_eq!(answer(&mut server, &Message::selecting(mac(3), host(last)), 0), NAK);
    }
}

#[test]
fn a_client_that_starts_again_is_confirmed_refused_or_left_to_others() {
    let mut server = server(10..=20);
    let reboot = |number, address: Ipv4Addr| Message::new(3, mac(number)).with(50, address.octets());
    assert_eq!(answer(&mut server, &reboot(1, host(10)), 0), None, "another server may know it");
    lease(&mut server, mac(1), 0);
    assert_eq!(answer(&mut server, &reboot(1, host(10)), 1), Some((5, host(10))));
    assert_eq!(answer(&mut server, &reboot(1, host(11)), 1), NAK, "it had another address");
    assert_eq!(answer(&mut server, &reboot(2, Ipv4Addr::new(192, 0, 2, 7)), 1), NAK, "it has moved");
    // After its lease has ended, and nobody else got the address.
    assert_eq!(answer(&mut server, &reboot(1, host(10)), 9000), Some((5, host(10))));
}

#[test]
fn a_client_that_starts_again_is_not_known_by_an_offer_that_it_did_not_take() {
    let mut server = server(10..=20);
    let reboot = |number, address: Ipv4Addr| Message::new(3, mac(number)).with(50, address.octets());
    let elsewhere = |number| Message::new(3, mac(number)).with(54, RELAY.octets()).with(50, host(77).octets());
    assert_eq!(answer(&mut server, &Message::new(1, mac(1)), 0), Some((2, host(10))));
    assert_eq!(answer(&mut server, &elsewhere(1), 0), None);
    assert_eq!(answer(&mut server, &reboot(1, host(77)), 1), None, "the lease is another server's");
    assert_eq!(answer(&mut server, &Message::new(1, mac(2)), 2), Some((2, host(11))));
    assert_eq!(answer(&mut server, &reboot(2, host(77)), 3), None, "it was offered an address, and no more");
    assert_eq!(answer(&mut server, &reboot(2, host(77)), 300), None, "and the offer has ended");
    // It still gets the same offer.
    assert_eq!(answer(&mut server, &Message::new(1, mac(1)), 300), Some((2, host(10))));
    // A lease that was given up here for one elsewhere is no record either.
    assert_eq!(lease(&mut server, mac(1), 300), host(10));
    let release = Message { ciaddr: host(10), ..Message::new(7, mac(1)).with(54, SERVER.octets()) };
    assert_eq!(answer(&mut server, &release, 301), None);
    assert_eq!(answer(&mut server, &reboot(1, host(77)), 302), NAK, "as far as the server knows, it had another one");
    assert_eq!(answer(&mut server, &Message::new(1, mac(1)), 303), Some((2, host(10))));
    assert_eq!(answer(&mut server, &elsewhere(1), 303), None);
    assert_eq!(answer(&mut server, &reboot(1, host(77)), 304), None);
}

#[test]
fn a_client_on_a_wrong_network_is_refused_also_through_a_relay() {
    let mut server = server(10..=20);
    let moved = Message::new(3, mac(1)).with(50, [192, 0, 2, 7]);
    let refusal = moved.to(&mut server, 0).expect("a refusal");
    assert_eq!((refusal.hardware, refusal.destination), ([0xff; 6], SocketAddrV4::new(Ipv4Addr::BROADCAST, 68)));
    let relayed = Message { giaddr: RELAY, ..moved };
    let refusal = relayed.to(&mut server, 0).expect("a refusal");
    assert_eq!((refusal.hardware, refusal.destination), (mac(1).octets(), SocketAddrV4::new(RELAY, 67)));
    assert_eq!(refusal.payload[10..12], [0x80, 0], "the relay has to broadcast it");
    assert_eq!(server.statistics().refusals, 2);
    let right = Message { giaddr: RELAY, ..Message::new(3, mac(1)).with(50, host(77).octets()) };
    assert_eq!(right.to(&mut server, 0), None, "the network is right, and another server may know the client");
}

#[test]
fn a_lease_is_extended_for_its_client_only() {
    let mut server = server(10..=20);
    lease(&mut server, mac(1), 0);
    assert_eq!(answer(&mut server, &Message::renewing(mac(1), host(10)), 3000), Some((5, host(10))));
    let ends: Vec<Instant> = server.leases(at(3000)).map(|lease| lease.ends).collect();
    assert_eq!(ends, [at(6600)]);
    assert_eq!(answer(&mut server, &Message::renewing(mac(2), host(10)), 3000), NAK);
    // After a restart of the server, its clients are unknown.
    assert_eq!(answer(&mut server, &Message::renewing(mac(3), host(12)), 3000), Some((5, host(12))));
    assert_eq!(answer(&mut server, &Message::renewing(mac(4), host(99)), 3000), None, "another server's address");
    assert_eq!(answer(&mut server, &Message::renewing(mac(4), Ipv4Addr::new(192, 0, 2, 7)), 3000), NAK);
    assert_eq!(server.leases(at(6599)).count(), 2);
    assert_eq!(server.leases(at(6600)).count(), 0, "all have ended");
}

#[test]
fn a_declined_address_is_set_aside_for_ten_minutes() {
    let mut server = server(10..=10);
    lease(&mut server, mac(1), 0);
    let decline = |number| Message::new(4, mac(number)).with(50, host(10).octets()).with(54, SERVER.octets());
    assert_eq!(answer(&mut server, &decline(2), 1), None);
    assert_eq!(server.statistics().declined, 0, "a stranger cannot take the address from its client");
    let elsewhere = Message { options: vec![(53, vec![4]), (50, host(10).octets().to_vec())], ..decline(1) };
    assert_eq!(answer(&mut server, &elsewhere, 1), None);
    assert_eq!(server.statistics().declined, 0, "it names no server");
    assert_eq!(answer(&mut server, &decline(1), 1), None);
    assert_eq!((server.statistics().declined, server.leases(at(1)).count()), (1, 0));
    assert_eq!(answer(&mut server, &Message::new(1, mac(1)), 600), None);
    assert_eq!(answer(&mut server, &Message::new(1, mac(2)), 601), Some((2, host(10))));
}

#[test]
fn a_released_address_is_free_but_remembered() {
    let mut server = server(10..=11);
    lease(&mut server, mac(1), 0);
    let release = |number| Message { ciaddr: host(10), ..Message::new(7, mac(number)).with(54, SERVER.octets()) };
    assert_eq!(answer(&mut server, &release(2), 1), None);
    assert_eq!((server.statistics().released, server.leases(at(1)).count()), (0, 1));
    assert_eq!(answer(&mut server, &release(1), 1), None);
    assert_eq!((server.statistics().released, server.leases(at(1)).count()), (1, 0));
    assert_eq!(answer(&mut server, &Message::new(1, mac(2)), 2), Some((2, host(11))), "the other one");
    assert_eq!(answer(&mut server, &Message::new(1, mac(1)), 2), Some((2, host(10))), "the same one");
    assert_eq!(answer(&mut server, &Message::new(1, mac(3)), 2), None);
}

#[test]
fn who_has_an_address_is_informed_without_a_lease() {
    let mut config = config(10..=20);
    config.dns_servers = vec![SERVER];
    let mut server = Server::new(&config).expect("a configuration");
    let inform = Message { ciaddr: host(77), ..Message::new(8, mac(1)) };
    let answer = inform.to(&mut server, 0).expect("an answer");
    assert_eq!(told(Some(&answer)), Some((5, Ipv4Addr::UNSPECIFIED)));
    assert_eq!((options(&answer).first(51), options(&answer).first(6)), (None, Some(&SERVER.octets()[..])));
    assert_eq!((answer.hardware, answer.destination), (mac(1).octets(), SocketAddrV4::new(host(77), 68)));
    assert_eq!(server.leases(at(0)).count(), 0);
}

#[test]
fn answers_go_where_the_rfc_says() {
    let mut server = server(10..=20);
    let discover = Message::new(1, mac(1));
    let unicast = discover.to(&mut server, 0).expect("an offer");
    assert_eq!((unicast.hardware, unicast.destination), (mac(1).octets(), SocketAddrV4::new(host(10), 68)));
    let broadcast = Message { flags: 0x8000, ..discover.clone() }.to(&mut server, 0).expect("an offer");
    assert_eq!((broadcast.hardware, broadcast.destination), ([0xff; 6], SocketAddrV4::new(Ipv4Addr::BROADCAST, 68)));
    assert_eq!(broadcast.payload[10..12], [0x80, 0]);
    let relayed = Message { giaddr: RELAY, ..discover.clone() };
    let answer = server.handle(at(0), mac(99), &relayed.bytes()).expect("an offer");
    assert_eq!((answer.hardware, answer.destination), (mac(99).octets(), SocketAddrV4::new(RELAY, 67)));
    assert_eq!(answer.payload[24..28], RELAY.octets());
    // A refusal is for everybody, since the client's address is wrong.
    let wrong = Message::renewing(mac(2), Ipv4Addr::new(192, 0, 2, 7));
    let refusal = wrong.to(&mut server, 0).expect("a refusal");
    assert_eq!((refusal.hardware, refusal.destination), ([0xff; 6], SocketAddrV4::new(Ipv4Addr::BROADCAST, 68)));
    let relayed = Message { giaddr: RELAY, ..wrong }.to(&mut server, 0).expect("a refusal");
    assert_eq!((*relayed.destination.ip(), &relayed.payload[10..12]), (RELAY, &[0x80, 0][..]));
    // A relay of another network would need addresses of that network.
    let elsewhere = Message { giaddr: Ipv4Addr::new(192, 0, 2, 1), ..discover.clone() };
    assert_eq!(elsewhere.to(&mut server, 0), None);
    assert_eq!(Message { giaddr: SERVER, ..discover }.to(&mut server, 0), None);
}

#[test]
fn a_client_is_known_by_its_identifier_which_is_returned() {
    let mut server = server(10..=20);
    let discover = |number| Message::new(1, mac(number)).with(61, b"\0laptop");
    let answer = discover(1).to(&mut server, 0).expect("an offer");
    assert_eq!(options(&answer).first(61), Some(&b"\0laptop"[..]));
    let same = discover(2).to(&mut server, 0);
    assert_eq!(told(same.as_ref()), Some((2, host(10))), "the same client on other hardware");
    let other = Message::new(1, mac(1)).to(&mut server, 0).expect("an offer");
    assert_eq!((told(Some(&other)), options(&other).first(61)), (Some((2, host(11))), None));
    let empty = Message::new(1, mac(1)).with(61, b"").to(&mut server, 0);
    assert_eq!(told(empty.as_ref()), Some((2, host(11))), "an empty one is none");
    let refusal = Message::renewing(mac(1), Ipv4Addr::new(192, 0, 2, 7)).with(61, b"\0laptop").to(&mut server, 0);
    assert_eq!(options(&refusal.expect("a refusal")).first(61), Some(&b"\0laptop"[..]));
}

#[test]
fn the_lease_is_as_short_as_the_client_wants_but_no_shorter_than_a_minute() {
    let mut server = server(10..=20);
    for (wanted, given) in [(600, 600), (1, 60), (u32::MAX, 3600)] {
        let discover = Message::new(1, mac(1)).with(51, u32::to_be_bytes(wanted));
        let answer = discover.to(&mut server, 0).expect("an offer");
        assert_eq!(options(&answer).fixed(51), Some(u32::to_be_bytes(given)));
    }
    let request = Message::selecting(mac(1), host(10)).with(51, 600u32.to_be_bytes());
    request.to(&mut server, 0).expect("a lease");
    assert_eq!(server.leases(at(0)).map(|lease| lease.ends).collect::<Vec<_>>(), [at(600)]);
    let forever = Config { lease: Duration::MAX, ..config(10..=20) };
    let mut server = Server::new(&forever).expect("a configuration");
    let answer = Message::selecting(mac(1), host(10)).to(&mut server, 0).expect("a lease");
    assert_eq!((options(&answer).fixed(51), options(&answer).first(58)), (Some([0xff; 4]), None));
    assert_eq!(server.leases(at(1 << 33)).count(), 1);
}

#[test]
fn a_client_gets_the_options_that_it_asks_for_in_the_length_that_it_accepts() {
    let mut config = config(10..=20);
    config.routers = (30..46).map(host).collect();
    config.dns_servers = (50..66).map(host).collect();
    config.domain = Some(format!("{}.example", ["a"; 100].join(".")));
    config.search = vec![format!("{}.example", ["b"; 50].join(".")); 2];
    config.search[1].insert(0, 'c');
    let mut server = Server::new(&config).expect("a configuration");
    let some = Message::new(1, mac(1)).with(55, [6, 99]).to(&mut server, 0).expect("an offer");
    let has = |answer: &Answer| [1, 3, 6, 15, 28, 119].map(|code| options(answer).first(code).is_some());
    assert_eq!(has(&some), [true, false, true, false, false, false], "the mask is always there");
    let long = Message::new(1, mac(1)).with(57, [5, 192]).to(&mut server, 0).expect("an offer");
    assert_eq!(has(&long), [true; 6]);
    let short = Message::new(1, mac(1)).with(57, [0, 0]).with(61, [7; 255]).to(&mut server, 0).expect("an offer");
    assert!(short.payload.len() <= 548, "{}", short.payload.len());
    assert_eq!(
        (has(&short)[0], options(&short).first(61), options(&short).first(51).is_some()),
        (true, Some(&[7; 255][..]), true)
    );
}

#[test]
fn what_is_no_message_of_a_client_is_counted_and_not_answered() {
    let mut server = server(10..=20);
    let good = Message::new(1, mac(1)).bytes();
    let changed = |at: usize, value: u8| {
        let mut bytes = good.clone();
        bytes[at] = value;
        bytes
    };
    let mut bad = vec![vec![], good[..239].to_vec(), good[..good.len() - 3].to_vec()];
    // An answer, other hardware, a group's hardware address, another cookie, other types, an option without an end.
    bad.extend(
        [(0, 2), (1, 6), (2, 16), (28, 1), (236, 98), (242, 2), (242, 9), (241, 99)].map(|(at, v)| changed(at, v)),
    );
    for bytes in &bad {
        assert_eq!(server.handle(at(0), mac(1), bytes), None);
    }
    assert_eq!(server.statistics(), Statistics { malformed: bad.len() as u64, ..Statistics::default() });
    // Requests in no state.
    for request in [
        Message::new(3, mac(1)),
        Message::new(3, mac(1)).with(54, SERVER.octets()),
        Message { ciaddr: host(10), ..Message::selecting(mac(1), host(10)) },
    ] {
        assert_eq!(request.to(&mut server, 0), None);
    }
}

/// Asserts that an answer is a well-formed one to its message, and stays on the network.
fn assert_fits(answer: &Answer, message: &[u8], network: Cidr) {
    let Answer { hardware, destination, payload } = answer;
    assert_eq!((payload[..4].to_vec(), &payload[4..8]), (vec![2, 1, 6, 0], &message[4..8]), "the transaction");
    assert_eq!(payload[24..34], message[24..34], "the relay, and the client's hardware address");
    assert!((300..=usize::from(u16::MAX)).contains(&payload.len()));
    let options = options(answer);
    let kind = options.fixed(53).map(|[kind]| kind).expect("a type");
    assert!([2, 5, 6].contains(&kind) && options.fixed(54) == Some(network_address(network)), "{kind}");
    let leased = Ipv4Addr::from_octets(payload[16..20].try_into().expect("four bytes"));
    let is_leased = options.first(51).is_some();
    assert_eq!(is_leased, !leased.is_unspecified());
    assert!(!is_leased || hosts(network).expect("hosts").contains(&leased), "{leased}");
    let to = *destination.ip();
    assert!(to.is_broadcast() || network.contains(to.into()), "{to}");
    assert_eq!(to.is_broadcast(), *hardware == [0xff; 6]);
}

/// The address of a server with its network.
fn network_address(own: Cidr) -> [u8; 4] {
    let IpAddr::V4(address) = own.address() else { panic!("it is an IPv4 address") };
    address.octets()
}

#[test]
fn arbitrary_messages_lease_no_address_twice_and_the_table_is_bounded() {
    let mut random = Random::new([5; 32]);
    let own = Cidr::new([10, 0, 0, 1].into(), 8).expect("a network");
    let mut server = Server::new(&Config::new(own).expect("an address")).expect("a configuration");
    let mut answers = 0;
    for number in 0..20_000u32 {
        let [a, b, c, d] = number.to_be_bytes();
        let hardware = MacAddress::new([2, 0, a, b, c, d]).expect("a unicast address");
        let mut bytes =
            Message::new(1 + random.below(8) as u8, hardware).with(61, random.below(9).to_be_bytes()).bytes();
        if random.below(2) == 0 {
            let [.., last] = random.below(64).to_be_bytes();
            bytes = Message::new(3, hardware).with(54, [10, 0, 0, 1]).with(50, [10, 0, 0, last]).bytes();
        }
        for _ in 0..random.below(3) {
            let at = random.below(bytes.len() as u32) as usize;
            bytes[at] = random.next_u32() as u8;
        }
        bytes.truncate(bytes.len() - random.below(8) as usize);
        if let Some(answer) = server.handle(at(u64::from(number)), hardware, &bytes) {
            assert_fits(&answer, &bytes, own);
            answers += 1;
        }
    }
    assert!(answers > 1000, "{answers}");
    let mut clients: Vec<MacAddress> = server.leases(at(20_000)).map(|lease| lease.hardware).collect();
    let count = clients.len();
    clients.sort_unstable();
    clients.dedup();
    assert!(count > 10 && clients.len() == count, "{count}");
    for number in 0..5000u32 {
        let [_, b, c, d] = number.to_be_bytes();
        let hardware = MacAddress::new([2, 9, 0, b, c, d]).expect("a unicast address");
        let answer = Message::new(1, hardware).to(&mut server, 30_000);
        // Those that others have left are given again, until all that fit are offered.
        assert_eq!(answer.is_some(), number < 4096, "{number}");
    }
}

#[test]
fn what_cannot_be_served_is_refused() {
    let cidr = |text: &str| text.parse::<Cidr>().expect("a network");
    for bad in ["10.9.0.0/24", "10.9.0.255/24", "10.9.0.1/32", "10.9.0.1/0", "127.0.0.1/8", "224.0.0.1/4", "fd00::1/64"]
    {
        assert_eq!(Config::new(cidr(bad)), Err(InvalidConfig::Address), "{bad}");
    }
    assert_eq!(Config::new(cidr("10.9.0.0/31")).expect("RFC 3021").pool, host(0)..=host(1));
    let good = config(10..=20);
    let cases = [
        (Config { pool: host(20)..=host(10), ..good.clone() }, InvalidConfig::Pool),
        (Config { pool: host(20)..=host(255), ..good.clone() }, InvalidConfig::Pool),
        (Config { lease: Duration::from_millis(999), ..good.clone() }, InvalidConfig::Lease),
        (Config { routers: vec![Ipv4Addr::UNSPECIFIED], ..good.clone() }, InvalidConfig::Servers),
        (Config { dns_servers: (0..17).map(host).collect(), ..good.clone() }, InvalidConfig::Servers),
        (Config { domain: Some("localhost".into()), ..good.clone() }, InvalidConfig::Domains),
        (Config { search: vec!["a".repeat(60) + ".example"; 4], ..good.clone() }, InvalidConfig::Domains),
        (Config { mtu: Some(67), ..good }, InvalidConfig::Mtu),
    ];
    for (config, problem) in cases {
        assert_eq!(Server::new(&config).expect_err("a mistake"), problem);
    }
}
