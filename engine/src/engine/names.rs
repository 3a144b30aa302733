//! The DNS servers and search domains of the engine. After every change of a source (manual settings, DHCP, DHCPv6,
//! router advertisements), `update_names` derives both lists anew from all sources.

use alloc::string::String;
use alloc::vec::Vec;
use core::net::IpAddr;

use super::Engine;
use crate::configure::servers::{AddServerError, ServerChange};
use crate::interface::Change;

/// The DNS servers and search domains that one protocol provides.
#[derive(Default)]
struct Said {
    servers: Vec<IpAddr>,
    domains: Vec<String>,
}

impl Engine {
    /// The DNS servers, in the order in which they are asked: the manually set ones, then those of the DHCP lease, of
    /// DHCPv6, and of router advertisements (RFC 8106 section 5.3.1).
    pub fn servers(&self) -> impl Iterator<Item = IpAddr> {
        self.servers.iter()
    }

    /// The search domains for names without a dot, in order: those of the DHCP lease, then of DHCPv6, and of router
    /// advertisements, each once. They are in lower case and have no final dot.
    pub fn search_domains(&self) -> impl Iterator<Item = &str> {
        self.configuration.domains.iter().map(String::as_str)
    }

    /// Adds a manually set DNS server.
    ///
    /// # Errors
    /// See [`AddServerError`].
    pub fn add_server(&mut self, server: IpAddr) -> Result<(), AddServerError> {
        self.servers.add(server)?;
        self.update_names();
        Ok(())
    }

    /// Removes a DNS server of any origin, and returns whether it was there. A server that a protocol provides stays
    /// removed until the protocol no longer provides it.
    pub fn remove_server(&mut self, server: IpAddr) -> bool {
        let was_there = self.servers.remove(server);
        self.update_names();
        was_there
    }

    /// Replaces the manually set DNS servers. Those beyond the limit, and those that cannot be the address of a host,
    /// are left out.
    pub fn set_servers(&mut self, servers: &[IpAddr]) {
        self.servers.set(servers);
        self.update_names();
    }

    /// Derives servers and domains from all sources, and reports the differences.
    pub(super) fn update_names(&mut self) {
        let said = self.names_said();
        for change in self.servers.update(said.iter().map(|said| &said.servers[..])) {
            self.interface.tell(match change {
                ServerChange::Added(server) => Change::ServerAdded(server),
                ServerChange::Removed(server) => Change::ServerRemoved(server),
            });
        }
        let mut domains: Vec<String> = Vec::new();
        for domain in said.into_iter().flat_map(|said| said.domains) {
            if !domains.contains(&domain) {
                domains.push(domain);
            }
        }
        if domains != self.configuration.domains {
            self.configuration.domains = domains;
            self.interface.tell(Change::SearchDomains);
        }
    }

    /// The names of each protocol, in order of precedence: DHCP comes before router advertisements (RFC 8106 section
    /// 5.3.1).
    fn names_said(&self) -> [Said; 3] {
        let configuration = &self.configuration;
        let lease = configuration.client.as_ref().and_then(|client| client.lease());
        let lease = lease.map(|lease| Said {
            servers: lease.dns_servers.iter().copied().map(IpAddr::V4).collect(),
            domains: lease.search_domains().map(String::from).collect(),
        });
        let answer = configuration.information.as_ref().map(|client| client.answer());
        let answer = answer.map(|answer| Said {
            servers: answer.servers.iter().copied().map(IpAddr::V6).collect(),
            domains: answer.domains.clone(),
        });
        let routers = configuration.discovery.as_ref().map(|discovery| Said {
            servers: discovery.servers().collect(),
            domains: discovery.domains().map(String::from).collect(),
        });
        [lease, answer, routers].map(Option::unwrap_or_default)
    }
}
