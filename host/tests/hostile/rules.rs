//! Policies as text. A string of bytes determines the text and the requests that the policy then decides.

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use xila_network_host::policy::{Action, Decision, Operation, ParseError, Policy, Request, Rule};

use super::bytes::Bytes;

const PROTOCOLS: [&str; 6] = ["tcp", "udp", "icmp", "dns", "control", "any"];
const OPERATIONS: [&[&str]; 6] = [
    &["connect", "bind", "listen", "accept", "connect,listen", "accept,bind,connect,listen"],
    &["bind", "send", "receive", "multicast", "broadcast", "send,receive,bind"],
    &["ping"],
    &["resolve"],
    &["read", "write", "write,read"],
    &["any"],
];
const HOSTS: [&str; 16] = [
    "any",
    "",
    "10.0.0.1",
    "10.0.0.0/8",
    "10.0.0.66/31",
    "0.0.0.0/0",
    "224.0.0.0/4",
    "::ffff:10.0.0.0/104",
    "::/0",
    "2001:db8::/32",
    "2001:db8::1",
    "www.example.org",
    "*.example.org",
    "intranet",
    "localhost",
    "*",
];
const PORTS: [&str; 6] = [":80", ":443,8000-8999", ":0", ":0-65535", ":53", ":1-79,81-65535"];
/// Words that have a meaning elsewhere, or almost have one.
const ODD: [&str; 48] = [
    "any",
    "ANY",
    "any.",
    "any:",
    "any.:80",
    "from",
    "from.",
    "From",
    "on",
    "on.",
    "*",
    "*.",
    "*.*",
    "*.any",
    "#",
    "connect",
    "connect.",
    "read",
    "ping",
    "tcp",
    "allow",
    "localhost",
    "localhost.",
    "xn--bcher-kva",
    "bücher.example",
    "\u{ff41}\u{ff4e}\u{ff59}",
    "\u{ff11}\u{ff10}.0.0.1",
    "a\u{3002}b",
    "_x\u{22}.example",
    "a\\.b",
    "set-mtu",
    "::ffff:10.0.0.1/64",
    "[::ffff:10.0.0.1]:80",
    "[2001:db8::/32]:443",
    "[2001:db8::]/32:1",
    "[::]1",
    "[10.0.0.1]:1",
    "[",
    "10.0.0.0/+8",
    "10.0.0.0/08",
    "10.0.0.0/33",
    "1.2.3",
    ":",
    ":+1",
    ":2-1",
    ":65536",
    "a..b",
    "\u{1b}[2J\u{202e}",
];
const SPACES: [&str; 8] = [" ", " ", " ", "  ", "\t", "\u{a0}", "\u{b}", "\r"];
const INTERFACES: [&str; 5] = ["eth0", "eth1", "lo", "on", "from"];
/// Names as in requests: in lower case and without a final dot.
const NAMES: [&str; 8] = [
    "www.example.org",
    "a.b.example.org",
    "example.org",
    "notexample.org",
    "intranet",
    "localhost",
    "xn--bcher-kva.example",
    "x.test",
];
const COMMANDS: [&str; 4] = ["set-mtu", "list-routes", "watch", "intranet"];

/// Parses the text that the bytes describe, and lets the policy decide requests.
pub(crate) fn run(data: &[u8]) {
    let mut bytes = Bytes::new(data);
    let written = text(&mut bytes);
    let policy = written.parse::<Policy>().unwrap_or_else(|error| {
        assert_eq!(written.lines().nth(error.line - 1), Some(&*error.text), "{error:?}");
        check_error(&error);
        Policy::allow_all()
    });
    let again = rewritten(policy.rules());
    assert_eq!(again.rules(), policy.rules(), "{written:?}");
    let then = policy.then(&Policy::allow_all());
    let alone: Vec<Policy> = policy.rules().iter().map(|rule| rewritten(core::slice::from_ref(rule))).collect();
    while !bytes.is_empty() {
        if bytes.byte() >= 250 {
            explain(&policy, &subject(&mut bytes));
            continue;
        }
        let names: Vec<String> = (0..bytes.byte() % 3).map(|_| bytes.pick(&NAMES).to_owned()).collect();
        let request = request(&mut bytes, &names);
        let decision = policy.decide(&request);
        check_decision(&policy, &alone, &request, &decision);
        let default = decision.rule.map_or(Action::Allow, Rule::action);
        assert_eq!(then.decide(&request).action, default, "{request:?} by {policy:?}");
        assert_eq!(again.decide(&request), decision, "{request:?} by {policy:?}");
        if names.is_empty()
            && let Some(asked) = asked(&request)
        {
            assert_eq!(explain(&policy, &asked), Some(decision), "{asked} is {request:?} by {policy:?}");
        }
    }
}

/// The policy with these rules, parsed from their text form. Each rule is on the line on which it was.
fn rewritten(rules: &[Rule]) -> Policy {
    let (mut text, mut line) = (String::new(), 1);
    for rule in rules {
        text.push_str(&"\n".repeat(rule.line() - line));
        text.push_str(&format!("{rule}\n"));
        line = rule.line() + 1;
    }
    text.parse().unwrap_or_else(|error| panic!("rules do not read what they write: {error}"))
}

/// Checks that an error names a word of its line, and that its message has three lines and nothing that a terminal
/// obeys.
fn check_error(error: &ParseError) {
    let ParseError { line: _, column, length, problem, text } = error;
    let rule = text.split('#').next().unwrap_or_default();
    let is_space = |at: usize| rule.chars().nth(at).is_none_or(char::is_whitespace);
    let word: Vec<char> = rule.chars().skip(column - 1).take(*length).collect();
    if *length == 0 {
        assert_eq!(*column, rule.trim_end().chars().count() + 2, "{error:?}");
    } else {
        assert!(word.len() == *length && !word.iter().any(|letter| letter.is_whitespace()), "{error:?}");
        assert!((*column == 1 || is_space(column - 2)) && is_space(column - 1 + length), "{error:?}");
    }
    let shown = error.to_string();
    let is_obeyed = |letter: char| letter.is_control() && !"\n\t".contains(letter) || letter == '\u{202e}';
    assert!(!problem.is_empty() && !shown.contains(is_obeyed), "{shown:?}");
    let lines: Vec<&str> = shown.split('\n').collect();
    let [_, line, marks] = lines[..] else { panic!("{shown:?}") };
    assert_eq!(line.chars().count(), text.chars().count() + 2, "{shown:?}");
    let indent = marks.trim_end_matches('^');
    let is_below = indent.chars().count() == column + 1 && marks.chars().count() == column + 1 + (*length).max(1);
    assert!(is_below && indent.trim().is_empty(), "{shown:?}");
}

fn explain<'a>(policy: &'a Policy, asked: &str) -> Option<Decision<'a>> {
    match policy.explain(asked) {
        Ok(decision) => {
            assert_eq!(decision.action, decision.rule.map_or(Action::Deny, Rule::action), "{asked:?} by {policy:?}");
            Some(decision)
        }
        Err(error) => {
            assert_eq!((error.line, &*error.text), (1, asked));
            check_error(&error);
            None
        }
    }
}

/// Checks what is true of every decision.
fn check_decision(policy: &Policy, alone: &[Policy], request: &Request<'_>, decision: &Decision<'_>) {
    let says = || format!("{request:?} by {policy:?}");
    let first = alone.iter().position(|rule| rule.decide(request).rule.is_some());
    assert_eq!(decision.rule, first.map(|first| &policy.rules()[first]), "the first rule decides {}", says());
    assert_eq!(decision.action, decision.rule.map_or(Action::Deny, Rule::action), "{}", says());
    let mapped = |end: SocketAddr| SocketAddr::new(mapped(end.ip()), end.port());
    let twin = Request { local: request.local.map(mapped), remote: request.remote.map(mapped), ..*request };
    assert_eq!(policy.decide(&twin), *decision, "mapped addresses: {}", says());
    if let Some(rule) = decision.rule {
        check_scope(rule, request);
    }
}

/// Checks that the text of the deciding rule is about the request: its protocol, its interface, and whether what the
/// rule says of ports or peers can be said of the operation.
fn check_scope(rule: &Rule, request: &Request<'_>) {
    let text = rule.to_string();
    let words: Vec<&str> = text.split(' ').collect();
    let operation = request.operation.to_string();
    let is_named = operation.starts_with(words[1]) || words[1] == "any";
    let is_name = request.operation == Operation::Resolve;
    assert!(is_named || is_name && ["tcp", "udp", "icmp"].contains(&words[1]), "{text} is not about {request:?}");
    if is_name || matches!(request.operation, Operation::ControlRead | Operation::ControlWrite) {
        let has_peers = words.windows(2).any(|two| two[0] == "from" && two[1] != "any");
        let target = words.get(if words[1] == "any" { 2 } else { 3 });
        let has_ports = is_named && target.is_some_and(|word| word.starts_with(':'));
        // A rule about the host of a name implies the resolution of the name.
        let is_host = |word: &&str| word.starts_with("*.") || word.split(':').next() == request.name;
        let is_implied = is_name && words.iter().any(is_host);
        assert!(!has_ports && (!has_peers || is_implied), "{text} is not about {request:?}");
    }
    let is_by_chance = request.local.is_some_and(|local| local.port() == 0) || request.remote.is_none();
    if let [.., "on", interface] = words[..]
        && !is_name
        && !is_by_chance
    {
        assert_eq!(request.interface, Some(interface), "{text} is not about {request:?}");
    }
}

/// The IPv4-mapped form of an IPv4 address; other addresses stay.
const fn mapped(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(address) => IpAddr::V6(address.to_ipv6_mapped()),
        IpAddr::V6(_) => address,
    }
}

/// A request as text, if one can be written.
fn asked(request: &Request<'_>) -> Option<String> {
    let Request { operation, interface, local, remote, names: _, name, command } = *request;
    let on = interface.map_or_else(String::new, |interface| format!(" on {interface}"));
    let end = match (local, remote, name, command) {
        (None, None, Some(name), None) if operation == Operation::Resolve => name.to_owned(),
        (None, None, None, Some(command)) if operation.to_string().starts_with("control") => command.to_owned(),
        (None, Some(remote), None, None) if operation == Operation::Ping && remote.port() == 0 => {
            remote.ip().to_string()
        }
        (None, Some(remote), None, None) => match operation {
            Operation::TcpConnect | Operation::UdpSend | Operation::UdpMulticast | Operation::UdpBroadcast => {
                remote.to_string()
            }
            _ => return None,
        },
        (Some(local), None, None, None) => match operation {
            Operation::TcpBind | Operation::TcpListen | Operation::UdpBind => local.to_string(),
            _ => return None,
        },
        (Some(local), Some(remote), None, None) => match operation {
            Operation::TcpAccept => return Some(format!("tcp listen {local} from {remote}{on}")),
            Operation::UdpReceive => return Some(format!("udp bind {local} from {remote}{on}")),
            _ => return None,
        },
        _ => return None,
    };
    Some(format!("{operation} {end}{on}"))
}

/// A request, with the fields that its operation has most of the time.
fn request<'a>(bytes: &mut Bytes<'_>, names: &'a [String]) -> Request<'a> {
    let operation = bytes.pick(&Operation::ALL);
    let fields = match bytes.byte() {
        byte @ 230.. => byte & 15,
        _ => match operation {
            Operation::TcpConnect | Operation::UdpSend | Operation::Ping => 2,
            Operation::UdpMulticast | Operation::UdpBroadcast => 2,
            Operation::TcpBind | Operation::TcpListen | Operation::UdpBind => 1,
            Operation::TcpAccept | Operation::UdpReceive => 3,
            Operation::Resolve => 4,
            Operation::ControlRead | Operation::ControlWrite => 8,
            new => panic!("{new}: which fields has a request of it?"),
        },
    };
    let has = |field: u8| fields & field != 0;
    Request {
        interface: bytes.flag().then(|| bytes.pick(&INTERFACES)),
        local: has(1).then(|| end(bytes)),
        remote: has(2).then(|| match operation {
            Operation::Ping => SocketAddr::new(address(bytes), 0),
            _ => end(bytes),
        }),
        names,
        name: has(4).then(|| bytes.pick(&NAMES)),
        command: has(8).then(|| bytes.pick(&COMMANDS)),
        ..Request::new(operation)
    }
}

fn end(bytes: &mut Bytes<'_>) -> SocketAddr {
    let port = bytes.pick(&[80, 443, 0, 8000, 8999, 9000, 53, 81, 65_535, 1]);
    SocketAddr::new(address(bytes), port)
}

fn address(bytes: &mut Bytes<'_>) -> IpAddr {
    match bytes.byte() {
        byte @ 0..100 => Ipv4Addr::new(10, 0, 0, byte).into(),
        100..140 => bytes.long().to_be_bytes().into(),
        byte @ 140..180 => Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, u16::from(byte & 3)).into(),
        180..200 => Ipv4Addr::new(224, 0, 0, bytes.byte()).into(),
        200..230 => mapped(Ipv4Addr::new(10, 0, bytes.byte(), 1).into()),
        230..250 => bytes.pick(&[IpAddr::V4(Ipv4Addr::UNSPECIFIED), IpAddr::V6(Ipv6Addr::UNSPECIFIED)]),
        250.. => core::array::from_fn::<u8, 16, _>(|_| bytes.byte()).into(),
    }
}

/// The text of a policy: the bytes themselves up to the first 0, or lines that are made of words.
fn text(bytes: &mut Bytes<'_>) -> String {
    if bytes.flag() {
        let raw: Vec<u8> = core::iter::from_fn(|| Some(bytes.byte()).filter(|byte| *byte != 0)).collect();
        return String::from_utf8_lossy(&raw).into_owned();
    }
    let mut text = String::new();
    for _ in 0..bytes.byte() % 8 {
        text.push_str(&format!("{} {}", bytes.pick(&["allow", "deny"]), subject(bytes)));
        text.push_str(bytes.pick(&["\n", "\n", "\r\n", "\n\n", " # why\n"]));
    }
    text
}

/// A rule without its action. It is right most of the time.
fn subject(bytes: &mut Bytes<'_>) -> String {
    let kind = bytes.below(PROTOCOLS.len());
    let mut words = vec![PROTOCOLS[kind].to_owned()];
    if bytes.byte() >= 60 && kind < 5 {
        words.push(bytes.pick(OPERATIONS[kind]).to_owned());
    }
    match kind {
        3 => words.push(bytes.pick(&NAMES).to_owned()),
        4 => words.push(bytes.pick(&COMMANDS).to_owned()),
        _ => words.push(target(bytes, kind != 2)),
    }
    if bytes.byte() < 60 {
        words.extend(["from".to_owned(), target(bytes, true)]);
    }
    if bytes.byte() < 60 {
        words.extend(["on".to_owned(), bytes.pick(&INTERFACES).to_owned()]);
    }
    let at = bytes.below(words.len());
    match bytes.byte() {
        0..200 => {}
        200..220 => words[at] = bytes.pick(&ODD).to_owned(),
        220..235 => words.insert(at, bytes.pick(&ODD).to_owned()),
        235..245 => drop(words.remove(at)),
        245.. => {
            let length = bytes.below(12);
            words[at].push_str(&String::from_utf8_lossy(bytes.take(length)).replace('\n', " "));
        }
    }
    words.join(bytes.pick(&SPACES))
}

fn target(bytes: &mut Bytes<'_>, has_ports: bool) -> String {
    let host = bytes.pick(&HOSTS);
    let ports = if has_ports && bytes.flag() { bytes.pick(&PORTS) } else { "" };
    match (host, ports) {
        ("", "") => "any".to_owned(),
        (host, ports) if host.contains(':') && !ports.is_empty() => format!("[{host}]{ports}"),
        (host, ports) => format!("{host}{ports}"),
    }
}
