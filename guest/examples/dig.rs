//! Asks name servers: `dig [-x ADDRESS | NAME [TYPE]] [+short]`, in the sections of dig(1), as far as they are known here.
//! The exit status is 9 if no server answered, of which WASI 0.2 makes 1.

mod support;

use std::net::IpAddr;
use std::process::exit;
use std::time::Instant;
use support::Arguments;
use xila_network::dns::{self, Record, RecordType, ResolveError};

const USAGE: &str = "dig [-t TYPE] [-x ADDRESS | NAME [TYPE]] [+short]

  TYPE        A by default; AAAA, MX, TXT, ..., or a number as TYPE65280
  -x ADDRESS  ask for the name of an address
  +short      print the data only

The servers are those of the interfaces: there is no @SERVER.";

xila_network::main!(run);

async fn run() {
    let mut arguments = Arguments::parse(USAGE, &["t", "x"]);
    let mut short = false;
    let mut words: Vec<String> = Vec::new();
    while let Some(word) = arguments.next_if_any::<String>("a name") {
        match word.as_str() {
            "+short" => short = true,
            _ if word.starts_with('+') => arguments.fail(&format!("there is no option {word}")),
            _ if word.starts_with('@') => arguments.fail("the servers are those of the interfaces: no @SERVER"),
            _ => words.push(word),
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
    // Like dig, ask for what is written and look in no search domain.
    let absolute = if name.ends_with('.') { name } else { format!("{name}.") };

    let begin = Instant::now();
    let answer = dns::lookup(&absolute, record_type).await;
    let elapsed = begin.elapsed();
    let (status, records) = match answer {
        Ok(records) => ("NOERROR", records),
        Err(ResolveError::NoRecords) => ("NOERROR", Vec::new()),
        Err(ResolveError::NameNotFound) => ("NXDOMAIN", Vec::new()),
        Err(ResolveError::ServerFailure) => ("SERVFAIL", Vec::new()),
        Err(ResolveError::ServersUnreachable) => {
            println!(";; no servers could be reached");
            exit(9);
        }
        Err(ResolveError::InvalidName) => fail(&format!("'{absolute}' is not a legal name")),
        Err(ResolveError::Other(error)) => fail(&support::why(error)),
    };
    if short {
        records.iter().for_each(|record| println!("{}", record.data));
        return;
    }
    println!(";; Got answer:");
    println!(";; ->>HEADER<<- opcode: QUERY, status: {status}");
    println!(";; QUERY: 1, ANSWER: {}\n", records.len());
    println!(";; QUESTION SECTION:\n{}IN\t{record_type}\n", column(&format!(";{absolute}"), 32));
    if !records.is_empty() {
        println!(";; ANSWER SECTION:");
        records.iter().for_each(print_record);
        println!();
    }
    println!(";; Query time: {} msec", elapsed.as_millis());
}

fn print_record(record: &Record) {
    let Record { name, record_type, ttl, data } = record;
    println!("{}{ttl}\tIN\t{record_type}\t{data}", column(name, 24));
}

/// The text, with tabs up to a column, and one at least.
fn column(text: &str, column: usize) -> String {
    let tabs = column.saturating_sub(text.len()).div_ceil(8).max(1);
    format!("{text}{}", "\t".repeat(tabs))
}

/// The name under which the name of an address is kept (RFC 1035 section 3.5, RFC 3596 section 2.5).
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
