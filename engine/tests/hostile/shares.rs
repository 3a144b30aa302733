//! Owners that take all the ports they can get: others still bind sockets and connect.

use core::net::{IpAddr, Ipv4Addr, SocketAddr};
use core::time::Duration;

use xila_network_engine::ports::{Owner, PortLimits};
use xila_network_engine::tcp::{
    Attempt, BindError, Cause, Config, ConnectError, ConnectionId, ListenerId, Options, Places,
};

use super::victim::{HERE, LINK, THERE, Victim};

const FLOODERS: [Owner; 4] = [Owner(1), Owner(2), Owner(3), Owner(4)];
/// Has nothing at first.
const OTHER: Owner = Owner(9);
/// The first ephemeral port, and how many there are; 16 of them are the host's reserve.
const FIRST: u16 = 50_000;
const COUNT: u16 = 1024;
const RESERVE: usize = 16;

fn victim() -> Victim {
    Victim::with(Config { ports: PortLimits::new(FIRST..=FIRST + (COUNT - 1)), ..Config::new(LINK) }, 1)
}

/// Starts to connect to a port of the peer. Local port 0 asks for an ephemeral one.
fn connect(
    victim: &mut Victim,
    owner: Owner,
    (local, bound): (u16, Option<ListenerId>),
    remote: u16,
) -> Result<ConnectionId, ConnectError> {
    let (local, remote) = (SocketAddr::new(HERE, local), SocketAddr::new(THERE, remote));
    let attempt = Attempt { bound, ..Attempt::new(owner, local, remote, Duration::from_secs(3000)) };
    victim.tcp.connect(&attempt, Options::default(), victim.now)
}

/// An owner connects until it is refused.
fn flood(victim: &mut Victim, owner: Owner, remote: u16) -> (Vec<ConnectionId>, ConnectError) {
    let mut opened = Vec::new();
    loop {
        match connect(victim, owner, (0, None), remote) {
            Ok(id) => opened.push(id),
            Err(error) => return (opened, error),
        }
    }
}

/// An owner binds sockets to ports by name, from the last on, until all were tried. Returns the sockets, and the last
/// refusal.
fn bind_all(victim: &mut Victim, owner: Owner) -> (Vec<ListenerId>, Option<BindError>) {
    let (mut bound, mut refused) = (Vec::new(), None);
    for port in (FIRST..FIRST + COUNT).rev() {
        match victim.tcp.bind(HERE, port, owner) {
            Ok(id) => bound.push(id),
            Err(BindError::AddressInUse) => {}
            Err(error) => refused = Some(error),
        }
    }
    (bound, refused)
}

#[test]
fn owners_that_flood_a_destination_leave_ports_to_others_and_to_the_host() {
    let mut victim = victim();
    let mut opened = Vec::new();
    for (owner, count) in FLOODERS.into_iter().zip([376, 188, 94, 47]) {
        let (connections, refused) = flood(&mut victim, owner, 80);
        // Half of the ports that are left, without a quarter for bound sockets and the reserve.
        assert_eq!((connections.len(), refused), (count, ConnectError::ShareExhausted));
        opened.extend(connections);
    }
    opened.push(connect(&mut victim, OTHER, (0, None), 80).expect("some are left"));
    opened.push(connect(&mut victim, FLOODERS[0], (0, None), 81).expect("towards another destination"));
    let (of_host, refused) = flood(&mut victim, Owner::HOST, 80);
    assert!(of_host.len() >= RESERVE && refused == ConnectError::AddressInUse);
    for id in opened.into_iter().chain(of_host) {
        victim.tcp.abort(id, Cause::Aborted, victim.now);
        victim.tcp.release(id, victim.now);
    }
    assert_eq!(flood(&mut victim, FLOODERS[0], 80).0.len(), 376, "all were given back");
}

/// A connection keeps its ends when the socket that it was opened by is gone.
#[test]
fn owners_that_name_their_ports_and_then_bind_the_others_leave_some() {
    let mut victim = victim();
    for owner in FLOODERS {
        for port in FIRST..FIRST + COUNT {
            let Ok(bound) = victim.tcp.bind(HERE, port, owner) else { continue };
            // It may have its share, or the port may be another's.
            let _opened = connect(&mut victim, owner, (port, Some(bound)), 80);
            victim.tcp.unbind(bound, victim.now, &mut victim.out);
        }
        assert_eq!(flood(&mut victim, owner, 80), (Vec::new(), ConnectError::ShareExhausted));
    }
    for owner in FLOODERS {
        bind_all(&mut victim, owner);
    }
    for number in 0..8 {
        connect(&mut victim, OTHER, (0, None), 80).unwrap_or_else(|error| panic!("connection {number}: {error}"));
    }
    let (of_host, _) = flood(&mut victim, Owner::HOST, 80);
    assert!(of_host.len() >= RESERVE, "{}", of_host.len());
}

#[test]
fn owners_that_bind_all_ports_leave_some_to_others_and_to_connections() {
    let mut victim = victim();
    let mut sockets = Vec::new();
    for (owner, count) in FLOODERS.into_iter().zip([128, 64, 32, 16]) {
        let (bound, refused) = bind_all(&mut victim, owner);
        assert_eq!((bound.len(), refused), (count, Some(BindError::ShareExhausted)));
        victim.tcp.bind(HERE, FIRST - owner.0 as u16, owner).expect("other ports are not divided");
        sockets.extend(bound);
    }
    let (bound, _) = bind_all(&mut victim, OTHER);
    assert_eq!(bound.len(), 8);
    sockets.extend(bound);
    (10..).take_while(|owner| !bind_all(&mut victim, Owner(*owner)).0.is_empty()).for_each(drop);
    assert_eq!(bind_all(&mut victim, Owner(99)), (Vec::new(), Some(BindError::NoPort)));
    assert_eq!(flood(&mut victim, OTHER, 80).0.len(), 376, "the others are for connections");
    let (of_host, _) = bind_all(&mut victim, Owner::HOST);
    assert!(of_host.len() >= 700, "the host is not limited");

    for id in sockets.into_iter().chain(of_host) {
        victim.tcp.unbind(id, victim.now, &mut victim.out);
    }
    assert!(!bind_all(&mut victim, Owner(99)).0.is_empty(), "they are given back");
}

/// A socket's connections and its share are those of the owner it was bound for.
#[test]
fn a_bound_socket_has_its_owner_from_the_beginning() {
    let mut victim = victim();
    let any = IpAddr::V4(Ipv4Addr::UNSPECIFIED);
    let listener = victim.tcp.bind(any, 80, OTHER).expect("free");
    victim.tcp.listen(listener, Places::new(4), Options::default());
    let (_, accepted) = super::victim::Peer::open(&mut victim, listener, 1000, &[]);
    assert_eq!(victim.tcp.owner(accepted.id), Some(OTHER));
    let connecting = connect(&mut victim, OTHER, (0, None), 80).expect("a port is free");
    assert_eq!(victim.tcp.owner(connecting), Some(OTHER));
}
