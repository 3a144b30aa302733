//! The registration of a bound socket with the stacks that serve it, including stacks that are mounted later.

use core::fmt;
use core::net::SocketAddr;
use core::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};

use parking_lot::{Mutex, RwLock};
use slab::Slab;

use super::network::Network;
use crate::error::{AcceptError, BindError, ReceiveError, causes_of};
use crate::stack::options::OnOutage;
use crate::stack::{Core, Stack};

/// The operations that register a socket with a stack under a port and remove it.
pub(crate) trait Binding: Send + Sync {
    /// # Errors
    /// As for the `bind` of the socket's type.
    fn bind(&self, stack: &Stack, port: u16) -> Result<(), BindError>;

    fn unbind(&self, stack: &Stack, port: u16);

    /// The ports to try on a stack for a socket that is bound to port 0.
    fn candidates(&self, stack: &Stack) -> Box<dyn Iterator<Item = u16>> {
        Box::new(stack.ask(|core| core.port_candidates()))
    }
}

/// A socket's registration with the stacks that it is bound on. Dropping it unbinds the socket everywhere.
///
/// A socket that is bound to an unspecified address is served by every interface of its network, and by interfaces that
/// are mounted later.
pub(crate) struct Serving(Arc<Served>);

struct Served {
    network: Network,
    local: SocketAddr,
    stacks: RwLock<Vec<Stack>>,
    binding: Box<dyn Binding>,
    /// The version of the network for which [`Serving::check`] last succeeded, and the [`OnOutage`] that it was asked
    /// for: a receiver that waits asks before each datagram, and does not lock the stacks for it.
    checked: AtomicU64,
    /// The index in [`Wildcards`]; `None` if the socket is not a wildcard, or once it is unbound.
    place: Mutex<Option<usize>>,
}

/// The cause why a socket cannot receive anything now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unserved {
    /// No interface has its address any more.
    AddressNotAvailable,
    /// No interface that has its address is up, or none is mounted any more.
    NetworkDown,
}

causes_of!(Unserved of AcceptError: AddressNotAvailable, NetworkDown);
causes_of!(Unserved of ReceiveError: AddressNotAvailable, NetworkDown);

/// The wildcard sockets, which an interface that is mounted later must serve, too.
#[derive(Default)]
pub(crate) struct Wildcards(Mutex<Slab<Weak<Served>>>);

impl Serving {
    /// Binds on every stack that has `local`'s address, or on none. Port 0 selects one of the binding's candidates that
    /// is free on all these stacks.
    ///
    /// # Errors
    /// As for [`Network::serving`]; [`BindError::AddressInUse`], also if no candidate is left; the errors of the
    /// binding.
    pub(crate) fn bind(
        network: &Network,
        local: SocketAddr,
        binding: impl Binding + 'static,
    ) -> Result<Self, BindError> {
        // Locked while a wildcard socket is bound, so that an interface that is being mounted is added either before or
        // after it.
        let mut wildcards = local.ip().is_unspecified().then(|| network.wildcards().0.lock());
        let stacks = network.serving(local.ip())?;
        let local = SocketAddr::new(local.ip(), bind_all(&stacks, local.port(), &binding)?);
        let entry = wildcards.as_mut().map(|wildcards| wildcards.vacant_entry());
        let place = entry.as_ref().map(slab::VacantEntry::key);
        let served = Arc::new(Served {
            network: network.clone(),
            local,
            stacks: RwLock::new(stacks),
            binding: Box::new(binding),
            checked: AtomicU64::new(u64::MAX),
            place: Mutex::new(place),
        });
        entry.map(|entry| entry.insert(Arc::downgrade(&served)));
        Ok(Self(served))
    }

    /// The local address, with the selected port.
    pub(crate) fn local(&self) -> SocketAddr {
        self.0.local
    }

    /// The stacks that serve the socket now.
    pub(crate) fn stacks(&self) -> Vec<Stack> {
        self.0.stacks.read().clone()
    }

    /// Unbinds the socket everywhere, before it is dropped.
    pub(crate) fn unbind(&self) {
        self.0.unbind();
    }

    /// Checks whether the socket can receive anything, or may wait for that. The loopback carries this host's own
    /// packets to every local address, but a socket is only usable while the interface with its address is.
    ///
    /// # Errors
    /// See [`Unserved`]; `on_outage` says which of these states are waited for.
    pub(crate) fn check(&self, on_outage: OnOutage) -> Result<(), Unserved> {
        // Read before the stacks are asked, so that a change meanwhile makes the answer stale at once.
        let asked = self.0.network.version() << 2 | on_outage as u64;
        if self.0.checked.load(Ordering::Relaxed) != asked {
            self.ask(on_outage)?;
            self.0.checked.store(asked, Ordering::Relaxed);
        }
        Ok(())
    }

    /// Like [`check`](Self::check), by asking the stacks.
    fn ask(&self, on_outage: OnOutage) -> Result<(), Unserved> {
        let address = self.0.local.ip();
        let stacks = self.0.stacks.read();
        if on_outage == OnOutage::Wait {
            // A wildcard socket is also served by interfaces that are mounted later. Any other socket stays bound where
            // its address was when it was bound. The loopback serves it too, but is not the interface that it needs.
            let only = stacks.len() == 1 || address.is_loopback();
            let is_needed = |core: &Core| only || !core.interface.loops_back();
            let may_work =
                |stack: &Stack| stack.with(|core| is_needed(core) && core.interface.check_usable(on_outage).is_ok());
            let waits = address.is_unspecified() || stacks.iter().any(may_work);
            return if waits { Ok(()) } else { Err(Unserved::NetworkDown) };
        }
        let has_it = |stack: &&Stack| address.is_unspecified() || stack.with(|core| core.interface.is_home_of(address));
        let mut homes = stacks.iter().filter(has_it).peekable();
        if homes.peek().is_none() && !address.is_unspecified() {
            return Err(Unserved::AddressNotAvailable);
        }
        let is_usable = |stack: &Stack| stack.with(|core| core.interface.check_usable(on_outage).is_ok());
        if homes.any(is_usable) { Ok(()) } else { Err(Unserved::NetworkDown) }
    }
}

impl Served {
    fn unbind(&self) {
        let place = self.place.lock().take();
        if let Some(place) = place {
            self.network.wildcards().0.lock().try_remove(place);
        }
        for stack in core::mem::take(&mut *self.stacks.write()) {
            self.binding.unbind(&stack, self.local.port());
        }
    }
}

/// Binds on all `stacks` or none, to `port`, or if that is 0 to a candidate. Returns the port.
fn bind_all(stacks: &[Stack], port: u16, binding: &impl Binding) -> Result<u16, BindError> {
    if port != 0 {
        return bind_each(stacks, port, binding);
    }
    // Every socket is served by the loopback too, but the configured range of ports is that of the other interface.
    let outward = stacks.iter().find(|stack| stack.with(|core| !core.interface.loops_back()));
    let ranging = outward.or(stacks.first()).ok_or(BindError::NotFound)?;
    let mut tried = binding.candidates(ranging).map(|port| bind_each(stacks, port, binding));
    tried.find(|bound| *bound != Err(BindError::AddressInUse)).unwrap_or(Err(BindError::AddressInUse))
}

fn bind_each(stacks: &[Stack], port: u16, binding: &impl Binding) -> Result<u16, BindError> {
    for (index, stack) in stacks.iter().enumerate() {
        if let Err(error) = binding.bind(stack, port) {
            stacks[..index].iter().for_each(|bound| binding.unbind(bound, port));
            return Err(error);
        }
    }
    Ok(port)
}

impl Wildcards {
    /// Binds the wildcard sockets of networks that have the new stack. `mount` makes the stack known, so that every
    /// socket is bound to it either here or in [`Serving::bind`].
    pub(crate) fn bind_on(&self, stack: &Stack, mount: impl FnOnce()) {
        let waiting: Vec<Arc<Served>> = {
            let wildcards = self.0.lock();
            mount();
            wildcards.iter().filter_map(|(_, served)| served.upgrade()).collect()
        };
        for served in waiting.iter().filter(|served| served.network.admits(stack)) {
            let mut stacks = served.stacks.write();
            // The socket is bound to the stack already, or was unbound meanwhile.
            if stacks.iter().any(|known| known.is(stack)) || served.place.lock().is_none() {
                continue;
            }
            match served.binding.bind(stack, served.local.port()) {
                Ok(()) => stacks.push(stack.clone()),
                // A socket of a different network has that port on an interface with that name.
                Err(error) => tracing::warn!(interface = %stack.name(), local = %served.local, %error, "not served"),
            }
        }
    }

    /// Removes an unmounted stack from all wildcard sockets.
    pub(crate) fn forget(&self, stack: &Stack) {
        let waiting: Vec<Arc<Served>> = self.0.lock().iter().filter_map(|(_, served)| served.upgrade()).collect();
        waiting.iter().for_each(|served| served.stacks.write().retain(|known| !known.is(stack)));
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        self.unbind();
    }
}

impl fmt::Debug for Serving {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Serving").field("local", &self.0.local).finish_non_exhaustive()
    }
}
