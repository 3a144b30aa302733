//! Shows the routers on the way to a host: `traceroute [-m MAX] [-q NQUERIES] [-w WAIT] [-p PORT] [-n] [-4|-6] HOST`,
//! with the output format of traceroute(8). It sends datagrams with a rising hop limit to ports that no socket uses:
//! each router on the path reports that the hop limit was exceeded, and the host reports that the port is closed.

mod support;

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::process::exit;
use std::time::{Duration, Instant};

use xila_network::dns::{self, ResolveError};
use xila_network::{Error, Family, IcmpBinding, IcmpErrorKind, IcmpMessage, IcmpReport, IcmpSocket, Result, UdpSocket};

use support::Arguments;

const USAGE: &str = "traceroute [-m MAX] [-q NQUERIES] [-w WAIT] [-p PORT] [-n] [-4|-6] HOST

  -m MAX       hops at most, 30 by default
  -q NQUERIES  probes for each hop, 3 by default
  -w WAIT      seconds to wait for the answer to a probe, 5 by default
  -p PORT      the first probe's port, 33434 by default; each of the others takes the next one
  -n           show addresses only
  -4, -6       use that family";

/// Bytes of payload of a probe.
const SIZE: usize = 32;

xila_network::main!(run);

async fn run() {
    let mut arguments = Arguments::parse_with_flags(USAGE, &["m", "q", "w", "p"], &["n", "4", "6"]);
    let name: String = arguments.next("HOST");
    arguments.finish();
    let hops: u8 = arguments.option("m").unwrap_or(30);
    let queries: u16 = arguments.option("q").unwrap_or(3);
    if hops == 0 || !(1..=10).contains(&queries) {
        arguments.fail("-m takes 1 to 255 hops, and -q 1 to 10 probes");
    }
    let port: u16 = arguments.option("p").unwrap_or(33434);
    if port == 0 || u32::from(port) + u32::from(hops) * u32::from(queries) > 1 << 16 {
        arguments.fail("there are not as many ports");
    }
    let wait = Duration::from_secs_f64(arguments.option("w").unwrap_or(5.0f64).clamp(0.0, 1e6));

    let host = match support::resolve(&name, arguments.family()).await {
        Ok(host) => host,
        Err(error) => {
            eprintln!("{name}: {}", support::why_not_resolved(error));
            fail("cannot handle the host name");
        }
    };
    let size = SIZE + 8 + if host.is_ipv4() { 20 } else { 40 };
    println!("traceroute to {name} ({host}), {hops} hops max, {size} byte packets");
    let mut tracer = Tracer::new(host, port, wait).unwrap_or_else(|error| fail(&support::why(error)));
    let mut names = Names { off: arguments.flag("n"), silent: false, known: HashMap::new() };
    for hop in 1..=hops {
        if !trace(&mut tracer, &mut names, hop, queries).await {
            return;
        }
    }
}

/// Prints the line of one hop; returns whether there may be further hops.
async fn trace(tracer: &mut Tracer, names: &mut Names, hop: u8, queries: u16) -> bool {
    print!("{hop:2} ");
    let mut last = None;
    let mut onwards = true;
    for _ in 0..queries {
        let answer = tracer.probe(hop).await.unwrap_or_else(|error| {
            println!();
            fail(&support::why(error))
        });
        let Some((report, time)) = answer else {
            print!(" *");
            continue;
        };
        if last != Some(report.source) {
            last = Some(report.source);
            print!(" {}", names.of(report.source).await);
        }
        print!("  {:.3} ms{}", time.as_secs_f64() * 1e3, mark(report.kind));
        onwards &= report.kind == IcmpErrorKind::TimeExceeded;
    }
    println!();
    onwards
}

/// The mark that traceroute(8) prints after the time.
fn mark(kind: IcmpErrorKind) -> &'static str {
    match kind {
        IcmpErrorKind::TimeExceeded | IcmpErrorKind::PortUnreachable => "",
        IcmpErrorKind::Unreachable => " !H",
        IcmpErrorKind::Prohibited => " !X",
        IcmpErrorKind::PacketTooBig => " !F",
        IcmpErrorKind::ParameterProblem => " !?",
    }
}

struct Tracer {
    host: IpAddr,
    port: u16,
    wait: Duration,
    probes: UdpSocket,
    answers: IcmpSocket,
}

impl Tracer {
    fn new(host: IpAddr, port: u16, wait: Duration) -> Result<Self> {
        let any: IpAddr = match host {
            IpAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
            IpAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
        };
        let probes = UdpSocket::bind((any, 0))?;
        let answers = IcmpSocket::bind(Family::of(host), IcmpBinding::UdpPort(probes.local_addr().port()))?;
        Ok(Self { host, port, wait, probes, answers })
    }

    /// Sends a probe and waits for an ICMP error about it.
    async fn probe(&mut self, hop: u8) -> Result<Option<(IcmpReport, Duration)>> {
        let destination = SocketAddr::new(self.host, self.port);
        self.port = self.port.wrapping_add(1);
        self.probes.set_hop_limit(hop)?;
        let begin = Instant::now();
        self.probes.send_to(&[0x40; SIZE], destination).await?;
        loop {
            match self.answers.recv_timeout(self.wait.saturating_sub(begin.elapsed())).await {
                Ok(IcmpMessage::Error(report)) if report.destination == destination => {
                    return Ok(Some((report, begin.elapsed())));
                }
                // A late error about an earlier probe.
                Ok(IcmpMessage::Error(_) | IcmpMessage::EchoReply(_)) => {}
                Err(Error::TimedOut) => return Ok(None),
                Err(error) => return Err(error),
            }
        }
    }
}

/// The names of routers, resolved once for each address.
struct Names {
    /// Only addresses are shown (`-n`).
    off: bool,
    /// No name server answers.
    silent: bool,
    known: HashMap<IpAddr, String>,
}

impl Names {
    /// `router.example.org (192.0.2.1)`, or the address twice if it has no name.
    async fn of(&mut self, address: IpAddr) -> String {
        if self.off {
            return address.to_string();
        }
        if let Some(name) = self.known.get(&address) {
            return name.clone();
        }
        let mut name = None;
        if !self.silent {
            match dns::reverse(address).await {
                Ok(names) => name = names.first().map(|name| name.trim_end_matches('.').to_owned()),
                // Do not wait for the name servers again for the other routers.
                Err(ResolveError::ServersUnreachable) => self.silent = true,
                // Most routers have no name.
                Err(_) => {}
            }
        }
        let text = format!("{} ({address})", name.unwrap_or_else(|| address.to_string()));
        self.known.insert(address, text.clone());
        text
    }
}

fn fail(problem: &str) -> ! {
    eprintln!("traceroute: {problem}");
    exit(1);
}
