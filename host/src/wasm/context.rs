//! The context of a guest, in its store: what it may use and what it holds.

use std::fmt;
use std::sync::{Arc, OnceLock};

use wasmtime::component::{HasData, ResourceTable};
use xila_network_commands::{CommandId, Direction};

use crate::control::command_word;
use crate::error::{Error, Result};
use crate::interface::Interface;
use crate::manager::Manager;
use crate::platform::{Access, Clock};
use crate::policy::{Audit, Limits, Operation, Policy, Quota, Request, Traffic};
use crate::socket::{GuestOptions, Network, Resolver, ResolverOptions};

/// What one guest may use, and the account of what it holds.
///
/// It may use nothing until it is given a network.
#[derive(Clone)]
pub struct NetworkCtx {
    network: Option<Network>,
    clock: Option<Arc<dyn Clock>>,
    control: Option<Control>,
    quota: Quota,
    _presence: Arc<Presence>,
    search: Vec<String>,
    /// Made at the guest's first name query, and shared by all its queries.
    resolver: Arc<OnceLock<Resolver>>,
}

/// Shared by all clones of a guest's context: when the last one is dropped, the quota is closed.
#[derive(Debug)]
struct Presence(Quota);

impl Drop for Presence {
    fn drop(&mut self) {
        self.0.close();
    }
}

/// The manager whose interfaces a guest may control, and the guest's rights.
#[derive(Clone, Debug)]
struct Control {
    manager: Manager,
    access: Access,
}

impl NetworkCtx {
    /// A builder without a network, with the default [`Limits`] and without rights to control interfaces.
    pub fn builder() -> NetworkCtxBuilder {
        NetworkCtxBuilder::default()
    }

    /// The account of what the guest holds.
    pub fn quota(&self) -> &Quota {
        &self.quota
    }

    /// The whole network that the guest may use.
    fn all(&self) -> Result<&Network> {
        self.network.as_ref().ok_or(Error::NotFound)
    }

    /// The network to create a socket on: the whole network that the guest may use, or one interface of it.
    pub(crate) fn network(&self, interface: Option<&str>) -> Result<Network> {
        let network = self.all()?;
        match interface {
            None => Ok(network.clone()),
            Some(name) => Ok(network.interface(name)?),
        }
    }

    /// The clock by which the guest waits.
    ///
    /// # Errors
    /// If the host has given the guest neither a network nor a clock, and calls it outside of a tokio runtime.
    pub(crate) fn clock(&self) -> wasmtime::Result<Arc<dyn Clock>> {
        let clock = self.clock.clone().or_else(ambient_clock);
        clock.ok_or_else(|| wasmtime::format_err!("this guest's context has no clock: see NetworkCtxBuilder::clock"))
    }

    /// The resolver of the guest.
    pub(crate) fn resolver(&self) -> Result<Resolver> {
        let network = self.all()?;
        let options = || ResolverOptions { search: self.search.clone(), ..ResolverOptions::default() };
        let make = || Resolver::for_guest(network.clone(), options(), self.quota.memory());
        Ok(self.resolver.get_or_init(make).clone())
    }

    /// The rights of the guest to control its interfaces.
    ///
    /// # Errors
    /// [`Error::AccessDenied`] if it has none.
    pub(crate) fn rights(&self) -> Result<Access> {
        let rights = self.control.as_ref().map_or(Access::default(), |control| control.access);
        if rights.read || rights.write { Ok(rights) } else { Err(Error::AccessDenied) }
    }

    /// Checks a command for an interface; fails if the guest's policy denies it.
    pub(crate) fn check_command(&self, interface: &str, command: CommandId) -> Result<()> {
        let network = self.all()?;
        if network.guard().is_none() {
            return Ok(());
        }
        let operation = match command.direction() {
            Some(Direction::Get) => Operation::ControlRead,
            Some(Direction::Set) | None => Operation::ControlWrite,
        };
        let command = command_word(command);
        Ok(network.check(&Request {
            interface: Some(interface),
            command: Some(&command),
            ..Request::new(operation)
        })?)
    }

    /// Checks that the guest may read about all of its interfaces at once, by `list` or `watch`; fails if the guest's
    /// policy denies it. A guest without a network has no policy.
    pub(crate) fn check_command_for_all(&self, command: &str) -> Result<()> {
        let Some(network) = &self.network else { return Ok(()) };
        Ok(network.check(&Request { command: Some(command), ..Request::new(Operation::ControlRead) })?)
    }

    /// The number of denials by the guest's policy so far.
    pub fn denials(&self) -> u64 {
        self.network.as_ref().map_or(0, Network::denials)
    }

    /// What the guest's sockets have done so far.
    pub fn traffic(&self) -> Traffic {
        self.network.as_ref().map_or_else(Traffic::default, Network::traffic)
    }

    /// Checks that the guest has the rights `access` to control its interfaces.
    pub(crate) fn check(&self, access: Access) -> Result<()> {
        if access.is_within(self.rights()?) { Ok(()) } else { Err(Error::AccessDenied) }
    }

    /// The names of the interfaces that the guest may use, in the order of mounting. Empty without a network.
    pub(crate) fn interfaces(&self) -> Vec<String> {
        self.network.as_ref().map_or_else(Vec::new, Network::interfaces)
    }

    /// The manager of the interface with this name, if the guest may use that interface.
    ///
    /// # Errors
    /// [`Error::NotFound`] if the guest may not use it or it does not exist; [`Error::AccessDenied`] if the guest may
    /// not control any interface.
    pub(crate) fn manager_of(&self, interface: &str) -> Result<&Manager> {
        let control = self.control.as_ref().ok_or(Error::AccessDenied)?;
        if self.all()?.has(interface) { Ok(&control.manager) } else { Err(Error::NotFound) }
    }

    /// The interface with this name, if the guest may use it. Errors as for [`manager_of`](Self::manager_of).
    pub(crate) fn interface(&self, name: &str) -> Result<Interface> {
        Ok(self.manager_of(name)?.interface(name)?)
    }
}

impl fmt::Debug for NetworkCtx {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { network, control, quota, search, .. } = self;
        let mut debug = formatter.debug_struct("NetworkCtx");
        debug.field("network", network).field("control", control).field("quota", quota).field("search", search);
        debug.finish_non_exhaustive()
    }
}

impl fmt::Debug for NetworkCtxBuilder {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { network, clock: _, control, limits, search, policy, label, audit: _ } = self;
        let mut debug = formatter.debug_struct("NetworkCtxBuilder");
        debug.field("network", network).field("control", control).field("limits", limits).field("search", search);
        debug.field("policy", policy).field("label", label);
        debug.finish_non_exhaustive()
    }
}

/// The clock of the tokio runtime that this is called in.
#[cfg(feature = "tokio")]
fn ambient_clock() -> Option<Arc<dyn Clock>> {
    let runtime = tokio::runtime::Handle::try_current().ok()?;
    Some(crate::platform::tokio::platform_on(runtime).clock)
}

/// Without tokio there is no ambient clock.
#[cfg(not(feature = "tokio"))]
fn ambient_clock() -> Option<Arc<dyn Clock>> {
    None
}

/// Builds a [`NetworkCtx`].
#[derive(Clone, Default)]
pub struct NetworkCtxBuilder {
    network: Option<Network>,
    clock: Option<Arc<dyn Clock>>,
    control: Option<Control>,
    limits: Limits,
    search: Vec<String>,
    policy: Option<Policy>,
    label: String,
    audit: Option<Arc<dyn Audit>>,
}

impl NetworkCtxBuilder {
    /// Lets the guest use the interfaces of `network`. A later call replaces it.
    #[must_use]
    pub fn network(mut self, network: Network) -> Self {
        self.network = Some(network);
        self
    }

    /// Lets the guest read the state of the interfaces of its [network](Self::network) (`read`), change them (`write`),
    /// or both, but no other interfaces. `manager` must be the manager of that network. Without this call, every
    /// function of the WIT interface `control` fails with `access-denied`. A later call replaces it.
    ///
    /// A guest with the right to write can disconnect, readdress and eavesdrop on all others that share the interfaces
    /// with it.
    #[must_use]
    pub fn control(mut self, manager: &Manager, access: Access) -> Self {
        self.control = Some(Control { manager: manager.clone(), access });
        self
    }

    /// The search domains for names without a final dot, in this order, before those of the interfaces. None by
    /// default.
    #[must_use]
    pub fn search_domains(mut self, domains: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.search = domains.into_iter().map(Into::into).collect();
        self
    }

    /// The clock by which a program waits, in place of the clock of its [network](Self::network)'s platform. Without
    /// either, it waits by the clock of the tokio runtime in which it runs. A later call replaces it.
    #[must_use]
    pub fn clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = Some(clock);
        self
    }

    /// Restricts what the guest may do on its [network](Self::network) to what `policy` allows. Without this call the
    /// guest may use those interfaces without restriction. A later call replaces it.
    ///
    /// The policy restricts [`control`](Self::control) too, but does not grant it.
    #[must_use]
    pub fn policy(mut self, policy: Policy) -> Self {
        self.policy = Some(policy);
        self
    }

    /// Sets the name of the guest in logs and in [denials](crate::policy::Denial). Empty by default.
    #[must_use]
    pub fn label(mut self, label: impl Into<String>) -> Self {
        self.label = label.into();
        self
    }

    /// Sets the receiver of the [policy](Self::policy)'s denials. A later call replaces it.
    #[must_use]
    pub fn audit(mut self, audit: impl Audit + 'static) -> Self {
        self.audit = Some(Arc::new(audit));
        self
    }

    /// The limits of what the guest may hold at once, and of how much it may do in a second.
    #[must_use]
    pub fn limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// Builds the context.
    #[must_use]
    pub fn build(self) -> NetworkCtx {
        let Self { network, clock, control, limits, search, policy, label, audit } = self;
        let clock = clock.or_else(|| Some(network.as_ref()?.platform().clock.clone()));
        // The guest gets its own share of each link, even if others were given the same network.
        let guest = GuestOptions { label, policy, audit, rates: limits.rates };
        let network = network.map(|network| network.for_guest_with(guest));
        let quota = Quota::new(limits);
        let presence = Arc::new(Presence(quota.clone()));
        NetworkCtx { network, clock, control, quota, _presence: presence, search, resolver: Arc::default() }
    }
}

/// A store's context and table, borrowed for one host call.
#[derive(Debug)]
pub struct NetworkCtxView<'a> {
    /// The context of the guest.
    pub ctx: &'a mut NetworkCtx,
    /// The table of the guest's resources.
    pub table: &'a mut ResourceTable,
}

/// Implemented by the data of a store whose guest uses `xila:network`.
pub trait NetworkView: Send + 'static {
    /// Returns the context and the table.
    fn network(&mut self) -> NetworkCtxView<'_>;
}

impl<T: ?Sized + NetworkView> NetworkView for Box<T> {
    fn network(&mut self) -> NetworkCtxView<'_> {
        T::network(self)
    }
}

/// The marker type that tells the bindings that host functions work on a [`NetworkCtxView`].
#[derive(Debug)]
pub struct HasNetwork;

impl HasData for HasNetwork {
    type Data<'a> = NetworkCtxView<'a>;
}
