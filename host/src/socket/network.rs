//! The interfaces that a socket may use, and which of them it uses.

use core::net::{IpAddr, SocketAddr};
use core::sync::atomic::{AtomicU64, Ordering};
use std::sync::Arc;

use parking_lot::RwLock;

use crate::error::{Error, Result};
use crate::stack::Stack;

/// The stacks that are mounted, in the order they were; shared by a manager and its networks.
#[derive(Default)]
pub(crate) struct Topology {
    stacks: RwLock<Vec<Stack>>,
    /// Counts the changes that may lead a packet elsewhere, so that a socket can keep the route it found.
    version: AtomicU64,
}

impl Topology {
    pub(crate) fn add(&self, stack: Stack) {
        self.stacks.write().push(stack);
        self.changed();
    }

    pub(crate) fn remove(&self, stack: &Stack) {
        self.stacks.write().retain(|known| !known.is(stack));
        self.changed();
    }

    /// An address, a route or the state of an interface has changed.
    pub(crate) fn changed(&self) {
        self.version.fetch_add(1, Ordering::Release);
    }
}

/// What sockets are made on: all interfaces of a manager, or some of them by name.
///
/// A network is a live view: it sees interfaces come and go. A socket is bound to those that are there when it is made.
#[derive(Clone)]
pub struct Network {
    topology: Arc<Topology>,
    names: Option<Arc<[Arc<str>]>>,
}

impl core::fmt::Debug for Network {
    fn fmt(&self, formatter: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        formatter.debug_struct("Network").field("interfaces", &self.interfaces()).finish()
    }
}

impl Network {
    pub(crate) const fn new(topology: Arc<Topology>, names: Option<Arc<[Arc<str>]>>) -> Self {
        Self { topology, names }
    }

    /// Differs after every change that may lead a packet elsewhere.
    pub(crate) fn version(&self) -> u64 {
        self.topology.version.load(Ordering::Acquire)
    }

    /// The names of the interfaces that are there now.
    #[must_use]
    pub fn interfaces(&self) -> Vec<String> {
        self.stacks().iter().map(|stack| stack.name().to_string()).collect()
    }

    /// The part of this network that is one interface.
    ///
    /// # Errors
    /// [`Error::NotFound`] where this network has no interface of that name.
    pub fn interface(&self, name: &str) -> Result<Self> {
        let stack = self.stacks().into_iter().find(|stack| &**stack.name() == name).ok_or(Error::NotFound)?;
        Ok(Self { topology: self.topology.clone(), names: Some([stack.name().clone()].into()) })
    }

    pub(crate) fn stacks(&self) -> Vec<Stack> {
        let stacks = self.topology.stacks.read();
        let mine = |stack: &&Stack| self.names.as_ref().is_none_or(|names| names.contains(stack.name()));
        stacks.iter().filter(mine).cloned().collect()
    }

    /// The stack that leads to `remote`, and the address to speak from.
    ///
    /// An address of one of the interfaces is reached through the loopback, as on every host. Else the longest prefix
    /// over all interfaces that are up decides, and the first of several equals; a multicast or broadcast address that
    /// no prefix covers leaves by the first interface that is not the loopback.
    ///
    /// # Errors
    /// [`Error::NotFound`] for a network without interfaces; [`Error::NetworkDown`] where all are down;
    /// [`Error::RemoteUnreachable`]; [`Error::AddressNotAvailable`] where `local` is given and belongs to no interface.
    pub(crate) fn route(&self, local: Option<IpAddr>, remote: IpAddr) -> Result<(Stack, IpAddr)> {
        let stacks = self.stacks();
        if stacks.is_empty() {
            return Err(Error::NotFound);
        }
        let owner = |address| stacks.iter().find(|stack| stack.with(|core| core.has_address(address)));
        if let Some(local) = local
            && owner(local).is_none()
            && !(local.is_loopback() && stacks.iter().any(|stack| stack.with(|core| core.loops_back())))
        {
            return Err(Error::AddressNotAvailable);
        }
        let loopback = stacks.iter().find(|stack| stack.with(|core| core.loops_back() && core.is_up()));
        if let Some(loopback) = loopback
            && (remote.is_loopback() || owner(remote).is_some_and(|stack| stack.with(|core| core.is_up())))
        {
            return Ok((loopback.clone(), local.unwrap_or(remote)));
        }
        let up: Vec<&Stack> = stacks.iter().filter(|stack| stack.with(|core| core.is_up())).collect();
        if up.is_empty() {
            return Err(Error::NetworkDown);
        }
        // An address speaks by its own interface only: the answers would come to that one.
        let outward =
            |stack: &Stack| stack.with(|core| !core.loops_back() && local.is_none_or(|local| core.has_address(local)));
        let mut best: Option<(u8, &Stack)> = None;
        for stack in up.iter().filter(|stack| outward(stack)) {
            let reach = stack.with(|core| core.reach(remote));
            if let Some(reach) = reach
                && best.is_none_or(|(known, _)| reach > known)
            {
                best = Some((reach, stack));
            }
        }
        let to_many = remote.is_multicast() || matches!(remote, IpAddr::V4(v4) if v4.is_broadcast());
        let stack = match best {
            Some((_, stack)) => stack,
            None if to_many => {
                let of_family =
                    |stack: &&&Stack| outward(stack) && stack.with(|core| core.source_address(remote).is_some());
                up.iter().find(of_family).copied().or(loopback).ok_or(Error::RemoteUnreachable)?
            }
            // One that is down would lead there.
            None if stacks.iter().any(|stack| outward(stack) && stack.with(|core| core.reach(remote).is_some())) => {
                return Err(Error::NetworkDown);
            }
            None => return Err(Error::RemoteUnreachable),
        };
        let source = match local {
            Some(local) => local,
            None => stack.with(|core| core.source_address(remote)).ok_or(Error::RemoteUnreachable)?,
        };
        Ok((stack.clone(), source))
    }

    /// The stacks that a socket bound to `address` is served by: for an unspecified address all of the network, for
    /// another the interface that has it and the loopback, where this host itself speaks to it.
    ///
    /// # Errors
    /// [`Error::NotFound`] for a network without interfaces; [`Error::AddressNotAvailable`].
    pub(crate) fn serving(&self, address: IpAddr) -> Result<Vec<Stack>> {
        let stacks = self.stacks();
        if stacks.is_empty() {
            return Err(Error::NotFound);
        }
        if address.is_unspecified() {
            return Ok(stacks);
        }
        let serves = |stack: &Stack| {
            stack.with(|core| core.has_address(address) || (address.is_loopback() && core.loops_back()))
        };
        if !stacks.iter().any(serves) {
            return Err(Error::AddressNotAvailable);
        }
        Ok(stacks.into_iter().filter(|stack| serves(stack) || stack.with(|core| core.loops_back())).collect())
    }

    /// Whether anything can come to a socket that is bound to `address` and served by `stacks`. The loopback carries
    /// this host's own packets to every address, but a socket stands and falls with the interface that has its address.
    ///
    /// # Errors
    /// [`Error::AddressNotAvailable`] where none has it any more; [`Error::NetworkDown`] where none that has it is up.
    pub(crate) fn check_serving(stacks: &[Stack], address: IpAddr) -> Result<()> {
        let has_it = |stack: &&Stack| {
            let loopback = |stack: &Stack| address.is_loopback() && stack.with(|core| core.loops_back());
            address.is_unspecified() || stack.with(|core| core.has_address(address)) || loopback(stack)
        };
        let mut homes = stacks.iter().filter(has_it).peekable();
        if homes.peek().is_none() {
            return Err(Error::AddressNotAvailable);
        }
        if homes.any(|stack| stack.with(|core| core.is_up())) { Ok(()) } else { Err(Error::NetworkDown) }
    }

    /// Binds on all `stacks` or none: to `local`'s port, or for port 0 to an ephemeral one that is free on all.
    ///
    /// # Errors
    /// [`Error::AddressInUse`], also where no ephemeral port is left; what `bind` fails with.
    pub(crate) fn bind_all(
        stacks: &[Stack],
        local: SocketAddr,
        bind: impl Fn(&Stack, u16) -> Result<()>,
        unbind: impl Fn(&Stack, u16),
    ) -> Result<SocketAddr> {
        // Every socket is served by the loopback too; the range that was configured is the other one's.
        let outward = stacks.iter().find(|stack| stack.with(|core| !core.loops_back()));
        let ranging = outward.or(stacks.first()).ok_or(Error::NotFound)?;
        let all = |port: u16| {
            for (index, stack) in stacks.iter().enumerate() {
                if let Err(error) = bind(stack, port) {
                    stacks[..index].iter().for_each(|bound| unbind(bound, port));
                    return Err(error);
                }
            }
            Ok(SocketAddr::new(local.ip(), port))
        };
        if local.port() != 0 {
            return all(local.port());
        }
        for port in ranging.with_mut(|core| core.port_candidates()) {
            match all(port) {
                Err(Error::AddressInUse) => {}
                other => return other,
            }
        }
        Err(Error::AddressInUse)
    }
}
