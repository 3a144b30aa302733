//! The network of a socket: the interfaces that it may use, and the choice of the interface and source address for a
//! packet.

use core::net::{IpAddr, SocketAddr};
use core::task::Waker;
use std::sync::Arc;

use parking_lot::RwLock;
use xila_network_commands::event::Change;

use super::dns::{MOST_DOMAINS, UnderWay};
use super::serving::Wildcards;
use crate::error::{BindError, ConnectError, Denied, InterfaceNotFound, SendError};
use crate::platform::Platform;
use crate::policy::{Audit, Counters, Guard, Operation, Policy, Rates, Request, Traffic};
use crate::stack::Stack;
use crate::stack::events::{Events, Watch};
use crate::stack::owner::Owner;
use crate::stack::settings::{Outlook, Reach};
use crate::waiters::Wakes;

/// The mounted stacks in the order of mounting, and what they share. A manager and its networks share one topology.
pub(crate) struct Topology {
    platform: Platform,
    stacks: RwLock<Vec<Stack>>,
    wildcards: Wildcards,
    events: Events,
    names: UnderWay,
    /// The secret key of IPv6 interface identifiers (RFC 7217).
    identifiers: [u8; 32],
}

impl Topology {
    pub(crate) fn new(platform: Platform) -> Self {
        let mut identifiers = [0; 32];
        platform.random.fill(&mut identifiers);
        Self {
            identifiers,
            platform,
            stacks: RwLock::default(),
            wildcards: Wildcards::default(),
            events: Events::default(),
            names: UnderWay::default(),
        }
    }

    pub(crate) fn add(&self, stack: &Stack) {
        self.wildcards.bind_on(stack, || self.stacks.write().push(stack.clone()));
        self.announce(stack.name(), Change::Mounted);
    }

    pub(crate) fn remove(&self, stack: &Stack) {
        self.stacks.write().retain(|known| !known.is(stack));
        self.wildcards.forget(stack);
        self.announce(stack.name(), Change::Unmounted);
    }

    /// The place where the stacks publish their changes.
    pub(crate) const fn events(&self) -> &Events {
        &self.events
    }

    /// The secret key of IPv6 interface identifiers. While a manager exists, an interface that is mounted again with
    /// the same hardware address gets the same identifiers.
    pub(crate) const fn identifiers(&self) -> [u8; 32] {
        self.identifiers
    }

    fn announce(&self, name: &str, change: Change) {
        let mut wakes = Wakes::new();
        self.events.publish(name, change, &mut wakes);
        wakes.into_iter().for_each(Waker::wake);
    }
}

/// The interfaces of a manager that a network has: those with the given names, or all if `None`.
pub(crate) type Scope = Option<Arc<[Arc<str>]>>;

/// What a guest may do, and who hears of it.
#[derive(Clone, Default)]
pub struct GuestOptions {
    /// The name of the guest in logs and in [denials](crate::policy::Denial).
    pub label: String,
    /// What the guest may do, of what the network allows that it is made from. `None` allows all of that.
    pub policy: Option<Policy>,
    /// The receiver of the policy's denials.
    pub audit: Option<Arc<dyn Audit>>,
    /// How much the guest may do in a second. Where this sets no limit, a limit of the network that it is made from
    /// holds for the guest, too.
    pub rates: Rates,
}

/// The set of interfaces that sockets are made on: all interfaces of a manager, or some of them by name.
///
/// A network is a live view: it follows as interfaces are mounted and unmounted, and so does a socket on it that is
/// bound to an unspecified address. It does not keep interfaces alive: they end with their [`Manager`](crate::Manager).
#[derive(Clone)]
pub struct Network {
    topology: Arc<Topology>,
    names: Scope,
    owner: Owner,
    /// The policy of the guest that uses this network. `None` allows everything, as for the host.
    guard: Option<Arc<Guard>>,
}

impl core::fmt::Debug for Network {
    fn fmt(&self, formatter: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        formatter.debug_struct("Network").field("interfaces", &self.interfaces()).finish()
    }
}

impl Network {
    pub(crate) const fn new(topology: Arc<Topology>, names: Scope) -> Self {
        Self { topology, names, owner: Owner::HOST, guard: None }
    }

    /// The same interfaces for a new guest, whom nothing restricts that does not restrict this network. As for
    /// [`for_guest_with`](Self::for_guest_with).
    #[must_use]
    pub fn for_guest(&self) -> Self {
        self.for_guest_with(GuestOptions::default())
    }

    /// The same interfaces for a new guest. On each interface, the sockets that are made on this network or a clone of
    /// it get together the same share of the link as every other guest and as the host, however many sockets there are
    /// and whatever they send. If this is the network of a guest itself, the new guest may do no more than that one.
    #[must_use]
    pub fn for_guest_with(&self, options: GuestOptions) -> Self {
        let GuestOptions { label, policy, audit, rates } = options;
        let owner = Owner::guest(rates.or(self.owner.rates()), &label);
        let clock = self.platform().clock.clone();
        let outer = self.guard.clone();
        let guard = match policy {
            Some(policy) => Some(Arc::new(Guard::new(policy, label, clock, audit).within(outer))),
            None => outer,
        };
        Self { owner, guard, ..self.clone() }
    }

    /// What the sockets of the guest have done so far, on this network and its clones. All zero for a network of the
    /// host.
    #[must_use]
    pub fn traffic(&self) -> Traffic {
        self.owner.counters().map_or_else(Traffic::default, Counters::read)
    }

    /// The same interfaces for the host, for work that the host does on behalf of guests.
    pub(crate) fn for_host(&self) -> Self {
        Self { owner: Owner::HOST, guard: None, ..self.clone() }
    }

    /// The number of denials by the policy so far.
    #[must_use]
    pub fn denials(&self) -> u64 {
        self.guard.as_ref().map_or(0, |guard| guard.denials())
    }

    /// The policy of the guest that uses this network, if it has one.
    pub(crate) const fn guard(&self) -> Option<&Arc<Guard>> {
        self.guard.as_ref()
    }

    /// Checks an operation; fails if the policy denies it.
    pub(crate) fn check(&self, request: &Request<'_>) -> Result<(), Denied> {
        self.guard.as_ref().map_or(Ok(()), |guard| guard.check(request))
    }

    /// Checks an operation at a local address, on the interface that has the address; fails if the policy denies it.
    pub(crate) fn check_at(&self, operation: Operation, local: SocketAddr) -> Result<(), Denied> {
        let Some(guard) = &self.guard else { return Ok(()) };
        let stacks = self.stacks();
        let home = if local.ip().is_unspecified() {
            stacks.first().filter(|_| stacks.len() == 1)
        } else {
            stacks.iter().find(|stack| stack.with(|core| core.interface.is_home_of(local.ip())))
        };
        let interface = home.map(|stack| &**stack.name());
        guard.check(&Request { interface, local: Some(local), ..Request::new(operation) })
    }

    /// Checks an operation that sends to a peer, on the interface of the route if there is one; fails if the policy
    /// denies it.
    pub(crate) fn check_to(
        &self,
        operation: Operation,
        route: Option<&(Stack, IpAddr)>,
        remote: SocketAddr,
    ) -> Result<(), Denied> {
        let Some(guard) = &self.guard else { return Ok(()) };
        let interface = route.map(|(stack, _)| &**stack.name());
        guard.check(&Request { interface, remote: Some(remote), ..Request::new(operation) })
    }

    /// Checks a datagram to a peer, by a route if there is one: as one to a multicast group, to a broadcast address or
    /// to one host. `is_broadcast` says whether the interface of the route has such a broadcast address. Fails if the
    /// policy denies it.
    pub(crate) fn check_datagram(
        &self,
        route: Option<&(Stack, IpAddr)>,
        is_broadcast: bool,
        remote: SocketAddr,
    ) -> Result<(), Denied> {
        let operation = match remote.ip() {
            address if address.is_multicast() => Operation::UdpMulticast,
            IpAddr::V4(address) if address.is_broadcast() => Operation::UdpBroadcast,
            _ if is_broadcast => Operation::UdpBroadcast,
            _ => Operation::UdpSend,
        };
        self.check_to(operation, route, remote)
    }

    /// Like [`check_datagram`](Self::check_datagram), for a socket that is about to be bound to an unspecified address.
    #[cfg(feature = "wasm")]
    pub(crate) fn check_first_datagram(&self, remote: SocketAddr) -> Result<(), Denied> {
        if self.guard.is_none() {
            return Ok(());
        }
        let route = self.route(None, remote.ip()).ok();
        let is_broadcast = |(stack, _): &(Stack, IpAddr)| stack.ask(|core| core.interface.is_broadcast(remote.ip()));
        self.check_datagram(route.as_ref(), route.as_ref().is_some_and(is_broadcast), remote)
    }

    /// The scope of the network.
    pub(crate) fn scope(&self) -> Scope {
        self.names.clone()
    }

    /// The DNS queries that are under way.
    pub(crate) fn under_way(&self) -> &UnderWay {
        &self.topology.names
    }

    /// The search domains for names without a final dot: those of [each interface](crate::Interface::search_domains),
    /// in the order in which the interfaces were mounted, without duplicates. At most eight are returned.
    #[must_use]
    pub fn search_domains(&self) -> Vec<String> {
        let mut domains: Vec<String> = Vec::new();
        for domain in self.stacks().iter().flat_map(|stack| stack.with(|core| core.interface.search_domains())) {
            if domains.len() < MOST_DOMAINS && !domains.contains(&domain) {
                domains.push(domain);
            }
        }
        domains
    }

    /// The owner of the sockets on this network.
    pub(crate) const fn owner(&self) -> &Owner {
        &self.owner
    }

    /// A number that changes with every change that may alter the route of a packet, or end what waits. It changes
    /// before the tasks that wait are woken.
    pub(crate) fn version(&self) -> u64 {
        self.topology.events.version()
    }

    /// The platform of the manager that this network belongs to.
    #[must_use]
    pub fn platform(&self) -> &Platform {
        &self.topology.platform
    }

    /// The names of the interfaces that are mounted now.
    #[must_use]
    pub fn interfaces(&self) -> Vec<String> {
        self.stacks().iter().map(|stack| stack.name().to_string()).collect()
    }

    /// The changes of these interfaces, from now on.
    #[must_use]
    pub fn watch(&self) -> Watch {
        self.topology.events.watch(self.names.clone())
    }

    /// Whether an interface with this name is mounted and belongs to the network.
    #[must_use]
    pub fn has(&self, name: &str) -> bool {
        self.stacks().iter().any(|stack| &**stack.name() == name)
    }

    /// A network of only one of this network's interfaces.
    ///
    /// # Errors
    /// [`InterfaceNotFound`] if this network has no interface with that name.
    pub fn interface(&self, name: &str) -> Result<Self, InterfaceNotFound> {
        let stack = self.stacks().into_iter().find(|stack| &**stack.name() == name).ok_or(InterfaceNotFound)?;
        Ok(Self { names: Some([stack.name().clone()].into()), ..self.clone() })
    }

    pub(crate) fn stacks(&self) -> Vec<Stack> {
        self.topology.stacks.read().iter().filter(|stack| self.admits(stack)).cloned().collect()
    }

    /// Whether a stack belongs to this network.
    pub(crate) fn admits(&self, stack: &Stack) -> bool {
        self.names.as_ref().is_none_or(|names| names.contains(stack.name()))
    }

    pub(crate) fn wildcards(&self) -> &Wildcards {
        &self.topology.wildcards
    }

    /// The stack and the source address for packets to `remote`.
    ///
    /// Addresses of this network's own interfaces are reached through the loopback, as on every host. Otherwise the
    /// longest prefix over all interfaces that are up decides, then the lowest metric, then the order of mounting. A
    /// multicast or broadcast address that no prefix covers leaves by the first interface that is not the loopback.
    ///
    /// # Errors
    /// See [`RouteError`].
    pub(crate) fn route(&self, local: Option<IpAddr>, remote: IpAddr) -> Result<(Stack, IpAddr), RouteError> {
        let stacks = self.stacks();
        if stacks.is_empty() {
            return Err(RouteError::NotFound);
        }
        // Each stack is locked once, and no two of them at the same time.
        let looks: Vec<(&Stack, Outlook)> =
            stacks.iter().map(|stack| (stack, stack.ask(|core| core.interface.outlook(local, remote)))).collect();
        if local.is_some() && !looks.iter().any(|(_, look)| look.has_local) {
            return Err(RouteError::AddressNotAvailable);
        }
        let loopback = looks.iter().find(|(_, look)| look.loops_back && look.is_up).map(|(stack, _)| *stack);
        let owner = looks.iter().find(|(_, look)| look.has_remote);
        if let Some(loopback) = loopback
            && (remote.is_loopback() || owner.is_some_and(|(_, look)| look.is_up))
        {
            return Ok((loopback.clone(), local.unwrap_or(remote)));
        }
        if !looks.iter().any(|(_, look)| look.is_up) {
            return Err(RouteError::NetworkDown);
        }
        if let Some(local) = local
            && local.is_loopback()
            && !remote.is_loopback()
            && owner.is_none()
        {
            self.owner.warn_of_loopback(local, remote);
            return Err(RouteError::BoundToLoopback);
        }
        // A local address is used on its own interface only, because the answers arrive there.
        let outward = || looks.iter().filter(|(_, look)| !look.loops_back && (local.is_none() || look.has_local));
        let mut best: Option<(Reach, &Stack)> = None;
        for (stack, look) in outward().filter(|(_, look)| look.is_up) {
            if let Some(reach) = look.reach
                && best.is_none_or(|(known, _)| reach > known)
            {
                best = Some((reach, stack));
            }
        }
        let to_many = remote.is_multicast() || matches!(remote, IpAddr::V4(v4) if v4.is_broadcast());
        let stack = match best {
            Some((_, stack)) => stack,
            None if to_many => {
                let of_family = |stack: &&Stack| stack.ask(|core| core.interface.source_address(remote).is_some());
                let mut up = outward().filter(|(_, look)| look.is_up).map(|(stack, _)| *stack);
                up.find(of_family).or(loopback).ok_or(RouteError::RemoteUnreachable)?
            }
            // An interface that is down would lead there.
            None if outward().any(|(_, look)| look.reach.is_some()) => return Err(RouteError::NetworkDown),
            None => return Err(RouteError::RemoteUnreachable),
        };
        let source = match local {
            Some(local) => local,
            None => stack.ask(|core| core.interface.source_address(remote)).ok_or(RouteError::RemoteUnreachable)?,
        };
        Ok((stack.clone(), source))
    }

    /// Like [`route`](Self::route), for an answer to `remote`: through the interface with the number `interface`, from
    /// the address `asked` that `remote` has sent to, so that the answer leaves the same way. `None` if that is not
    /// possible any more.
    pub(crate) fn way_back(&self, interface: u32, asked: Option<IpAddr>, remote: IpAddr) -> Option<(Stack, IpAddr)> {
        let stack = self.stacks().into_iter().find(|stack| stack.number() == interface)?;
        let source = stack.ask(|core| {
            let source = match asked {
                Some(asked) if core.interface.has_address(asked) || core.interface.loops_back() => asked,
                Some(_) | None => core.interface.source_address(remote)?,
            };
            (core.interface.is_up() && (core.interface.loops_back() || core.interface.leads_to(remote)))
                .then_some(source)
        })?;
        Some((stack, source))
    }

    /// The stacks that serve a socket bound to `address`. For the unspecified address these are all stacks of the
    /// network. For another address they are the interface that has the address and the loopback, where this host's own
    /// packets to it arrive.
    ///
    /// # Errors
    /// [`BindError::NotFound`]; [`BindError::AddressNotAvailable`].
    pub(crate) fn serving(&self, address: IpAddr) -> Result<Vec<Stack>, BindError> {
        let stacks = self.stacks();
        if stacks.is_empty() {
            return Err(BindError::NotFound);
        }
        if address.is_unspecified() {
            return Ok(stacks);
        }
        let serves = |stack: &Stack| stack.with(|core| core.interface.is_home_of(address));
        if !stacks.iter().any(serves) {
            return Err(BindError::AddressNotAvailable);
        }
        Ok(stacks.into_iter().filter(|stack| serves(stack) || stack.with(|core| core.interface.loops_back())).collect())
    }
}

/// The cause why there is no route to a remote.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RouteError {
    /// The network has no interface.
    NotFound,
    /// All interfaces are down, or those that have a route to the remote.
    NetworkDown,
    /// No interface has a route to the remote.
    RemoteUnreachable,
    /// No interface has the local address.
    AddressNotAvailable,
    /// The local address is one of the loopback, and the remote is not on this host.
    BoundToLoopback,
}

impl From<RouteError> for ConnectError {
    fn from(error: RouteError) -> Self {
        match error {
            RouteError::NotFound => Self::NotFound,
            RouteError::NetworkDown => Self::NetworkDown,
            RouteError::RemoteUnreachable => Self::RemoteUnreachable,
            RouteError::AddressNotAvailable => Self::AddressNotAvailable,
            RouteError::BoundToLoopback => Self::InvalidArgument,
        }
    }
}

impl From<RouteError> for SendError {
    fn from(error: RouteError) -> Self {
        match error {
            // The socket was made on interfaces, so those are gone now.
            RouteError::NotFound | RouteError::NetworkDown => Self::NetworkDown,
            RouteError::RemoteUnreachable => Self::RemoteUnreachable,
            RouteError::AddressNotAvailable => Self::AddressNotAvailable,
            RouteError::BoundToLoopback => Self::InvalidArgument,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::manager::Manager;
    use crate::platform::simulated::Simulation;

    #[test]
    fn the_loopback_is_the_home_of_every_loopback_address() {
        // An interface ends with its manager.
        let manager = Manager::new(Simulation::new(1).platform());
        let network = manager.network();
        for (address, is_served) in [("127.0.0.1", true), ("127.1.2.3", true), ("::1", true), ("10.0.0.1", false)] {
            let address: IpAddr = address.parse().unwrap();
            assert_eq!(network.serving(address).is_ok(), is_served, "{address}");
            assert_eq!(network.route(Some(address), address).is_ok(), is_served, "{address}");
        }
    }

    #[test]
    fn no_other_host_is_reached_from_a_loopback_address() {
        let manager = Manager::new(Simulation::new(1).platform());
        let network = manager.network();
        for (local, remote) in [("127.0.0.1", "192.0.2.1"), ("::1", "2001:db8::1")] {
            let route = network.route(Some(local.parse().unwrap()), remote.parse().unwrap());
            assert_eq!(route.map(drop), Err(RouteError::BoundToLoopback));
        }
    }

    #[test]
    fn an_unreachable_remote_is_an_error_of_connecting_and_of_sending() {
        for (cause, connecting, sending) in [
            (RouteError::NotFound, ConnectError::NotFound, SendError::NetworkDown),
            (RouteError::NetworkDown, ConnectError::NetworkDown, SendError::NetworkDown),
            (RouteError::RemoteUnreachable, ConnectError::RemoteUnreachable, SendError::RemoteUnreachable),
            (RouteError::AddressNotAvailable, ConnectError::AddressNotAvailable, SendError::AddressNotAvailable),
            (RouteError::BoundToLoopback, ConnectError::InvalidArgument, SendError::InvalidArgument),
        ] {
            assert_eq!((ConnectError::from(cause), SendError::from(cause)), (connecting, sending));
        }
    }
}
