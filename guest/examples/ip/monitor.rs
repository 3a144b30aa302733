//! `ip monitor`: prints the changes of interfaces as they happen.

use xila_network::control::{AddressInfo, Change, Cidr, Interface, Notice, Origin, watch};

use crate::show::{address_lines, autoconfiguration_word, dhcp_word, hardware_words, link_line, via};
use crate::words::{Outcome, Words, garbage};

/// `monitor [-c COUNT]`: prints the events from now on, or the next COUNT events.
pub(crate) async fn run(mut words: Words) -> Outcome {
    let mut count: Option<u64> = None;
    while let Some(word) = words.next() {
        match word.as_str() {
            "-c" => count = Some(words.parse("-c")?),
            "all" => {}
            _ => return Err(garbage(&word)),
        }
    }
    let mut watch = watch()?;
    let mut seen = 0;
    while count.is_none_or(|count| seen < count) {
        match watch.next().await {
            Some(Ok(Notice::Changed(event))) => println!("{}", line(&event.interface, event.change)),
            Some(Ok(Notice::Lost(lost))) => println!("{lost} events were lost"),
            Some(Err(error)) => return Err(error.into()),
            None => break,
        }
        seen += 1;
    }
    Ok(())
}

fn line(name: &str, change: Change) -> String {
    match change {
        Change::Mounted | Change::Link(_) | Change::State(_) | Change::Mtu(_) | Change::HardwareAddress(_) => {
            link(name)
        }
        Change::Unmounted => format!("Deleted {name}"),
        Change::AddressAdded(cidr) => format!("{}{name}    {}", number(name), address_lines(&info(name, cidr), name)),
        Change::AddressRemoved(cidr) => {
            format!("Deleted {}{name}    {}", number(name), address_lines(&info(name, cidr), name))
        }
        Change::RouteAdded(route) => format!("{} dev {name}", via(&route)),
        Change::RouteRemoved(route) => format!("Deleted {} dev {name}", via(&route)),
        Change::DnsServerAdded(server) => format!("dns {server} dev {name}"),
        Change::DnsServerRemoved(server) => format!("Deleted dns {server} dev {name}"),
        Change::AddressConflict { address, by } => format!("{}{name}    {address} is used by {by} too", number(name)),
        Change::Dhcp(state) => format!("dhcp {} dev {name}", dhcp_word(state)),
        Change::Autoconfiguration(state) => format!("autoconf {} dev {name}", autoconfiguration_word(state)),
        Change::SearchDomains => format!("search {} dev {name}", search_words(name)),
    }
}

/// The current search domains.
fn search_words(name: &str) -> String {
    let domains = Interface::open(name).and_then(|interface| interface.search_domains());
    domains.map_or_else(|_| String::new(), |domains| domains.join(" "))
}

/// The current state of the interface, which may be newer than the event.
fn link(name: &str) -> String {
    let Some(number) = place(name) else { return name.to_owned() };
    let described = Interface::open(name)
        .and_then(|interface| Ok(format!("{}\n    {}", link_line(number, &interface)?, hardware_words(&interface)?)));
    described.unwrap_or_else(|_| format!("{number}: {name}"))
}

/// The number of an interface and a colon; an empty string if the interface is gone.
fn number(name: &str) -> String {
    place(name).map_or_else(String::new, |number| format!("{number}: "))
}

fn place(name: &str) -> Option<usize> {
    let names = Interface::list().ok()?;
    names.iter().position(|other| other == name).map(|index| index + 1)
}

/// The information on an address that was added or removed.
fn info(name: &str, cidr: Cidr) -> AddressInfo {
    let addresses = Interface::open(name).and_then(|interface| interface.addresses()).unwrap_or_default();
    let found = addresses.into_iter().find(|info| info.cidr == cidr);
    found.unwrap_or(AddressInfo { cidr, origin: Origin::Static, preferred: None, valid: None })
}
