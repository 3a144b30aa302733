//! The host's resolver configuration (resolv.conf(5)): its DNS servers and its search domains.

use core::net::{IpAddr, Ipv4Addr, SocketAddr, SocketAddrV6};
use std::path::Path;

use crate::services::names;
use crate::socket::dns::MOST_DOMAINS;

/// Where a host has its configuration.
pub(super) const PATH: &str = "/etc/resolv.conf";
/// The most servers that are asked, the limit of resolv.conf(5).
const MOST_SERVERS: usize = 3;
/// The most bytes of all search domains in DNS encoding: what a DHCP option can hold.
const LONGEST_SEARCH: usize = 255;

/// See the [module](self).
pub(super) struct ResolvConf(String);

impl ResolvConf {
    /// Reads a configuration. A file that is missing is an empty one.
    pub(super) fn read(path: &Path) -> Self {
        Self(std::fs::read_to_string(path).unwrap_or_default())
    }

    /// The values of each line that begins with one of these keywords.
    fn lines<'a>(&'a self, keywords: &'a [&str]) -> impl Iterator<Item = impl Iterator<Item = &'a str>> {
        self.0.lines().filter_map(|line| {
            let mut words = line.split_whitespace().take_while(|word| !word.starts_with(['#', ';']));
            keywords.contains(&words.next()?).then_some(words)
        })
    }

    /// The servers that the host asks. Without a configuration, it asks one on itself.
    pub(super) fn servers(&self, port: u16) -> Vec<SocketAddr> {
        let lines = self.lines(&["nameserver"]);
        let mut servers: Vec<SocketAddr> =
            lines.filter_map(|mut values| server(values.next()?, port)).take(MOST_SERVERS).collect();
        if servers.is_empty() {
            servers.push(SocketAddr::new(Ipv4Addr::LOCALHOST.into(), port));
        }
        servers
    }

    /// The domains in which the host looks for names without a dot: those of the last line that gives any, as many as an
    /// interface and a DHCP option can have. What is not a domain is left out.
    pub(super) fn search(&self) -> Vec<String> {
        let Some(given) = self.lines(&["search", "domain"]).last() else { return Vec::new() };
        let mut length = 0;
        let fits = |domain: &&str| {
            let encoded = names::encode(domain).map_or(usize::MAX, |encoded| encoded.len());
            let fits = encoded <= LONGEST_SEARCH - length;
            length += if fits { encoded } else { 0 };
            fits
        };
        given.filter(fits).take(MOST_DOMAINS).map(str::to_owned).collect()
    }
}

/// The address of a server. A link-local one has the name or the index of its interface after it (RFC 4007 section 11).
fn server(text: &str, port: u16) -> Option<SocketAddr> {
    let Some((address, zone)) = text.split_once('%') else {
        return text.parse().map(|address: IpAddr| SocketAddr::new(address, port)).ok();
    };
    let scope = zone.parse().ok().or_else(|| nix::net::if_::if_nametoindex(zone).ok())?;
    Some(SocketAddrV6::new(address.parse().ok()?, port, 0, scope).into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn configuration(text: &str) -> ResolvConf {
        ResolvConf(text.to_owned())
    }

    fn ends<const N: usize>(texts: [&str; N]) -> [SocketAddr; N] {
        texts.map(|text| text.parse().expect("an end"))
    }

    #[test]
    fn servers_are_read_as_the_host_reads_them() {
        let text = "# a comment\nsearch example.org\nnameserver 192.0.2.53\n nameserver\t2001:db8::53 # two\n\
                    nameserver nonsense\nnameservers 192.0.2.54\n;nameserver 192.0.2.54\nnameserver 192.0.2.55\n\
                    nameserver 192.0.2.56\n";
        let expected = ends(["192.0.2.53:53", "[2001:db8::53]:53", "192.0.2.55:53"]);
        assert_eq!(configuration(text).servers(53), expected);
        let scoped = configuration("nameserver fe80::53%lo\nnameserver fe80::54%7\nnameserver fe80::55%-\n");
        let lo = nix::net::if_::if_nametoindex("lo").expect("a loopback");
        assert_eq!(scoped.servers(53), ends([&format!("[fe80::53%{lo}]:53"), "[fe80::54%7]:53"]));
        assert_eq!(ResolvConf::read(Path::new("/nonexistent")).servers(53), ends(["127.0.0.1:53"]));
    }

    #[test]
    fn the_last_list_of_domains_is_the_one_that_is_searched() {
        let search = |text: &str| configuration(text).search();
        assert_eq!(search("nameserver 192.0.2.53\n"), [""; 0]);
        assert_eq!(search("search corp.example\tLAB.example. # ours\n"), ["corp.example", "LAB.example."]);
        assert_eq!(search("search a.example b.example\ndomain c.example\n"), ["c.example"]);
        assert_eq!(
            search("domain c.example\nsearch a.example b.example\n#search d.example"),
            ["a.example", "b.example"]
        );
        // A host without a domain of its own says so with the root.
        assert_eq!(search("search .\n"), [""; 0]);
        assert_eq!(search("search a..b localhost ok.example\n"), ["ok.example"]);
    }

    #[test]
    fn no_more_domains_are_searched_than_an_option_can_have() {
        let many: Vec<String> = (0..100).map(|number| format!("{number}.example")).collect();
        assert_eq!(configuration(&format!("search {}\n", many.join(" "))).search(), many[..MOST_DOMAINS]);
        let long = [["a"; 100].join("."), ["b"; 100].join("."), "short.example".to_owned()];
        assert_eq!(configuration(&format!("search {}\n", long.join(" "))).search(), [&*long[0], "short.example"]);
    }
}
