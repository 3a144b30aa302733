//! Tests whether a host answers: `ping [-c COUNT] [-i INTERVAL] [-s SIZE] [-t TTL] [-W TIMEOUT] [-4|-6] HOST`, with the
//! output format of `ping` of iputils. The exit status is 1 if no reply came, 2 if no request could be sent.
//!
//! WASI 0.2 turns every status but 0 into 1.

mod support;

use std::collections::HashMap;
use std::net::IpAddr;
use std::process::exit;
use std::time::{Duration, Instant};

use xila_network::{EchoReply, Error, Family, IcmpBinding, IcmpErrorKind, IcmpMessage, IcmpReport, IcmpSocket};

use support::Arguments;

const USAGE: &str = "ping [-c COUNT] [-i INTERVAL] [-s SIZE] [-t TTL] [-W TIMEOUT] [-I INTERFACE] [-4|-6] HOST

  -c COUNT      stop after so many requests
  -i INTERVAL   seconds between two requests, 1 by default
  -s SIZE       bytes of payload, 56 by default
  -t TTL        hops that a request may take, 1 to 255
  -W TIMEOUT    seconds to wait for the last reply if none has come at all, 10 by default
  -I INTERFACE  the interface to ask through
  -4, -6        use that family";

/// The header of an echo message.
const HEADER: usize = 8;

xila_network::main!(run);

async fn run() {
    let mut arguments = Arguments::parse_with_flags(USAGE, &["c", "i", "s", "t", "W", "I"], &["4", "6"]);
    let name: String = arguments.next("HOST");
    arguments.finish();
    let count: Option<u64> = arguments.option("c");
    if count == Some(0) {
        fail("invalid argument: '0': out of range: 1 <= value <= 18446744073709551615");
    }
    let size: usize = arguments.option("s").unwrap_or(56);
    let interval = seconds(arguments.option("i").unwrap_or(1.0));
    let linger = seconds(arguments.option("W").unwrap_or(10.0));
    let interface: Option<String> = arguments.option("I");

    let address = support::resolve(&name, arguments.family())
        .await
        .unwrap_or_else(|error| fail(&format!("{name}: {}", support::why_not_resolved(error))));
    let (family, binding) = (Family::of(address), IcmpBinding::Echo(0));
    let socket = match &interface {
        Some(interface) => IcmpSocket::bind_on(interface, family, binding),
        None => IcmpSocket::bind(family, binding),
    };
    let socket = socket.unwrap_or_else(|error| fail(&format!("socket: {}", support::why(error))));
    if let Some(ttl) = arguments.option("t")
        && let Err(error) = socket.set_hop_limit(ttl)
    {
        fail(&format!("cannot set unicast time-to-live: {}", support::why(error)));
    }

    match family {
        Family::V4 => println!("PING {name} ({address}) {size}({}) bytes of data.", size + HEADER + 20),
        Family::V6 => println!("PING {name}({address}) {size} data bytes"),
    }
    let mut pinger = Pinger { socket, address, sent: HashMap::new(), tally: Tally::default() };
    let payload: Vec<u8> = (0..size).map(|index| index as u8).collect();
    let begin = Instant::now();
    let mut sequence = 0u64;
    while count.is_none_or(|count| sequence < count) {
        sequence += 1;
        pinger.send(sequence as u16, &payload).await;
        // After the last request there is no interval to wait for.
        if count != Some(sequence) {
            pinger.listen(Instant::now() + interval, false).await;
        }
    }
    let patience = pinger.tally.slowest().map_or(linger, |slowest| (slowest * 2).max(interval));
    pinger.listen(Instant::now() + patience, true).await;
    pinger.tally.report(&name, begin.elapsed());
    exit(if pinger.tally.times.is_empty() { 1 } else { 0 });
}

struct Pinger {
    socket: IcmpSocket,
    address: IpAddr,
    /// The times at which the unanswered requests were sent, by sequence number.
    sent: HashMap<u16, Instant>,
    tally: Tally,
}

impl Pinger {
    async fn send(&mut self, sequence: u16, payload: &[u8]) {
        let now = Instant::now();
        match self.socket.send_to(self.address, sequence, payload).await {
            Ok(()) => drop(self.sent.insert(sequence, now)),
            Err(Error::RemoteUnreachable) if self.tally.sent == 0 => fail("connect: Network is unreachable"),
            Err(error) => {
                eprintln!("ping: sendmsg: {}", support::why(error));
                self.tally.errors += 1;
            }
        }
        self.tally.sent += 1;
    }

    /// Prints the messages that arrive until `end`; if `enough` is set, stops when all requests have been answered.
    async fn listen(&mut self, end: Instant, enough: bool) {
        while !(enough && self.sent.is_empty()) {
            let message = self.socket.recv_timeout(end.saturating_duration_since(Instant::now())).await;
            match message {
                Ok(IcmpMessage::EchoReply(reply)) => self.answered(&reply),
                Ok(IcmpMessage::Error(report)) => self.failed(&report),
                Err(Error::TimedOut) => return,
                Err(error) => fail(&format!("recvmsg: {}", support::why(error))),
            }
        }
    }

    fn answered(&mut self, reply: &EchoReply) {
        let EchoReply { source, sequence, data, hop_limit } = reply;
        print!("{} bytes from {source}: icmp_seq={sequence} ttl={hop_limit}", data.len() + HEADER);
        match self.sent.remove(sequence) {
            Some(sent) => {
                let time = sent.elapsed();
                println!(" time={} ms", milliseconds(time));
                self.tally.times.push(time);
            }
            None => {
                println!(" (DUP!)");
                self.tally.duplicates += 1;
            }
        }
    }

    fn failed(&mut self, report: &IcmpReport) {
        let Some(sequence) = report.sequence else { return };
        println!("From {} icmp_seq={sequence} {}", report.source, words(report));
        self.sent.remove(&sequence);
        self.tally.errors += 1;
    }
}

/// The counts of requests and replies, and the round-trip times.
#[derive(Default)]
struct Tally {
    sent: u64,
    errors: u64,
    duplicates: u64,
    times: Vec<Duration>,
}

impl Tally {
    fn slowest(&self) -> Option<Duration> {
        self.times.iter().max().copied()
    }

    fn report(&self, name: &str, elapsed: Duration) {
        let Self { sent, errors, duplicates, times } = self;
        let received = times.len() as u64;
        println!("\n--- {name} ping statistics ---");
        print!("{sent} packets transmitted, {received} received");
        if *duplicates > 0 {
            print!(", +{duplicates} duplicates");
        }
        if *errors > 0 {
            print!(", +{errors} errors");
        }
        println!(", {}% packet loss, time {}ms", percent(sent.saturating_sub(received), *sent), elapsed.as_millis());
        let milliseconds = times.iter().map(|time| time.as_secs_f64() * 1e3);
        let number = times.len().max(1) as f64;
        let mean = milliseconds.clone().sum::<f64>() / number;
        // As in iputils: the square root of the mean square minus the squared mean.
        let spread = (milliseconds.clone().map(|time| time * time).sum::<f64>() / number - mean * mean).max(0.0).sqrt();
        let (fastest, slowest) = (milliseconds.clone().reduce(f64::min), milliseconds.reduce(f64::max));
        match (fastest, slowest) {
            (Some(fastest), Some(slowest)) => {
                println!("rtt min/avg/max/mdev = {fastest:.3}/{mean:.3}/{slowest:.3}/{spread:.3} ms");
            }
            _ => println!(),
        }
    }
}

/// The text of an error, as in iputils.
fn words(report: &IcmpReport) -> String {
    let v4 = report.source.is_ipv4();
    let mtu = report.mtu.unwrap_or(0);
    let text = match report.kind {
        IcmpErrorKind::Unreachable if v4 => "Destination Host Unreachable",
        IcmpErrorKind::Unreachable => "Destination unreachable: Address unreachable",
        IcmpErrorKind::PortUnreachable if v4 => "Destination Port Unreachable",
        IcmpErrorKind::PortUnreachable => "Destination unreachable: Port unreachable",
        IcmpErrorKind::Prohibited if v4 => "Packet filtered",
        IcmpErrorKind::Prohibited => "Destination unreachable: Administratively prohibited",
        IcmpErrorKind::TimeExceeded if v4 => "Time to live exceeded",
        IcmpErrorKind::TimeExceeded => "Time exceeded: Hop limit",
        IcmpErrorKind::PacketTooBig if v4 => return format!("Frag needed and DF set (mtu = {mtu})"),
        IcmpErrorKind::PacketTooBig => return format!("Packet too big: mtu={mtu}"),
        IcmpErrorKind::ParameterProblem => "Parameter problem",
    };
    text.to_owned()
}

/// The time with at least three significant digits, as in iputils.
fn milliseconds(time: Duration) -> String {
    let milliseconds = time.as_secs_f64() * 1e3;
    match milliseconds {
        100.0.. => format!("{milliseconds:.0}"),
        10.0.. => format!("{milliseconds:.1}"),
        1.0.. => format!("{milliseconds:.2}"),
        _ => format!("{milliseconds:.3}"),
    }
}

/// A share of the whole in percent, with six significant digits.
fn percent(part: u64, whole: u64) -> String {
    let percent = 100.0 * part as f64 / whole.max(1) as f64;
    let text = if percent < 10.0 { format!("{percent:.5}") } else { format!("{percent:.4}") };
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

fn seconds(number: f64) -> Duration {
    Duration::from_secs_f64(number.clamp(0.0, 1e6))
}

fn fail(problem: &str) -> ! {
    eprintln!("ping: {problem}");
    exit(2);
}
