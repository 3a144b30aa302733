//! Servers of names: those that somebody has set, and those that protocols bring.

use alloc::vec::Vec;
use core::net::IpAddr;

use thiserror::Error;

use crate::ip::addresses::Origin;

/// The most servers of an interface.
const MOST: usize = 8;

/// Why a server was not added.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum AddServerError {
    /// No host can have the address.
    #[error("no host can have this address")]
    Invalid,
    /// It is known.
    #[error("the server is known")]
    Known,
    /// There are as many as there may be.
    #[error("the interface has as many servers as it may have")]
    Full,
}

/// What differs after a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ServerChange {
    /// It is there now.
    Added(IpAddr),
    /// It is not there any more.
    Removed(IpAddr),
}

/// The servers of one interface, those that were known first in front.
#[derive(Debug, Default)]
pub struct Servers(Vec<(IpAddr, Origin)>);

impl Servers {
    /// The servers, in the order in which they are asked.
    pub fn iter(&self) -> impl Iterator<Item = IpAddr> {
        self.0.iter().map(|(server, _)| *server)
    }

    /// Adds a server.
    ///
    /// # Errors
    /// See [`AddServerError`].
    pub fn add(&mut self, server: IpAddr, origin: Origin) -> Result<(), AddServerError> {
        if !is_server(server) {
            return Err(AddServerError::Invalid);
        }
        if self.0.iter().any(|(known, _)| *known == server) {
            return Err(AddServerError::Known);
        }
        if self.0.len() >= MOST {
            return Err(AddServerError::Full);
        }
        self.0.push((server, origin));
        Ok(())
    }

    /// Removes a server; whether it was there.
    pub fn remove(&mut self, server: IpAddr) -> bool {
        let before = self.0.len();
        self.0.retain(|(known, _)| *known != server);
        self.0.len() < before
    }

    /// Replaces the servers of one origin. Those that are known from elsewhere stay as they are; those for which there is
    /// no room, or that no host can be, are left out.
    pub fn replace(&mut self, origin: Origin, servers: &[IpAddr]) -> Vec<ServerChange> {
        let mut changes = Vec::new();
        self.0.retain(|(known, from)| {
            let stays = *from != origin || servers.contains(known);
            if !stays {
                changes.push(ServerChange::Removed(*known));
            }
            stays
        });
        for &server in servers {
            if self.add(server, origin).is_ok() {
                changes.push(ServerChange::Added(server));
            }
        }
        changes
    }
}

/// Whether a host can be asked at this address. IPv4 addresses that are written as IPv6 ones are on no wire (RFC 4291
/// section 2.5.5).
fn is_server(address: IpAddr) -> bool {
    let is_mapped = matches!(address, IpAddr::V6(address) if address.to_ipv4_mapped().is_some());
    let is_broadcast = matches!(address, IpAddr::V4(address) if address.is_broadcast());
    !(address.is_unspecified() || address.is_multicast() || is_broadcast || is_mapped)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn server(last: u8) -> IpAddr {
        [192, 0, 2, last].into()
    }

    #[test]
    fn what_a_protocol_brought_is_replaced_and_what_was_set_stays() {
        let mut servers = Servers::default();
        assert_eq!(servers.add(server(1), Origin::Static), Ok(()));
        assert_eq!(servers.add(server(1), Origin::Dhcp), Err(AddServerError::Known));
        let changes = servers.replace(Origin::Dhcp, &[server(1), server(2), server(3)]);
        assert_eq!(changes, [ServerChange::Added(server(2)), ServerChange::Added(server(3))]);
        let changes = servers.replace(Origin::Dhcp, &[server(3)]);
        assert_eq!(changes, [ServerChange::Removed(server(2))]);
        assert_eq!(servers.replace(Origin::Dhcp, &[]), [ServerChange::Removed(server(3))]);
        assert!(servers.iter().eq([server(1)]));
        assert!(servers.remove(server(1)) && !servers.remove(server(1)));
    }

    #[test]
    fn servers_are_hosts_and_few() {
        let mut servers = Servers::default();
        for bad in ["0.0.0.0", "255.255.255.255", "224.0.0.1", "::", "ff02::1", "::ffff:1.2.3.4"] {
            let bad = bad.parse().expect("an address");
            assert_eq!(servers.add(bad, Origin::Static), Err(AddServerError::Invalid), "{bad}");
        }
        for last in 0..8 {
            assert_eq!(servers.add(server(last), Origin::Static), Ok(()));
        }
        assert_eq!(servers.add(server(9), Origin::Static), Err(AddServerError::Full));
    }
}
