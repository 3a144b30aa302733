//! Servers of names: those that somebody has set, and those that protocols bring.

use alloc::vec::Vec;
use core::net::IpAddr;

use thiserror::Error;

/// The most servers of an interface that somebody has set, and the most that are taken of one protocol.
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
    /// Somebody has set as many as there may be.
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

/// The servers of one interface.
#[derive(Debug, Default)]
pub struct Servers {
    /// Those that somebody has set.
    set: Vec<IpAddr>,
    /// Those that somebody has removed although a protocol says them.
    removed: Vec<IpAddr>,
    /// All, as they are asked.
    known: Vec<IpAddr>,
}

impl Servers {
    /// The servers, in the order in which they are asked.
    pub fn iter(&self) -> impl Iterator<Item = IpAddr> {
        self.known.iter().copied()
    }

    /// Adds a server that somebody has set. It is asked after the next [update](Self::update).
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

    /// Removes a server, by whomever it is said; whether it was there. It is not asked any more after the next
    /// [update](Self::update).
    pub fn remove(&mut self, server: IpAddr) -> bool {
        let was_there = self.known.contains(&server);
        self.set.retain(|known| *known != server);
        if was_there && !self.removed.contains(&server) {
            self.removed.push(server);
        }
        was_there
    }

    /// Replaces those that somebody has set. Those for which there is no room, or that no host can be, are left out.
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

    /// Takes note of what each protocol says now, those that are asked first in front: they come behind those that somebody
    /// has set. What somebody has removed stays away as long as it is said.
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
