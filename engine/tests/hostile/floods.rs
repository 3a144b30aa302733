//! Floods: memory and time stay within their limits.

use core::net::{IpAddr, Ipv4Addr, SocketAddr};
use core::time::Duration;

use xila_network_engine::ports::Owner;
use xila_network_engine::random::Random;
use xila_network_engine::tcp::options::LONGEST_LINGER;
use xila_network_engine::tcp::{Attempt, Cause, Config, Options, ReadError, Tcp, TcpState};
use xila_network_engine::time::Instant;

use super::peer::{ACK, FIN, RST, Raw, SYN};
use super::victim::{HERE, LINK, Peer, SERVER, THERE, Victim, millis};

const MIB: usize = 1 << 20;

fn stranger(number: u32) -> SocketAddr {
    let mixed = number.wrapping_mul(0x9e37_79b1);
    SocketAddr::new(IpAddr::V4(Ipv4Addr::from_bits(0x0b00_0000 | mixed >> 8)), 1024 + (mixed % 60_000) as u16)
}

#[test]
fn an_honest_client_connects_during_and_after_a_syn_flood() {
    let mut victim = Victim::new();
    let listener = victim.listen(Options::default());
    for number in 0..100_000u32 {
        let syn =
            Raw { sequence: number, flags: SYN, options: vec![2, 4, 5, 0xb4], ..Raw::new(stranger(number), SERVER) };
        victim.receive(&syn.packet());
        if number % 60 == 59 {
            victim.now += millis(1);
            victim.tcp.handle_timeout(victim.now);
        }
        if number % 10_000 == 9_999 {
            let (mut peer, accepted) =
                Peer::open(&mut victim, listener, 2000 + (number / 10_000) as u16, &[2, 4, 5, 0xb4]);
            peer.send(&mut victim, ACK, b"hello");
            assert_eq!(victim.read(accepted.id).0, b"hello");
        }
    }
    assert!(victim.tcp.half_open_count() <= 1024, "{}", victim.tcp.half_open_count());
    assert!(victim.tcp.held() < MIB, "{}", victim.tcp.held());
    victim.pass(Duration::from_secs(40));
    assert_eq!(victim.tcp.half_open_count(), 0);
    let (mut peer, accepted) = Peer::open(&mut victim, listener, 3000, &[2, 4, 5, 0xb4]);
    peer.send(&mut victim, ACK, b"hello");
    assert_eq!(victim.read(accepted.id).0, b"hello");
}

/// RFC 4987 section 3.6: options that a cookie cannot encode are not agreed on.
#[test]
fn a_cookie_handshake_agrees_only_on_options_that_the_cookie_encodes() {
    let mut victim = Victim::with(Config { most_half_open: 0, ..Config::new(LINK) }, 1);
    let listener = victim.listen(Options::default());
    let everything = [2, 4, 5, 0xb4, 4, 2, 1, 3, 3, 7];
    let (mut peer, accepted) = Peer::open(&mut victim, listener, 1000, &everything);
    assert_eq!(peer.scale, 0, "without a timestamp there is no room for the scale");
    victim.tcp.write(accepted.id, &[7; 100_000], victim.now).expect("there is room");
    let mut window = peer.segment(ACK, &[]);
    window.window = 1000;
    let sent = victim.receive(&window.packet());
    assert!(sent.iter().map(|seen| seen.payload.len()).sum::<usize>() <= 65_535);
    peer.hear(&sent);
    let stamped = [&everything[..], &[1, 1, 8, 10, 0, 0, 0, 9, 0, 0, 0, 0]].concat();
    let syn = Raw { sequence: 5, flags: SYN, options: stamped, ..Raw::new(SocketAddr::new(THERE, 1001), SERVER) };
    let answer = victim.receive(&syn.packet()).pop().expect("an answer");
    assert!(answer.scale.is_some() && answer.timestamp.is_some());
}

/// RFC 6528: the numbers of three connections of a peer do not reveal the fourth.
#[test]
fn initial_sequence_numbers_are_not_predictable() {
    let ask = |victim: &mut Victim, port: u16| {
        let syn = Raw { sequence: 1, flags: SYN, ..Raw::new(SocketAddr::new(THERE, port), SERVER) };
        victim.receive(&syn.packet()).pop().expect("an answer").sequence
    };
    let mut victim = Victim::with(Config { most_half_open: 100_000, ..Config::new(LINK) }, 1);
    victim.listen(Options::default());
    let numbers: Vec<u32> = (0..4096).map(|port| ask(&mut victim, 1000 + port)).collect();
    // The numbers are not constant steps or the clock alone: each bit is set about half of the time, in the numbers and
    // in their differences.
    let differences: Vec<u32> = numbers.windows(2).map(|pair| pair[1].wrapping_sub(pair[0])).collect();
    for values in [&numbers, &differences] {
        for bit in 0..32 {
            let set = values.iter().filter(|value| *value >> bit & 1 == 1).count();
            assert!((1800..=2300).contains(&set), "bit {bit} is set in {set} of 4096");
        }
    }
    let foreseen = numbers.windows(3).filter(|three| {
        let next = three[1].wrapping_add(three[1].wrapping_sub(three[0]));
        next.abs_diff(three[2]) < 1 << 16
    });
    assert!(foreseen.count() <= 3);
    let clock = (victim.now.since_origin().as_micros() / 4) as u32;
    assert!(numbers.iter().filter(|number| number.abs_diff(clock) < 1 << 16).count() <= 3);
    // Another engine has other numbers, and for the same ends the numbers advance with the clock.
    let mut other = Victim::with(Config::new(LINK), 2);
    other.listen(Options::default());
    assert!((0..100).filter(|port| ask(&mut other, 1000 + port) == numbers[usize::from(*port)]).count() == 0);
    let first = ask(&mut victim, 999);
    victim.receive(&Raw { sequence: 2, flags: RST, ..Raw::new(SocketAddr::new(THERE, 999), SERVER) }.packet());
    victim.now += Duration::from_secs(1);
    assert_eq!(ask(&mut victim, 999).wrapping_sub(first), 250_000);
}

/// Opens a connection and closes it from the listener's side first, so that it is in TIME-WAIT.
fn in_time_wait(victim: &mut Victim, listener: xila_network_engine::tcp::ListenerId, end: SocketAddr) {
    let syn = Raw { sequence: 10, flags: SYN, ..Raw::new(end, SERVER) };
    let answer = victim.receive(&syn.packet()).pop().expect("an answer");
    let reply =
        |sequence, acknowledgement, flags| Raw { sequence, acknowledgement, flags, ..Raw::new(end, SERVER) }.packet();
    victim.receive(&reply(11, answer.end(), ACK));
    let accepted = victim.tcp.accept(listener).expect("it is there");
    victim.tcp.release(accepted.id, victim.now);
    let fin = victim.transmit().pop().expect("a FIN");
    let last = victim.receive(&reply(11, fin.end(), ACK | FIN));
    assert_eq!(last.len(), 1);
}

#[test]
fn a_hundred_thousand_in_time_wait_fit_into_16_mib() {
    let mut victim = Victim::new();
    let listener = victim.listen(Options::default());
    for number in 0..100_500u32 {
        let end =
            SocketAddr::new(Ipv4Addr::from_bits(0x0b00_0000 + number / 50_000).into(), 1024 + (number % 50_000) as u16);
        in_time_wait(&mut victim, listener, end);
    }
    assert_eq!((victim.tcp.time_wait_count(), victim.tcp.connection_count()), (100_000, 0));
    assert!(victim.tcp.held() < 16 * MIB, "{}", victim.tcp.held());
    victim.pass(Duration::from_secs(61));
    assert_eq!((victim.tcp.time_wait_count(), victim.tcp.next_timeout()), (0, None));
    assert!(victim.tcp.held() < MIB, "memory goes back");
}

/// Opens a connection from the engine's side and closes it from that side first.
fn connect_and_close(victim: &mut Victim, remote: SocketAddr) {
    let local = SocketAddr::new(HERE, 0);
    let id = victim
        .tcp
        .connect(&Attempt::new(Owner::HOST, local, remote, Duration::from_secs(30)), Options::default(), victim.now)
        .expect("a port is free");
    let syn = victim.transmit().pop().expect("a SYN");
    let (value, (echo, _)) = (victim.now.millis() as u32, syn.timestamp.expect("it offers timestamps"));
    let options = [&[1, 1, 8, 10][..], &value.to_be_bytes(), &echo.to_be_bytes()].concat();
    let reply = |sequence, acknowledgement, flags| {
        let options = options.clone();
        Raw { sequence, acknowledgement, flags, options, ..Raw::new(remote, syn.source) }.packet()
    };
    victim.receive(&reply(10, syn.end(), SYN | ACK));
    victim.tcp.release(id, victim.now);
    let fin = victim.transmit().pop().expect("a FIN");
    victim.receive(&reply(11, fin.end(), ACK | FIN));
    assert_eq!(victim.tcp.find(&xila_network_engine::tcp::Tuple::new(syn.source, remote)), None);
}

#[test]
fn connecting_beside_16384_in_time_wait_does_not_take_long() {
    let mut victim = Victim::new();
    let remote = SocketAddr::new(THERE, 80);
    for _ in 0..16_384 {
        connect_and_close(&mut victim, remote);
        victim.now += Duration::from_micros(400);
        victim.tcp.handle_timeout(victim.now);
    }
    let begun = std::time::Instant::now();
    // As fast as before: some of the ports are still in TIME-WAIT.
    for _ in 0..2000 {
        victim.now += Duration::from_micros(400);
        connect_and_close(&mut victim, remote);
    }
    let each = begun.elapsed() / 2000;
    assert!(each < Duration::from_millis(1), "{each:?} for each");
}

#[test]
fn connections_with_late_timers_leave_no_memory_behind() {
    let mut victim = Victim::new();
    let year = Duration::from_secs(365 * 24 * 3600);
    let keep = xila_network_engine::tcp::KeepAlive { idle: year, interval: year, count: 9 };
    let listener = victim.listen(Options { keep_alive: Some(keep), ..Options::default() });
    for number in 0..20_000u32 {
        in_time_wait(&mut victim, listener, stranger(number));
        victim.now += millis(3);
        victim.tcp.handle_timeout(victim.now);
    }
    victim.pass(Duration::from_secs(61));
    assert_eq!(victim.tcp.next_timeout(), None, "no alarm is a year away");
    assert_eq!(victim.tcp.connection_count(), 0);
}

/// A peer that never acknowledges, or keeps its window closed, costs bounded memory for ever, and none after its owner
/// is gone.
#[test]
fn a_peer_that_accepts_nothing_costs_bounded_memory_and_time() {
    for shut in [false, true] {
        let mut victim = Victim::new();
        let options = Options { user_timeout: None, linger: Duration::from_secs(1_000_000), ..Options::default() };
        let listener = victim.listen(options);
        let (peer, accepted) = Peer::open(&mut victim, listener, 1000, &[2, 4, 5, 0xb4]);
        let mut answer = peer.segment(ACK, &[]);
        if shut {
            answer.window = 0;
            victim.receive(&answer.packet());
        }
        while victim.tcp.write(accepted.id, &[7; 4096], victim.now).is_ok() {}
        victim.transmit();
        let mut packets = 0;
        for _ in 0..2000 {
            packets += victim.pass(Duration::from_secs(61)).len();
            if shut {
                victim.receive(&answer.packet());
            }
        }
        assert!(packets < 2 * 2100, "{packets} packets in {} minutes", 2000);
        assert_eq!(victim.tcp.state(accepted.id), TcpState::Established);
        assert!(victim.tcp.held() < MIB, "{} bytes, shut: {shut}", victim.tcp.held());
        victim.tcp.release(accepted.id, victim.now);
        // Neither another release nor the peer's answers extend the time.
        for _ in 0..LONGEST_LINGER.as_secs() + 1 {
            victim.pass(Duration::from_secs(1));
            victim.tcp.release(accepted.id, victim.now);
            if shut {
                victim.receive(&answer.packet());
            }
        }
        assert_eq!((victim.tcp.connection_count(), victim.tcp.next_timeout()), (0, None));
    }
}

/// The scoreboard for a peer that acknowledges every other byte is bounded.
#[test]
fn selective_acknowledgements_of_every_other_byte_cost_bounded_memory() {
    let mut victim = Victim::new();
    let options = Options {
        send_buffer: 4 << 20,
        congestion: Some(xila_network_engine::tcp::Algorithm::None),
        ..Options::default()
    };
    let listener = victim.listen(options);
    let (mut peer, accepted) =
        Peer::open(&mut victim, listener, 1000, &[2, 4, 5, 0xb4, 4, 2, 1, 1, 1, 3, 3, 7, 0, 0, 0, 0]);
    while victim.tcp.write(accepted.id, &[7; 65_536], victim.now).is_ok() {}
    let first = peer.expected;
    let mut open = peer.segment(ACK, &[]);
    peer.hear(&victim.receive(&open.packet()));
    let before = victim.tcp.held();
    for byte in (1..200_000u32).step_by(2) {
        let (start, end) = (first.wrapping_add(byte), first.wrapping_add(byte + 1));
        open.options = [&[1, 1, 5, 10][..], &start.to_be_bytes(), &end.to_be_bytes()].concat();
        victim.receive(&open.packet());
    }
    assert!(victim.tcp.held() < before + MIB, "{} beside {before}", victim.tcp.held());
    assert_eq!(victim.tcp.state(accepted.id), TcpState::Established);
}

/// The buffer for bytes with gaps between them is bounded.
#[test]
fn every_other_byte_costs_bounded_memory_and_the_stream_continues() {
    let mut victim = Victim::new();
    let listener = victim.listen(Options::default());
    let (mut peer, accepted) = Peer::open(&mut victim, listener, 1000, &[2, 4, 5, 0xb4]);
    for byte in (1..60_000u32).step_by(2) {
        let mut segment = peer.segment(ACK, b"x");
        segment.sequence = segment.sequence.wrapping_add(byte);
        victim.receive(&segment.packet());
    }
    assert!(victim.tcp.held() < MIB / 2, "{}", victim.tcp.held());
    for _ in 0..40 {
        peer.send(&mut victim, ACK, &[b'x'; 1000]);
    }
    assert_eq!(victim.read(accepted.id), (vec![b'x'; 40_000], Some(ReadError::WouldBlock)));
}

/// The device is blocked for long, while connections and handshakes come and go.
#[test]
fn a_device_that_is_blocked_for_long_does_not_make_lists_grow() {
    use xila_network_engine::ip::output::Blocked;
    for blocked in [Blocked::Full, Blocked::Unresolved] {
        let mut victim = Victim::new();
        victim.listen(Options::default());
        victim.out.blocked = Some(blocked);
        // One handshake stays at the front.
        victim.receive(&Raw { sequence: 1, flags: SYN, ..Raw::new(SocketAddr::new(THERE, 999), SERVER) }.packet());
        for number in 0..50_000u32 {
            let end = SocketAddr::new(THERE, 1000 + (number % 1000) as u16);
            victim.tcp.receive(
                victim.now,
                &Raw { sequence: 1, flags: SYN, ..Raw::new(end, SERVER) }.packet(),
                &mut victim.out,
            );
            victim.tcp.receive(
                victim.now,
                &Raw { sequence: 2, flags: RST, ..Raw::new(end, SERVER) }.packet(),
                &mut victim.out,
            );
            let local = SocketAddr::new(HERE, 0);
            let attempt = Attempt::new(Owner(1), local, end, Duration::from_secs(30));
            let id = victim.tcp.connect(&attempt, Options::default(), victim.now);
            victim.tcp.release(id.expect("a port is free"), victim.now);
            while victim.tcp.poll_event().is_some() {}
        }
        assert_eq!((victim.tcp.connection_count(), victim.tcp.half_open_count()), (0, 1));
        assert!(victim.tcp.held() < 16 << 10, "{} bytes", victim.tcp.held());
        victim.out.blocked = None;
        victim.transmit();
        victim.pass(Duration::from_secs(40));
        assert_eq!(victim.tcp.half_open_count(), 0);
        assert!(!victim.tcp.has_pending());
    }
}

/// The owner is told once that a connection has failed.
#[test]
fn a_connection_to_nowhere_ends_in_time() {
    let mut tcp = Tcp::new(Config::new(LINK), Random::new([5; 32]));
    let mut out = super::victim::Catch { mtu: 1500, ..Default::default() };
    let mut now = Instant::ORIGIN;
    let (local, remote) = (SocketAddr::new(HERE, 0), SocketAddr::new(THERE, 1));
    let attempt = Attempt::new(Owner::HOST, local, remote, Duration::from_secs(30));
    let id = tcp.connect(&attempt, Options::default(), now).expect("a port is free");
    let mut syns = 0;
    while tcp.is_connected(id).is_none() {
        tcp.transmit(now, &mut out);
        syns += core::mem::take(&mut out.packets).len();
        now = tcp.next_timeout().expect("something is due");
        tcp.handle_timeout(now);
    }
    assert_eq!((now.since_origin(), syns), (Duration::from_secs(30), 5));
    assert_eq!(tcp.is_connected(id), Some(Err(Cause::TimedOut)));
    tcp.release(id, now);
    assert_eq!((tcp.connection_count(), tcp.next_timeout()), (0, None));
}
