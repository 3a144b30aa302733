//! The engine of an interface on its device, for as long as both are there.
//!
//! Nobody changes the engine but through [`engage`](Attachment::engage) and [`tend`](Attachment::tend), which see to it
//! that its panic ends this interface and nothing else. The engine is fed by strangers: a panic in it means that
//! something is not as it believes, so nothing of it is used any more. The interface is then as one that was unmounted,
//! its sockets fail with `NetworkDown`, and its name is free. Neither the runner nor the guest whose call happened to be
//! under way is ended by it. Where a program is built with `panic = "abort"`, there is nothing to be caught.

use std::panic::{AssertUnwindSafe, catch_unwind};

use xila_network_commands::event::Change;
use xila_network_commands::interface::{Link, State, Statistics};
use xila_network_engine::Engine;
use xila_network_engine::engine::Config;
use xila_network_engine::event::Event;
use xila_network_engine::random::Random;

use super::port::Port;
use crate::device::{Capabilities, Device, Frame};
use crate::error::NetworkDown;
use crate::platform::Instant;

/// An engine on its device.
pub(crate) struct Attachment {
    engine: Engine,
    /// The device; none once the interface is gone.
    port: Option<Port>,
    /// The device of an interface whose engine has panicked, until it is unmounted.
    failed: Option<Box<dyn Device>>,
    /// What makes an engine anew.
    config: Config,
    pub(super) capabilities: Capabilities,
    pub(super) state: State,
    /// The domains that somebody has said names are to be looked for in.
    pub(super) search_domains: Vec<String>,
    /// The device's link, when it was last looked at.
    pub(super) known_link: Link,
    /// The time of the present call.
    now: Instant,
    /// When the engine has something due, while that is known: to find it out, all of its parts are asked.
    next_timeout: Option<Option<Instant>>,
    /// What is counted here, and what an engine had counted that is gone.
    counted: Statistics,
    /// Changes that nobody was told of yet.
    changes: Vec<Change>,
    /// Everyone who waits is to look again.
    rouses: bool,
    /// A change has left something due that the loop does not know of.
    is_overdue: bool,
    /// The engine has panicked, and its sockets are still known.
    is_broken: bool,
}

/// What an operation comes to on an interface that is gone.
pub(super) trait WhenGone {
    fn when_gone() -> Self;
}

impl<T, E: From<NetworkDown>> WhenGone for Result<T, E> {
    fn when_gone() -> Self {
        Err(NetworkDown.into())
    }
}

impl<T> WhenGone for Option<T> {
    fn when_gone() -> Self {
        None
    }
}

impl WhenGone for () {
    fn when_gone() -> Self {}
}

impl WhenGone for bool {
    fn when_gone() -> Self {
        false
    }
}

impl Attachment {
    pub(super) fn new(port: Port, config: Config, random: Random, now: Instant) -> Self {
        let (capabilities, known_link) = (port.device.capabilities(), port.device.link());
        let mut engine = Engine::new(config.clone(), random);
        if known_link == Link::Down {
            engine.link_down(now);
        }
        Self {
            engine,
            port: Some(port),
            failed: None,
            config,
            capabilities,
            state: State::Up,
            search_domains: Vec::new(),
            known_link,
            now,
            next_timeout: None,
            counted: Statistics::default(),
            changes: Vec::new(),
            rouses: false,
            is_overdue: false,
            is_broken: false,
        }
    }

    /// The engine, to be looked at. Once the interface is gone it is what was left of it.
    pub(super) const fn engine(&self) -> &Engine {
        &self.engine
    }

    /// Lets the engine do something, with the device at hand.
    pub(super) fn engage<R: WhenGone>(&mut self, act: impl FnOnce(&mut Engine, &mut Port, Instant) -> R) -> R {
        let now = self.now;
        self.next_timeout = None;
        let Self { engine, port, .. } = self;
        let Some(port) = port else { return R::when_gone() };
        port.now = now;
        let done = catch_unwind(AssertUnwindSafe(|| act(engine, port, now)));
        self.unless_broken(done.ok())
    }

    /// As [`engage`](Self::engage) for what needs no device, also after the interface is gone.
    pub(super) fn tend<R: WhenGone>(&mut self, act: impl FnOnce(&mut Engine, Instant) -> R) -> R {
        self.next_timeout = None;
        let (now, engine) = (self.now, &mut self.engine);
        let done = catch_unwind(AssertUnwindSafe(|| act(engine, now)));
        self.unless_broken(done.ok())
    }

    /// Lets the engine do what has become due by a change.
    pub(super) fn act(&mut self) {
        self.engage(|engine, port, now| engine.act(now, port));
    }

    fn unless_broken<R: WhenGone>(&mut self, done: Option<R>) -> R {
        done.unwrap_or_else(|| {
            self.counted = self.statistics();
            self.failed = self.release().or(self.failed.take());
            // What is left of the old one is in no state to be asked.
            self.engine = Engine::new(self.config.clone(), self.engine.random().split());
            self.is_broken = true;
            R::when_gone()
        })
    }

    /// Whether the engine has panicked, and nobody was told yet.
    pub(super) const fn is_broken(&self) -> bool {
        self.is_broken
    }

    /// As [`is_broken`](Self::is_broken), and it is told now.
    pub(super) const fn take_broken(&mut self) -> bool {
        core::mem::replace(&mut self.is_broken, false)
    }

    /// When something is due, if nothing happens before; it may be too early.
    pub(super) fn next_timeout(&mut self) -> Option<Instant> {
        *self.next_timeout.get_or_insert_with(|| self.engine.next_timeout())
    }

    /// Whether something is to be sent that belongs to no socket in particular.
    pub(super) fn owes(&mut self) -> bool {
        self.engine.may_owe() && self.tend(|engine, _| engine.owes())
    }

    /// What happened in the engine and was not asked for yet, oldest first.
    pub(super) fn poll_event(&mut self) -> Option<Event> {
        self.engine.poll_event()
    }

    /// The random numbers of this stack.
    pub(super) const fn random(&mut self) -> &mut Random {
        self.engine.random()
    }

    /// A change is to be told, behind those that are.
    pub(super) fn note(&mut self, change: Change) {
        self.changes.push(change);
    }

    /// The changes that are to be told, beside those that the engine tells.
    pub(super) fn take_changes(&mut self) -> Vec<Change> {
        core::mem::take(&mut self.changes)
    }

    /// Everyone who waits is to look again.
    pub(super) const fn rouse(&mut self) {
        self.rouses = true;
    }

    /// Whether everyone who waits is to look again, since this was last asked.
    pub(super) const fn take_rouse(&mut self) -> bool {
        core::mem::replace(&mut self.rouses, false)
    }

    /// What a change has left due is done before the runner sleeps.
    pub(super) const fn be_overdue(&mut self) {
        self.is_overdue = true;
    }

    /// Whether a change has left something due, since this was last asked.
    pub(super) const fn take_overdue(&mut self) -> bool {
        core::mem::replace(&mut self.is_overdue, false)
    }

    /// The time of the present call.
    pub(super) const fn now(&self) -> Instant {
        self.now
    }

    /// Sets the time. Clocks are read before the lock is taken, so that whoever waits for it may bring the time of before: a
    /// peer would take that for an old segment's (RFC 7323 section 5).
    pub(super) fn advance(&mut self, now: Instant) {
        self.now = self.now.max(now);
    }
}

/// The device.
impl Attachment {
    /// Whether the interface was unmounted, or its engine has panicked.
    pub(super) const fn is_gone(&self) -> bool {
        self.port.is_none()
    }

    pub(super) const fn port(&self) -> Option<&Port> {
        self.port.as_ref()
    }

    pub(super) const fn port_mut(&mut self) -> Option<&mut Port> {
        self.port.as_mut()
    }

    /// The next frame that has arrived. What the device fails with is counted.
    pub(super) fn next_frame(&mut self) -> Option<Frame> {
        let port = self.port.as_mut()?;
        match port.device.receive(self.now) {
            Ok(frame) => {
                let frame = frame?;
                self.counted.received.packets += 1;
                self.counted.received.bytes += frame.len() as u64;
                Some(frame)
            }
            Err(error) => {
                self.counted.received.errors += 1;
                tracing::warn!(%error, "the device failed to receive");
                None
            }
        }
    }

    /// A frame was dropped that nobody has looked at.
    pub(super) const fn count_unread(&mut self) {
        self.counted.received.dropped += 1;
    }

    /// A datagram or a message was dropped on its way to a socket, or from one.
    pub(super) const fn count_dropped_datagram(&mut self) {
        self.counted.datagram_drops += 1;
    }

    /// All bytes that have left so far.
    pub(super) fn sent_bytes(&self) -> u64 {
        self.port.as_ref().map_or(0, |port| port.sent.bytes)
    }

    /// All packets that have left so far.
    pub(super) fn sent_packets(&self) -> u64 {
        self.port.as_ref().map_or(0, |port| port.sent.packets)
    }

    /// What was counted, but for the sockets of ICMP.
    pub(super) fn statistics(&self) -> Statistics {
        let mut statistics = self.counted;
        // What an interface that is gone has counted stays.
        if let Some(port) = &self.port {
            statistics.sent = port.sent;
            let (interface, engine) = (self.engine.interface().counters(), self.engine.counters());
            statistics.received.dropped += engine.dropped;
            statistics.datagram_drops += interface.dropped;
            statistics.replies_suppressed += interface.suppressed;
            super::tcp::count(self.engine.tcp(), &mut statistics);
        }
        statistics.udp_sockets = self.engine.udp().len() as u64;
        statistics
    }

    /// Ends the interface: what was lent is given back (RFC 2131 section 4.4.6), what it has to say before it goes leaves,
    /// and the device is returned, be it that of an engine that has panicked.
    pub(super) fn detach(&mut self) -> Option<Box<dyn Device>> {
        self.engage(|engine, port, now| engine.set_dhcp(false, now, port));
        self.act();
        self.counted = self.statistics();
        self.release().or_else(|| self.failed.take())
    }

    /// Takes the device out. Whoever has it next may know of no offloads.
    fn release(&mut self) -> Option<Box<dyn Device>> {
        let mut port = self.port.take()?;
        port.device.set_offloads(false);
        Some(port.device)
    }

    /// Panics as a defect of the engine would.
    #[cfg(test)]
    pub(super) fn panic(&mut self) {
        self.engage(|_, _, _| -> () { panic!("as the test demands") });
    }
}

#[cfg(test)]
mod tests;
