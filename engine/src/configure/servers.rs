//! The DNS servers of an interface: those that were set manually, and those that protocols (DHCP, DHCPv6, router
//! advertisements) provide.

use alloc::vec::Vec;
use core::net::IpAddr;

use thiserror::Error;

/// The maximum number of manually set servers of an interface, and of servers that are taken from one protocol.
const MOST: usize = 8;

/// Why a server was not added.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum AddServerError {
    /// No host can have the address.
    #[error("no host can have this address")]
    Invalid,
    /// The server is in the list already.
    #[error("the server is known")]
    Known,
    /// The maximum number of servers has been set.
    #[error("the interface has as many servers as it may have")]
    Full,
}

/// A difference between the lists before and after an update.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ServerChange {
    /// The server was added.
    Added(IpAddr),
    /// The server was removed.
    Removed(IpAddr),
}

/// The DNS servers of one interface.
#[derive(Debug, Default)]
pub struct Servers {
    /// The manually set servers.
    set: Vec<IpAddr>,
    /// The servers that were removed manually although a protocol still provides them.
    removed: Vec<IpAddr>,
    /// All servers that are in use, in the order in which they are asked.
    known: Vec<IpAddr>,
}

impl Servers {
    /// The servers, in the order in which they are asked.
    pub fn iter(&self) -> impl Iterator<Item = IpAddr> {
        self.known.iter().copied()
    }

    /// Adds a manually set server. It is used after the next [update](Self::update).
    ///
    /// # Errors
    /// See [`AddServerError`].
    pub fn add(&mut self, server: IpAddr) -> Result<(), AddServerError> {
        if !is_server(server) {
            return Err(AddServerError::Invalid);
        }
        if self.known.contains(&server) || self.set.contains(&server) {
            return Err(AddServerError::Known);
        }
        if self.set.len() >= MOST {
            return Err(AddServerError::Full);
        }
        self.set.push(server);
        self.removed.retain(|removed| *removed != server);
        Ok(())
    }

    /// Removes a server of any origin, and returns whether it was in use. It is no longer used after the next
    /// [update](Self::update).
    pub fn remove(&mut self, server: IpAddr) -> bool {
        let was_there = self.known.contains(&server);
        self.set.retain(|known| *known != server);
        if was_there && !self.removed.contains(&server) {
            self.removed.push(server);
        }
        was_there
    }

    /// Replaces the manually set servers. Those beyond the limit, and those that cannot be the address of a host, are
    /// left out.
    pub fn set(&mut self, servers: &[IpAddr]) {
        self.set.clear();
        for &server in servers {
            if self.set.len() < MOST && is_server(server) && !self.set.contains(&server) {
                self.set.push(server);
            }
        }
        let Self { set, removed, known: _ } = self;
        removed.retain(|server| !set.contains(server));
    }

    /// Applies the servers that each protocol provides now, the preferred protocol first. They come after the manually
    /// set ones. A server that was removed manually stays removed as long as a protocol provides it. Returns the
    /// differences.
    pub fn update<'a>(&mut self, said: impl Iterator<Item = &'a [IpAddr]>) -> Vec<ServerChange> {
        let said = said.flat_map(|servers| servers.iter().filter(|server| is_server(**server)).take(MOST));
        let said: Vec<IpAddr> = said.copied().collect();
        self.removed.retain(|removed| said.contains(removed));
        let mut known = self.set.clone();
        for server in said {
            if !known.contains(&server) && !self.removed.contains(&server) {
                known.push(server);
            }
        }
        let before = core::mem::replace(&mut self.known, known);
        let gone = before.iter().filter(|server| !self.known.contains(server)).copied().map(ServerChange::Removed);
        let new = self.known.iter().filter(|server| !before.contains(server)).copied().map(ServerChange::Added);
        gone.chain(new).collect()
    }
}

/// Whether this can be the address of a host. IPv4-mapped IPv6 addresses are never used on the wire (RFC 4291 section
/// 2.5.5).
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
    fn servers_are_those_that_were_set_and_then_those_that_protocols_say() {
        let mut servers = Servers::default();
        assert_eq!(servers.add(server(1)), Ok(()));
        let (lease, router) = ([server(2), server(1), server(3)], [server(4), server(3)]);
        let changes = servers.update([&lease[..], &router].into_iter());
        assert_eq!(changes, [1, 2, 3, 4].map(|last| ServerChange::Added(server(last))));
        assert!(servers.iter().eq([1, 2, 3, 4].map(server)));
        assert_eq!(servers.add(server(2)), Err(AddServerError::Known));
        let changes = servers.update([&[server(5)][..], &router].into_iter());
        assert_eq!(changes, [ServerChange::Removed(server(2)), ServerChange::Added(server(5))]);
        servers.set(&[server(6), server(6), [0, 0, 0, 0].into()]);
        servers.update([&[][..], &router].into_iter());
        assert!(servers.iter().eq([6, 4, 3].map(server)), "another says it too");
    }

    #[test]
    fn what_somebody_has_removed_stays_away_as_long_as_it_is_said() {
        let mut servers = Servers::default();
        let said = [server(1), server(2)];
        servers.update([&said[..]].into_iter());
        assert!(servers.remove(server(1)));
        assert_eq!(servers.update([&said[..]].into_iter()), [ServerChange::Removed(server(1))]);
        assert!(!servers.remove(server(1)));
        assert_eq!(servers.update([&said[..]].into_iter()), []);
        servers.update([&said[1..]].into_iter());
        assert_eq!(servers.update([&said[..]].into_iter()), [ServerChange::Added(server(1))]);
        assert!(servers.remove(server(1)));
        servers.update([&said[..]].into_iter());
        assert_eq!(servers.add(server(1)), Ok(()), "somebody has set it again");
        assert_eq!(servers.update([&said[..]].into_iter()), [ServerChange::Added(server(1))]);
    }

    #[test]
    fn nobody_says_too_many() {
        let mut servers = Servers::default();
        let said: Vec<IpAddr> = (0..100).map(server).collect();
        servers.update([&said[..], &said[50..]].into_iter());
        assert_eq!(servers.iter().count(), 2 * MOST);
    }

    #[test]
    fn servers_are_hosts_and_few() {
        let mut servers = Servers::default();
        for bad in ["0.0.0.0", "255.255.255.255", "224.0.0.1", "::", "ff02::1", "::ffff:1.2.3.4"] {
            let bad = bad.parse().expect("an address");
            assert_eq!(servers.add(bad), Err(AddServerError::Invalid), "{bad}");
        }
        for last in 0..8 {
            assert_eq!(servers.add(server(last)), Ok(()));
        }
        assert_eq!(servers.add(server(9)), Err(AddServerError::Full));
    }
}
