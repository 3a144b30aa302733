//! The parser of the text form of rules. Its errors point at the wrong word.

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use core::ops::RangeInclusive;

use xila_network_commands::interface::is_interface_name;

use super::mistake::ParseError;
use super::names::host_name;
use super::operation::{Operation, Operations, Protocol};
use super::request::{Endpoint, Request};
use super::rule::{Action, Host, Rule, Target, is_host, is_word};
use crate::address::{Cidr, port_range};

/// The rule that allows everything.
pub(super) fn everything() -> Rule {
    Rule {
        action: Action::Allow,
        operations: Operations::all(),
        target: Target::ANY,
        from: None,
        interface: None,
        line: 1,
    }
}

/// Parses rules, one on each line.
pub(super) fn parse(text: &str) -> Result<Vec<Rule>, ParseError> {
    let mut rules = Vec::new();
    for (index, line) in text.lines().enumerate() {
        let mut words = Words::new(line, index + 1);
        if words.peek().is_some() {
            rules.push(rule(&mut words)?);
        }
    }
    Ok(rules)
}

/// The words of one line, and the position of the parser in it.
struct Words<'a> {
    /// The line, including its comment.
    text: &'a str,
    line: usize,
    words: Vec<Word<'a>>,
    next: usize,
}

#[derive(Clone, Copy)]
struct Word<'a> {
    /// The byte offset of the word in the line.
    start: usize,
    text: &'a str,
}

impl<'a> Words<'a> {
    fn new(text: &'a str, line: usize) -> Self {
        let content = text.split('#').next().unwrap_or_default();
        // A word is a slice of the line, so the difference of their addresses is the offset of the word.
        let start = |word: &str| word.as_ptr().addr() - text.as_ptr().addr();
        let words = content.split_whitespace().map(|word| Word { start: start(word), text: word }).collect();
        Self { text, line, words, next: 0 }
    }

    fn peek(&self) -> Option<Word<'a>> {
        self.words.get(self.next).copied()
    }

    fn take(&mut self) -> Option<Word<'a>> {
        let word = self.peek()?;
        self.next += 1;
        Some(word)
    }

    /// Takes the next word; an error that says that `what` is missing if there is none.
    fn expect(&mut self, what: &str) -> Result<Word<'a>, ParseError> {
        self.take().ok_or_else(|| self.missing(what))
    }

    /// Takes the next word if it is the expected one, and returns whether it was.
    fn take_word(&mut self, expected: &str) -> bool {
        let is_next = self.peek().is_some_and(|word| word.text == expected);
        self.next += usize::from(is_next);
        is_next
    }

    fn missing(&self, what: &str) -> ParseError {
        let end = self.words.last().map_or(0, |word| word.start + word.text.len());
        let column = self.text[..end].chars().count() + 2;
        self.error(column, 0, format!("{what} is missing"))
    }

    fn wrong(&self, word: Word<'_>, problem: String) -> ParseError {
        let column = self.text[..word.start].chars().count() + 1;
        self.error(column, word.text.chars().count(), problem)
    }

    fn error(&self, column: usize, length: usize, problem: String) -> ParseError {
        ParseError { line: self.line, column, length, problem, text: self.text.to_owned() }
    }
}

fn rule(words: &mut Words<'_>) -> Result<Rule, ParseError> {
    let first = words.expect("allow or deny")?;
    let action = match first.text {
        "allow" => Action::Allow,
        "deny" => Action::Deny,
        other => return Err(words.wrong(first, format!("{other:?} is neither allow nor deny"))),
    };
    let subject = subject(words)?;
    let interface = interface(words)?;
    let Subject { operations, target, from } = subject;
    Ok(Rule { action, operations, target, from, interface, line: words.line })
}

/// The part of a rule between the action and the interface.
struct Subject {
    operations: Operations,
    target: Target,
    from: Option<Target>,
}

fn subject(words: &mut Words<'_>) -> Result<Subject, ParseError> {
    let word = words.expect("a protocol")?;
    let protocol = Protocol::ALL.into_iter().find(|protocol| protocol.word() == word.text);
    let operations = match (protocol, word.text) {
        (Some(protocol), _) => operations(words, protocol)?,
        (None, "any") => Operations::all(),
        (None, other) => {
            let known = Protocol::ALL.map(Protocol::word).join(", ");
            return Err(words.wrong(word, format!("{other:?} is no protocol: {known} or any")));
        }
    };
    let target = match words.peek() {
        Some(word) if !matches!(word.text, "from" | "on") => {
            words.take();
            target(words, word, protocol)?
        }
        Some(_) | None => Target::ANY,
    };
    let from = match words.peek().filter(|word| word.text == "from") {
        Some(keyword) => {
            words.take();
            let serves = [Operation::TcpListen, Operation::UdpBind];
            if !serves.into_iter().any(|operation| operations.contains(operation)) {
                return Err(words.wrong(keyword, "only rules about tcp listen and udp bind have peers from".into()));
            }
            let word = words.expect("the peers")?;
            let peers = self::target(words, word, protocol)?;
            if matches!(peers.host, Host::Name(_) | Host::Below(_)) {
                return Err(words.wrong(word, "peers are addresses: nobody can tell the name of who comes".into()));
            }
            Some(peers)
        }
        None => None,
    };
    Ok(Subject { operations, target, from })
}

/// One operation that a text describes, as the data of a [`Request`].
pub(super) struct Asked {
    operation: Operation,
    interface: Option<String>,
    local: Option<SocketAddr>,
    remote: Option<SocketAddr>,
    names: Vec<String>,
    command: Option<String>,
}

impl Asked {
    pub(super) fn request(&self) -> Request<'_> {
        let Self { operation, interface, local, remote, names, command } = self;
        let name = names.first().map(String::as_str).filter(|_| *operation == Operation::Resolve);
        Request {
            interface: interface.as_deref(),
            local: *local,
            remote: *remote,
            names,
            name,
            command: command.as_deref(),
            ..Request::new(*operation)
        }
    }
}

/// The address used in a request if the text gives only a name or `any`. It is the IPv4 dummy address, which no host
/// has (RFC 7600).
const SOME_HOST: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 0, 8));

/// Parses an operation, which is written as a rule without its action.
pub(super) fn operation(text: &str) -> Result<Asked, ParseError> {
    let mut words = Words::new(text, 1);
    let Subject { operations, target, from } = subject(&mut words)?;
    let interface = interface(&mut words)?;
    // The last word of the text, which errors point at.
    let word = words.words.last().copied().unwrap_or(Word { start: 0, text });
    let mut named = operations.iter();
    let (Some(operation), None) = (named.next(), named.next()) else {
        return Err(words.wrong(word, "one operation is asked about, such as tcp connect".into()));
    };
    let operation = match (operation, &from) {
        (Operation::TcpListen, Some(_)) => Operation::TcpAccept,
        (Operation::UdpBind, Some(_)) => Operation::UdpReceive,
        (operation, _) => operation,
    };
    let mut names = Vec::new();
    let mut single = |target: Target| {
        let port = match &target.ports[..] {
            [] => 0,
            [range] if range.start() == range.end() => *range.start(),
            _ => return Err(words.wrong(word, "one port is asked about".into())),
        };
        let address = match target.host {
            Host::Any => SOME_HOST,
            Host::Name(name) => {
                names.push(name);
                SOME_HOST
            }
            Host::Network(network) if is_host(&network) => network.address(),
            Host::Network(_) | Host::Below(_) => {
                return Err(words.wrong(word, "one address or name is asked about".into()));
            }
        };
        Ok(SocketAddr::new(address, port))
    };
    // A datagram to many is asked about as what it is.
    let operation = match (operation, &target.host) {
        (Operation::UdpSend, Host::Network(network)) if network.address().is_multicast() => Operation::UdpMulticast,
        (Operation::UdpSend, Host::Network(network)) if network.address() == Ipv4Addr::BROADCAST => {
            Operation::UdpBroadcast
        }
        (operation, _) => operation,
    };
    let (mut local, mut remote, mut command) = (None, None, None);
    match (operation, operation.endpoint()) {
        (Operation::TcpAccept | Operation::UdpReceive, _) if from.is_some() => {
            local = Some(single(target)?);
            remote = from.map(&mut single).transpose()?;
        }
        (_, Some(Endpoint::Local)) => local = Some(single(target)?),
        (_, Some(Endpoint::Remote)) => remote = Some(single(target)?),
        (Operation::Resolve, None) => {
            single(target)?;
        }
        (_, None) => {
            if let Host::Name(name) = target.host {
                command = Some(name);
            }
        }
    }
    Ok(Asked { operation, interface, local, remote, names, command })
}

fn interface(words: &mut Words<'_>) -> Result<Option<String>, ParseError> {
    let interface = match words.take_word("on") {
        true => {
            let word = words.expect("the name of an interface")?;
            if !is_interface_name(word.text) {
                return Err(words.wrong(word, format!("{:?} is no name of an interface", word.text)));
            }
            Some(word.text.to_owned())
        }
        false => None,
    };
    match words.take() {
        Some(word) => Err(words.wrong(word, format!("{:?} follows the end of the rule", word.text))),
        None => Ok(interface),
    }
}

/// Parses the operations after a protocol. If none is named, these are all operations of the protocol.
fn operations(words: &mut Words<'_>, protocol: Protocol) -> Result<Operations, ParseError> {
    let all = || protocol.operations().collect();
    let Some(word) = words.peek() else { return Ok(all()) };
    if word.text == "any" {
        words.take();
        return Ok(all());
    }
    if matches!(word.text, "from" | "on") || word.text.contains(['.', ':', '/', '[', '*']) || word.text == "localhost" {
        return Ok(all());
    }
    words.take();
    let known = |name: &str| protocol.operations().find(|operation| operation.word() == name);
    word.text
        .split(',')
        .map(|name| {
            known(name).ok_or_else(|| {
                let expected: Vec<&str> = protocol.operations().map(Operation::word).collect();
                let (name, protocol, expected) = (name, protocol.word(), expected.join(", "));
                words.wrong(word, format!("{name:?} is no operation of {protocol}: {expected} or any"))
            })
        })
        .collect()
}

fn target(words: &Words<'_>, word: Word<'_>, protocol: Option<Protocol>) -> Result<Target, ParseError> {
    let target = match protocol {
        Some(Protocol::Control) => command(word.text),
        _ => end(word.text),
    };
    let target = target.map_err(|problem| words.wrong(word, problem))?;
    let problem = match protocol {
        Some(Protocol::Dns) if matches!(target.host, Host::Network(_)) => "names are resolved, and not addresses",
        Some(Protocol::Dns | Protocol::Icmp) if !target.ports.is_empty() => "the protocol has no ports",
        _ => return Ok(target),
    };
    Err(words.wrong(word, problem.into()))
}

fn command(text: &str) -> Result<Target, String> {
    let is_command = text.chars().all(|letter| letter.is_ascii_lowercase() || letter.is_ascii_digit() || letter == '-');
    match text {
        "any" | "*" => Ok(Target::ANY),
        command if is_command => Ok(Target { host: Host::Name(command.to_owned()), ports: Vec::new() }),
        other => Err(format!("{other:?} is no command such as set-mtu")),
    }
}

/// Parses a target that is not a command: hosts with or without ports.
fn end(text: &str) -> Result<Target, String> {
    if let Some((inside, behind)) = text.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        // The prefix length is inside the brackets, or directly after them.
        let (length, ports) = match behind.split_once(':') {
            Some((length, list)) => (length, ports(list)?),
            None => (behind, Vec::new()),
        };
        let network = format!("{inside}{length}");
        let is_ipv6 = inside.split('/').next().is_some_and(|address| address.parse::<Ipv6Addr>().is_ok());
        let is_length = length.is_empty() || length.starts_with('/');
        return match network_of(&network)? {
            // An IPv4-mapped address is written as an IPv6 address, but held as the IPv4 address.
            Some(host) if is_ipv6 && is_length => Ok(Target { host, ports }),
            _ => Err(format!("{network:?} is no IPv6 address or network")),
        };
    }
    if text.split('/').next().is_some_and(|address| address.parse::<Ipv6Addr>().is_ok()) {
        return network_of(text)?.map(|host| Target { host, ports: Vec::new() }).ok_or_else(|| no_host(text));
    }
    let (host, ports) = match text.split_once(':') {
        Some((host, list)) => (host, ports(list)?),
        None => (text, Vec::new()),
    };
    let host = match host {
        "" if ports.is_empty() => return Err(no_host(text)),
        "" | "any" | "*" => Host::Any,
        host => match network_of(host)? {
            Some(network) => network,
            None => name(host)?,
        },
    };
    Ok(Target { host, ports })
}

/// Parses a network; `None` if the text is not an address at all.
fn network_of(text: &str) -> Result<Option<Host>, String> {
    let (address, length) = match text.split_once('/') {
        Some((address, length)) => (address, Some(length)),
        None => (text, None),
    };
    let Ok(address) = address.parse::<IpAddr>() else {
        return if length.is_some() { Err(format!("{text:?} is no network such as 10.0.0.0/8")) } else { Ok(None) };
    };
    let most: u8 = if address.is_ipv4() { 32 } else { 128 };
    // A network that contains an IPv4-mapped address and others too could not be compared with IPv4 addresses.
    let least: u8 = if most == 128 && address.to_canonical().is_ipv4() { 96 } else { 0 };
    let prefix = match length {
        None => most,
        Some(length) => match length.parse() {
            Ok(prefix) if (least..=most).contains(&prefix) && is_number(length) => prefix,
            _ => return Err(format!("{length:?} is no length of a prefix: {least} to {most}")),
        },
    };
    // Requests compare an IPv4-mapped address as its IPv4 address, so the rule holds the IPv4 address too.
    let network = match address.to_canonical() {
        address @ IpAddr::V4(_) if most == 128 => Cidr::new(address, prefix.saturating_sub(96)),
        address => Cidr::new(address, prefix),
    };
    network.map(|network| Some(Host::Network(network))).map_err(|_| no_host(text))
}

fn name(text: &str) -> Result<Host, String> {
    let (is_below, domain) = match text.strip_prefix("*.") {
        Some(domain) => (true, domain),
        None => (false, text),
    };
    if domain.contains('*') {
        return Err(format!("{text:?}: a * stands in front of a domain only, as in *.example.org"));
    }
    let name = host_name(domain).ok_or_else(|| no_host(text))?;
    // A text of only digits and dots was meant to be an address.
    if name.chars().all(|letter| letter.is_ascii_digit() || letter == '.') {
        return Err(no_host(text));
    }
    // `ANY` was meant to be `any`: a rule that denies it would deny nothing.
    if !is_below && is_word(&name) && name != domain.trim_end_matches('.') {
        return Err(format!("{text:?} is no word of rules such as any, nor a name with a final dot such as any."));
    }
    Ok(if is_below { Host::Below(name) } else { Host::Name(name) })
}

/// Whether a text has only digits. Numbers of the standard library may have a sign.
fn is_number(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_digit())
}

fn no_host(text: &str) -> String {
    format!("{text:?} is no address, network or name")
}

fn ports(list: &str) -> Result<Vec<RangeInclusive<u16>>, String> {
    list.split(',')
        .map(|item| {
            port_range(item).ok_or_else(|| format!("{item:?} is no port, and no range of ports such as 8000-8999"))
        })
        .collect()
}
