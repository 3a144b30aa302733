//! Which client has which address, or had it last (RFC 2131 section 3.1).

use core::net::Ipv4Addr;
use core::ops::RangeInclusive;
use std::collections::{BTreeMap, BTreeSet};

use super::message::Client;
use crate::address::MacAddress;
use crate::platform::Instant;

/// The most addresses that are known at a time. Beyond, those that nobody has any more are given to other clients,
/// though others of the pool were never used.
const MOST: usize = 4096;

/// What an address is to its client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    /// It was offered. It becomes `Leased` when the client requests it. It ends with its time, and when the client takes
    /// another server's offer.
    Offered,
    /// It is leased. It ends with its time, and when the client releases it.
    Leased,
    /// Somebody who has it in use was found by the client to which it was leased. No client has it.
    Declined,
    /// The client has another address instead.
    Former,
}

/// An address that a client has or had.
#[derive(Clone, Debug)]
struct Binding {
    client: Client,
    hardware: MacAddress,
    state: State,
    /// The end of the state. From then on nobody has the address, and its client gets it again if no other client got it
    /// before.
    until: Instant,
}

impl Binding {
    fn is_free(&self, now: Instant) -> bool {
        self.state == State::Former || self.until <= now
    }
}

/// The addresses of a pool.
///
/// An address that was once bound stays in the table, so that its last client gets it again. So the table grows to the
/// size of the pool, or [`MOST`].
#[derive(Debug)]
pub(super) struct Bindings {
    pool: RangeInclusive<Ipv4Addr>,
    reserved: BTreeSet<Ipv4Addr>,
    addresses: BTreeMap<Ipv4Addr, Binding>,
    clients: BTreeMap<Client, Ipv4Addr>,
    /// All addresses of the pool before this one are bound or reserved; `None` at the end of the pool.
    unused: Option<Ipv4Addr>,
}

impl Bindings {
    /// The pool without the addresses that are reserved.
    pub(super) fn new(pool: RangeInclusive<Ipv4Addr>, reserved: BTreeSet<Ipv4Addr>) -> Self {
        let unused = Some(*pool.start());
        Self { pool, reserved, addresses: BTreeMap::new(), clients: BTreeMap::new(), unused }
    }

    /// Leases an address no more. Returns false if a client has it.
    pub(super) fn reserve(&mut self, address: Ipv4Addr, now: Instant) -> bool {
        let is_free = self.addresses.get(&address).is_none_or(|binding| binding.is_free(now));
        if is_free {
            if let Some(former) = self.addresses.remove(&address)
                && self.of(&former.client) == Some(address)
            {
                self.clients.remove(&former.client);
            }
            self.reserved.insert(address);
        }
        is_free
    }

    /// The address that a client has, or had if no other client has got it since.
    pub(super) fn of(&self, client: &Client) -> Option<Ipv4Addr> {
        self.clients.get(client).copied()
    }

    /// As [`of`](Self::of), but only if the address was leased to the client, and not just offered.
    pub(super) fn lease_of(&self, client: &Client) -> Option<Ipv4Addr> {
        self.of(client).filter(|address| self.addresses.get(address).is_some_and(|it| it.state == State::Leased))
    }

    /// Whether an address may be leased at all.
    pub(super) fn is_in_pool(&self, address: Ipv4Addr) -> bool {
        self.pool.contains(&address) && !self.reserved.contains(&address)
    }

    /// Whether nobody has an address of the pool.
    pub(super) fn is_free(&self, address: Ipv4Addr, now: Instant) -> bool {
        let has_room = self.addresses.len() < MOST;
        self.is_in_pool(address) && self.addresses.get(&address).map_or(has_room, |binding| binding.is_free(now))
    }

    /// Whether a client may have an address: it is its own, or free.
    pub(super) fn is_for(&self, client: &Client, address: Ipv4Addr, now: Instant) -> bool {
        self.of(client) == Some(address) || self.is_free(address, now)
    }

    /// The state of the address of a client, if it has not ended.
    pub(super) fn state(&self, client: &Client, now: Instant) -> Option<State> {
        let binding = self.addresses.get(&self.of(client)?)?;
        (!binding.is_free(now)).then_some(binding.state)
    }

    /// The address for a client, in the order of RFC 2131 section 4.3.1: the one that it has or had, the one that it
    /// requests, one that was never used, and the one that has been free for the longest time.
    pub(super) fn choose(&mut self, client: &Client, requested: Option<Ipv4Addr>, now: Instant) -> Option<Ipv4Addr> {
        if let Some(address) = self.of(client) {
            return Some(address);
        }
        if let Some(address) = requested.filter(|requested| self.is_free(*requested, now)) {
            return Some(address);
        }
        if self.addresses.len() < MOST
            && let Some(address) = self.next_unused()
        {
            return Some(address);
        }
        let free = self.addresses.iter().filter(|(_, binding)| binding.is_free(now));
        free.min_by_key(|(_, binding)| binding.until).map(|(address, _)| *address)
    }

    /// The first address of the pool that was never used.
    fn next_unused(&mut self) -> Option<Ipv4Addr> {
        while let Some(address) = self.unused {
            if !self.reserved.contains(&address) && !self.addresses.contains_key(&address) {
                return Some(address);
            }
            let next = address.to_bits().checked_add(1).map(Ipv4Addr::from_bits);
            self.unused = next.filter(|next| self.pool.contains(next));
        }
        None
    }

    /// Gives an address that [is for](Self::is_for) a client to it.
    pub(super) fn bind(
        &mut self,
        client: &Client,
        hardware: MacAddress,
        address: Ipv4Addr,
        state: State,
        until: Instant,
    ) {
        let binding = Binding { client: client.clone(), hardware, state, until };
        // The former client may have another address by now.
        if let Some(former) = self.addresses.insert(address, binding)
            && self.of(&former.client) == Some(address)
        {
            self.clients.remove(&former.client);
        }
        // A client has one address: an earlier one is free for others.
        let earlier = self.clients.insert(client.clone(), address).filter(|earlier| *earlier != address);
        if let Some(earlier) = earlier.and_then(|earlier| self.addresses.get_mut(&earlier)) {
            earlier.state = State::Former;
        }
    }

    /// Frees the address of a client if it is in a state, and remembers it for the client.
    pub(super) fn free(&mut self, client: &Client, state: State, now: Instant) -> bool {
        let Some(binding) = self.of(client).and_then(|address| self.addresses.get_mut(&address)) else { return false };
        if binding.state != state || binding.is_free(now) {
            return false;
        }
        binding.until = now;
        true
    }

    /// Sets the address of a client aside, until a time.
    pub(super) fn decline(&mut self, client: &Client, address: Ipv4Addr, until: Instant) -> bool {
        if self.of(client) != Some(address) {
            return false;
        }
        self.clients.remove(client);
        if let Some(binding) = self.addresses.get_mut(&address) {
            (binding.state, binding.until) = (State::Declined, until);
        }
        true
    }

    /// The addresses that are leased: each with the hardware address of its client and the end of the lease.
    pub(super) fn leased(&self, now: Instant) -> impl Iterator<Item = (Ipv4Addr, MacAddress, Instant)> + '_ {
        let leased = self.addresses.iter().filter(move |(_, it)| it.state == State::Leased && !it.is_free(now));
        leased.map(|(address, binding)| (*address, binding.hardware, binding.until))
    }
}
