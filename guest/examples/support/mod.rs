//! Code that the example apps share: parsing of arguments, name resolution, and connecting with retries.
#![allow(dead_code, reason = "every app uses a part of it")]

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::process::exit;
use std::str::FromStr;
use std::time::{Duration, Instant};

use xila_network::dns::{self, ResolveError};
use xila_network::{Error, Family, Result, TcpStream, ToSocketAddrs, UdpSocket};

/// The arguments of the command line: `--NAME VALUE` pairs, flags, and positional arguments in their order.
pub(crate) struct Arguments {
    usage: &'static str,
    options: Vec<(String, String)>,
    flags: Vec<String>,
    positional: std::vec::IntoIter<String>,
}

impl Arguments {
    /// Parses the command line. An option that is not among `known` (names without the hyphens) ends the program.
    pub(crate) fn parse(usage: &'static str, known: &[&str]) -> Self {
        Self::parse_with_flags(usage, known, &[])
    }

    /// Parses the command line; `flags` are options without a value.
    pub(crate) fn parse_with_flags(usage: &'static str, known: &[&str], flags: &[&str]) -> Self {
        let positional = Vec::new().into_iter();
        let mut arguments = Self { usage, options: Vec::new(), flags: Vec::new(), positional };
        let mut positional = Vec::new();
        let mut words = std::env::args().skip(1);
        while let Some(word) = words.next() {
            if word == "--help" || word == "-h" {
                println!("usage: {usage}");
                exit(0);
            }
            let Some(name) = word.strip_prefix("--").or_else(|| word.strip_prefix('-')).filter(|name| !name.is_empty())
            else {
                positional.push(word);
                continue;
            };
            if flags.contains(&name) {
                arguments.flags.push(name.to_owned());
                continue;
            }
            if !known.contains(&name) {
                arguments.fail(&format!("there is no option {word}"));
            }
            match words.next() {
                Some(value) => arguments.options.push((name.to_owned(), value)),
                None => arguments.fail(&format!("{word} needs a value")),
            }
        }
        arguments.positional = positional.into_iter();
        arguments
    }

    /// The next positional argument; `what` describes it in the error message if it is missing.
    pub(crate) fn next<T: FromStr>(&mut self, what: &str) -> T {
        self.next_if_any(what).unwrap_or_else(|| self.fail(&format!("{what} is missing")))
    }

    /// The next positional argument, if there is one.
    pub(crate) fn next_if_any<T: FromStr>(&mut self, what: &str) -> Option<T> {
        let word = self.positional.next()?;
        Some(word.parse().unwrap_or_else(|_| self.fail(&format!("{word} is not {what}"))))
    }

    /// The value of an option, if it is given.
    pub(crate) fn option<T: FromStr>(&self, name: &str) -> Option<T> {
        let (_, value) = self.options.iter().rev().find(|(other, _)| other == name)?;
        Some(value.parse().unwrap_or_else(|_| self.fail(&format!("{value} is no value for --{name}"))))
    }

    /// Whether a flag is given.
    pub(crate) fn flag(&self, name: &str) -> bool {
        self.flags.iter().any(|other| other == name)
    }

    /// The family that `-4` or `-6` selects.
    pub(crate) fn family(&self) -> Option<Family> {
        match (self.flag("4"), self.flag("6")) {
            (true, true) => self.fail("-4 and -6 exclude one another"),
            (true, false) => Some(Family::V4),
            (false, true) => Some(Family::V6),
            (false, false) => None,
        }
    }

    /// Ends the program if arguments are left over.
    pub(crate) fn finish(&mut self) {
        if let Some(word) = self.positional.next() {
            self.fail(&format!("{word} is one argument too many"));
        }
    }

    /// Ends the program with an error message and the usage: the command line is wrong.
    pub(crate) fn fail(&self, problem: &str) -> ! {
        eprintln!("error: {problem}\nusage: {}", self.usage);
        exit(2);
    }
}

/// Connects to a peer. While the peer does not accept connections yet, tries again until `patience` (seconds) is over.
pub(crate) async fn connect(peer: impl ToSocketAddrs, patience: Option<f64>) -> Result<TcpStream> {
    let deadline = patience.map(|seconds| Instant::now() + Duration::from_secs_f64(seconds.clamp(0.0, 1e6)));
    loop {
        match TcpStream::connect(&peer).await {
            Err(Error::ConnectionRefused | Error::RemoteUnreachable | Error::TimedOut)
                if deadline.is_some_and(|deadline| Instant::now() < deadline) =>
            {
                // This blocks the whole program, which has nothing else to do.
                std::thread::sleep(Duration::from_millis(50));
            }
            result => return result,
        }
    }
}

/// A socket on a port of the host's choice, connected to `peer`.
pub(crate) async fn datagrams_to(peer: SocketAddr) -> Result<UdpSocket> {
    let local = match peer {
        SocketAddr::V4(_) => SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0)),
        SocketAddr::V6(_) => SocketAddr::from((Ipv6Addr::UNSPECIFIED, 0)),
    };
    let socket = UdpSocket::bind(local)?;
    socket.connect(peer).await?;
    Ok(socket)
}

/// Sends a greeting and waits for an answer. While the peer's port is closed, repeats the greeting until `patience`
/// (seconds) is over.
pub(crate) async fn greet(socket: &UdpSocket, greeting: &[u8], patience: Option<f64>) -> Result<()> {
    let deadline = patience.map(|seconds| Instant::now() + Duration::from_secs_f64(seconds.clamp(0.0, 1e6)));
    loop {
        let answer = match socket.send(greeting).await {
            Ok(_) => socket.recv_datagram().await.map(drop),
            Err(error) => Err(error),
        };
        match answer {
            Err(Error::ConnectionRefused) if deadline.is_some_and(|deadline| Instant::now() < deadline) => {
                std::thread::sleep(Duration::from_millis(50));
            }
            result => return result,
        }
    }
}

/// The first address of a name.
pub(crate) async fn resolve(name: &str, family: Option<Family>) -> Result<IpAddr, ResolveError> {
    let addresses = match family {
        Some(family) => dns::resolve_family(name, family).await?,
        None => dns::resolve(name).await?,
    };
    addresses.first().copied().ok_or(ResolveError::NoRecords)
}

/// The message of `getaddrinfo` for the error.
pub(crate) fn why_not_resolved(error: ResolveError) -> String {
    match error {
        ResolveError::InvalidName | ResolveError::NameNotFound => "Name or service not known".to_owned(),
        ResolveError::NoRecords => "No address associated with hostname".to_owned(),
        ResolveError::ServersUnreachable => "Temporary failure in name resolution".to_owned(),
        ResolveError::ServerFailure => "Non-recoverable failure in name resolution".to_owned(),
        ResolveError::Other(error) => error.to_string(),
    }
}

/// The message of `strerror` for the error.
pub(crate) fn why(error: Error) -> String {
    match error {
        Error::RemoteUnreachable => "Network is unreachable".to_owned(),
        Error::AccessDenied => "Permission denied".to_owned(),
        Error::InvalidArgument => "Invalid argument".to_owned(),
        Error::NetworkDown => "Network is down".to_owned(),
        Error::PacketTooLarge => "Message too long".to_owned(),
        other => other.to_string(),
    }
}

/// The rate in bits per second, with a suitable unit.
pub(crate) fn rate(bytes: u64, elapsed: Duration) -> String {
    let bits = bytes as f64 * 8.0 / elapsed.as_secs_f64().max(1e-9);
    match bits {
        1e9.. => format!("{:.2} Gb/s", bits / 1e9),
        1e6.. => format!("{:.2} Mb/s", bits / 1e6),
        _ => format!("{:.2} kb/s", bits / 1e3),
    }
}
