//! Servers of names, and the domains in which names are looked for. Whatever changes, all of them are derived anew from
//! those who say them, in one place.

use alloc::string::String;
use alloc::vec::Vec;
use core::net::IpAddr;

use super::Engine;
use crate::configure::servers::{AddServerError, ServerChange};
use crate::interface::Change;

/// What one protocol says.
#[derive(Default)]
struct Said {
    servers: Vec<IpAddr>,
    domains: Vec<String>,
}

impl Engine {
    /// The servers of names, in the order in which they are asked: those that somebody has set, then those of the lease,
    /// those of DHCPv6, and those that routers advertise (RFC 8106 section 5.3.1).
    pub fn servers(&self) -> impl Iterator<Item = IpAddr> {
        self.servers.iter()
    }

    /// The domains in which names are looked for that have no dot, in this order: those of the lease, then those of DHCPv6
    /// and those that routers advertise, each once. In small letters, and without the root's dot.
    pub fn search_domains(&self) -> impl Iterator<Item = &str> {
        self.configuration.domains.iter().map(String::as_str)
    }

    /// Adds a server that somebody has set.
    ///
    /// # Errors
    /// See [`AddServerError`].
    pub fn add_server(&mut self, server: IpAddr) -> Result<(), AddServerError> {
        self.servers.add(server)?;
        self.update_names();
        Ok(())
    }

    /// Removes a server, wherever it comes from; whether it was there. One that a protocol says stays away until it is said
    /// no more.
    pub fn remove_server(&mut self, server: IpAddr) -> bool {
        let was_there = self.servers.remove(server);
        self.update_names();
        was_there
    }

    /// Replaces the servers that somebody has set. Those for which there is no room, or that no host can be, are left out.
    pub fn set_servers(&mut self, servers: &[IpAddr]) {
        self.servers.set(servers);
        self.update_names();
    }

    /// Derives servers and domains from what is said of them now, and tells of what is different.
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

    /// What each protocol says of names. DHCP comes before what routers say (RFC 8106 section 5.3.1).
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
