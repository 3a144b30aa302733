//! Queries a name server: `dig [@SERVER] [-x ADDRESS | NAME [TYPE]] [+short]`.
//!
//! It prints those sections of dig(1)'s output that are known here, the server that answered, and whether the answer
//! came by TCP. The exit status is 9 if no server answered; WASI 0.2 turns it into 1.

mod support;

use std::net::IpAddr;
use std::process::exit;
use std::time::Instant;

use xila_network::dns::{self, Record, RecordType, Reply, ResolveError};

use support::Arguments;

const USAGE: &str = "dig [@SERVER] [-t TYPE] [-x ADDRESS | NAME [TYPE]] [+short]

  @SERVER     the address of the server to ask, instead of those that the
              interfaces know
  TYPE        A by default; AAAA, MX, TXT, ..., or a number as TYPE65280
  -x ADDRESS  ask for the name of an address
  +short      print the data only";

xila_network::main!(run);

async fn run() {
    let mut arguments = Arguments::parse(USAGE, &["t", "x"]);
    let mut short = false;
    let mut server: Option<IpAddr> = None;
    let mut words: Vec<String> = Vec::new();
    while let Some(word) = arguments.next_if_any::<String>("a name") {
        match word.as_str() {
            "+short" => short = true,
            _ if word.starts_with('+') => arguments.fail(&format!("there is no option {word}")),
            _ => match word.strip_prefix('@') {
                Some(_) if server.is_some() => arguments.fail("one @SERVER is what can be asked"),
                Some(address) => {
                    let parsed = address.parse();
                    server = Some(parsed.unwrap_or_else(|_| arguments.fail(&format!("{address} is no address"))));
                }
                None => words.push(word),
            },
        }
    }
    let mut record_type: Option<RecordType> = arguments.option("t");
    let name = match arguments.option::<IpAddr>("x") {
        Some(address) => {
            record_type = record_type.or(Some(RecordType::PTR));
            reverse_name(address)
        }
        None if words.is_empty() => arguments.fail("NAME is missing"),
        None => words.remove(0),
    };
    if !words.is_empty() {
        let word = words.remove(0);
        record_type = Some(word.parse().unwrap_or_else(|_| arguments.fail(&format!("{word} is no type of records"))));
    }
    if let Some(word) = words.first() {
        arguments.fail(&format!("{word} is one argument too many"));
    }
    let record_type = record_type.unwrap_or(RecordType::A);
    // Like dig, query the name as it is written, without search domains.
    let absolute = if name.ends_with('.') { name } else { format!("{name}.") };

    let begin = Instant::now();
    let answer = dns::ask(server, &absolute, record_type).await;
    let elapsed = begin.elapsed();
    let Reply { server, code, is_authoritative, by_tcp, records } = match answer {
        Ok(reply) => reply,
        Err(ResolveError::ServersUnreachable) => {
            println!(";; no servers could be reached");
            exit(9);
        }
        Err(ResolveError::InvalidName) => fail(&format!("'{absolute}' is not a legal name")),
        Err(ResolveError::ServerFailure) => fail("the server's answer makes no sense"),
        Err(error @ (ResolveError::NameNotFound | ResolveError::NoRecords)) => fail(&error.to_string()),
        Err(ResolveError::Other(error)) => fail(&support::why(error)),
    };
    if short {
        records.iter().for_each(|record| println!("{}", record.data));
        return;
    }
    if by_tcp {
        println!(";; Truncated, retried in TCP mode.");
    }
    println!(";; Got answer:");
    println!(";; ->>HEADER<<- opcode: QUERY, status: {code}");
    let flags = if is_authoritative { "qr aa" } else { "qr" };
    println!(";; flags: {flags}; QUERY: 1, ANSWER: {}\n", records.len());
    println!(";; QUESTION SECTION:\n{}IN\t{record_type}\n", column(&format!(";{absolute}"), 32));
    if !records.is_empty() {
        println!(";; ANSWER SECTION:");
        records.iter().for_each(print_record);
        println!();
    }
    println!(";; Query time: {} msec", elapsed.as_millis());
    if let Some(server) = server {
        println!(";; SERVER: {server}#53({server}) ({})", if by_tcp { "TCP" } else { "UDP" });
    }
}

fn print_record(record: &Record) {
    let Record { name, record_type, ttl, data } = record;
    println!("{}{ttl}\tIN\t{record_type}\t{data}", column(name, 24));
}

/// The text, filled with tabs up to a column, but with at least one tab.
fn column(text: &str, column: usize) -> String {
    let tabs = column.saturating_sub(text.len()).div_ceil(8).max(1);
    format!("{text}{}", "\t".repeat(tabs))
}

/// The domain name of an address's PTR record (RFC 1035 section 3.5, RFC 3596 section 2.5).
fn reverse_name(address: IpAddr) -> String {
    match address {
        IpAddr::V4(address) => {
            let [a, b, c, d] = address.octets();
            format!("{d}.{c}.{b}.{a}.in-addr.arpa.")
        }
        IpAddr::V6(address) => {
            let nibbles = address.octets().into_iter().rev().flat_map(|octet| [octet & 0xf, octet >> 4]);
            nibbles.map(|nibble| format!("{nibble:x}.")).chain(["ip6.arpa.".to_owned()]).collect()
        }
    }
}

fn fail(problem: &str) -> ! {
    eprintln!("dig: {problem}");
    exit(10);
}
