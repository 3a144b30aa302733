//! A DHCP server that sends false or useless answers.

use std::time::{Duration, Instant};

use xila_network_host::interface::{Change, DhcpState};
use xila_network_host::{Interface, InterfaceConfig};
use xila_network_tests::netns::{Namespace, Peer, block_on};

use super::{changes, lent, until};

/// A server whose answers to a message are determined by `answers`. It prints the messages that it receives.
const SERVER: &str = "
import struct
DISCOVER, OFFER, REQUEST, ACK, NAK, RELEASE = 1, 2, 3, 5, 6, 7
server = socket(AF_INET, SOCK_DGRAM)
server.setsockopt(SOL_SOCKET, SO_BROADCAST, 1)
server.setsockopt(SOL_SOCKET, 25, sys.argv[1].encode()) # SO_BINDTODEVICE
server.bind(('', 67))

def options(message):
    found, at = {}, 240
    while message[at] != 255:
        found[message[at]] = message[at + 2:at + 2 + message[at + 1]]
        at += 2 + message[at + 1]
    return found

def answer(question, kind, address, changed={}):
    said = {53: bytes([kind]), 54: inet_aton('192.0.2.1')}
    if kind != NAK:
        said |= {51: struct.pack('!I', 120), 1: inet_aton('255.255.255.0'), 3: inet_aton('192.0.2.1')}
    said |= changed
    message = b'\\x02' + question[1:12] + bytes(4) + inet_aton(address) + bytes(8) + question[28:44] + bytes(192)
    message += question[236:240] + b''.join(bytes([code, len(data)]) + data for code, data in said.items() if data)
    server.sendto(message + b'\\xff', ('255.255.255.255', 68))

def serve(answers):
    print('ready')
    while True:
        question = server.recv(2000)
        said = options(question)
        kind, wanted = said[53][0], inet_ntoa(said.get(50, bytes(4)))
        print(kind, wanted)
        for kind, *rest in answers(kind, wanted):
            answer(question, kind, *rest)
";

/// Sends offers that no host can use, then one that this host can use; a request is answered in the name of other
/// servers first.
const NONSENSE_FIRST: &str = "
NONSENSE = [
    ('0.0.0.0', {}), ('255.255.255.255', {}), ('127.0.0.1', {}), ('224.0.0.5', {}),
    ('192.0.2.0', {}), ('192.0.2.255', {}), ('192.0.2.1', {3: b''}),
    ('192.0.2.60', {1: bytes(4)}), ('192.0.2.60', {1: inet_aton('255.0.255.0')}),
    ('192.0.2.60', {51: bytes(4)}), ('192.0.2.60', {54: bytes(4)}), ('192.0.2.60', {54: b''}),
    ('192.0.2.60', {3: inet_aton('192.0.2.60')}), ('192.0.2.60', {3: inet_aton('192.0.2.255')}),
]
print(len(NONSENSE))
OTHER = {54: inet_aton('192.0.2.9')}
def answers(kind, wanted):
    if kind == DISCOVER:
        return [(OFFER, *nonsense) for nonsense in NONSENSE] + [(OFFER, '192.0.2.50'), (OFFER, '192.0.2.61')]
    if kind == REQUEST:
        return [(NAK, '0.0.0.0', OTHER), (ACK, '192.0.2.62', OTHER), (OFFER, '192.0.2.63'), (ACK, wanted)]
    return []
serve(answers)
";

/// Refuses three times to lease the address that it has offered.
const REFUSES: &str = "
refused = 0
def answers(kind, wanted):
    global refused
    if kind == DISCOVER:
        return [(OFFER, f'192.0.2.{50 + refused}')]
    if kind == REQUEST and refused < 3:
        refused += 1
        return [(NAK, '0.0.0.0')]
    return [(ACK, wanted)] if kind == REQUEST else []
serve(answers)
";

/// Runs a test with such a server, and an interface whose DHCP client has not started.
fn with_server(answers: &str, test: impl AsyncFnOnce(Peer, &Interface)) {
    let Some(namespace) = Namespace::new(&["python3"]) else { return };
    block_on(async {
        let config = InterfaceConfig { link_local: false, ..InterfaceConfig::default() };
        let manager = namespace.mount_with(1500, config);
        let server = namespace.python(&format!("{SERVER}{answers}"), &[namespace.interface()]);
        test(server, &manager.interface("tap0").unwrap()).await;
    });
}

/// Starts the client, waits for a lease of `address`, and asserts that the interface never had another address.
async fn until_bound(interface: &Interface, address: &str) {
    let mut watch = interface.watch();
    interface.set_dhcp(true).unwrap();
    until("a lease", || interface.dhcp().state == DhcpState::Bound).await;
    assert_eq!(lent(interface), [address]);
    let changes = changes(&mut watch);
    let is_of_address = |change: &&Change| matches!(change, Change::AddressAdded(_) | Change::AddressRemoved(_));
    let of_addresses: Vec<_> = changes.iter().filter(is_of_address).collect();
    assert_eq!(of_addresses, [&Change::AddressAdded(address.parse().unwrap())]);
}

#[test]
fn of_many_offers_the_first_that_makes_sense_is_taken_and_only_its_server_is_believed() {
    with_server(NONSENSE_FIRST, async |mut server, interface| {
        let nonsense: u64 = server.line().await.parse().unwrap();
        assert_eq!(server.line().await, "ready");
        until_bound(interface, "192.0.2.50/24").await;
        assert_eq!((server.line().await, server.line().await), ("1 0.0.0.0".into(), "3 192.0.2.50".into()));
        assert_eq!(interface.dhcp().refused, nonsense);
    });
}

#[test]
fn a_server_that_refuses_what_it_has_offered_is_asked_again_at_once() {
    with_server(REFUSES, async |mut server, interface| {
        assert_eq!(server.line().await, "ready");
        let start = Instant::now();
        until_bound(interface, "192.0.2.53/24").await;
        // The client did not wait for a retransmission timeout (RFC 2131 section 4.1).
        assert!(start.elapsed() < Duration::from_secs(3), "{:?}", start.elapsed());
        for number in 50..=53 {
            assert_eq!(server.line().await, "1 0.0.0.0", "what was refused is not asked for");
            assert_eq!(server.line().await, format!("3 192.0.2.{number}"));
        }
        assert_eq!(interface.dhcp().refused, 0);
        // The client releases the lease.
        interface.set_dhcp(false).unwrap();
        assert_eq!(server.line().await, "7 0.0.0.0");
    });
}
