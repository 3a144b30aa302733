//! The engine of an interface together with its device, while the interface is mounted.
//!
//! The engine is changed only through [`engage`](Attachment::engage) and [`tend`](Attachment::tend), which contain a
//! panic of the engine: it ends this interface and nothing else. The engine handles input from untrusted hosts, and
//! after a panic its state may be inconsistent, so it is not used any more. The interface is then like an unmounted
//! one: its sockets fail with `NetworkDown`, and its name is free. Neither the runner nor the guest whose call was
//! under way is ended. In a program built with `panic = "abort"` nothing can be contained.

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

/// An engine with its device.
pub(crate) struct Attachment {
    engine: Engine,
    /// The device; `None` once the interface is gone.
    port: Option<Port>,
    /// The device of an interface whose engine has panicked, until it is unmounted.
    failed: Option<Box<dyn Device>>,
    /// The configuration, for a new engine after a panic.
    config: Config,
    pub(super) capabilities: Capabilities,
    pub(super) state: State,
    /// The search domains that the user has set.
    pub(super) search_domains: Vec<String>,
    /// The state of the device's link when it was last read.
    pub(super) known_link: Link,
    /// The time of the present call.
    now: Instant,
    /// The engine's next timeout, cached because finding it means asking all parts of the engine. `None` if it must be
    /// asked for.
    next_timeout: Option<Option<Instant>>,
    /// What is counted here. Once the interface is gone, also the last counters of its engine.
    counted: Statistics,
    /// Changes that are not published yet.
    changes: Vec<Change>,
    /// Whether all waiting tasks must be woken.
    wakes_all: bool,
    /// A change has left work that the loop does not know of.
    needs_drive: bool,
    /// The engine has panicked, and this was not handled yet: its sockets are still known.
    is_broken: bool,
}

/// An amount of traffic on the link.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct OnLink {
    pub(super) bytes: u64,
    /// A large frame makes several packets.
    pub(super) packets: u64,
}

/// The result of an operation on an interface that is gone.
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
            wakes_all: false,
            needs_drive: false,
            is_broken: false,
        }
    }

    /// The engine, for reading. Once the interface is gone: its last state, or a new engine after a panic.
    pub(super) const fn engine(&self) -> &Engine {
        &self.engine
    }

    /// Runs an operation of the engine that may use the device.
    pub(super) fn engage<R: WhenGone>(&mut self, act: impl FnOnce(&mut Engine, &mut Port, Instant) -> R) -> R {
        let now = self.now;
        self.next_timeout = None;
        let Self { engine, port, .. } = self;
        let Some(port) = port else { return R::when_gone() };
        port.now = now;
        let done = catch_unwind(AssertUnwindSafe(|| act(engine, port, now)));
        self.contain_panic(done.ok())
    }

    /// Like [`engage`](Self::engage), for operations that need no device. They are run after the interface is gone,
    /// too.
    pub(super) fn tend<R: WhenGone>(&mut self, act: impl FnOnce(&mut Engine, Instant) -> R) -> R {
        self.next_timeout = None;
        let (now, engine) = (self.now, &mut self.engine);
        let done = catch_unwind(AssertUnwindSafe(|| act(engine, now)));
        self.contain_panic(done.ok())
    }

    /// Lets the engine do the work that a change has made due.
    pub(super) fn act(&mut self) {
        self.engage(|engine, port, now| engine.act(now, port));
    }

    fn contain_panic<R: WhenGone>(&mut self, done: Option<R>) -> R {
        done.unwrap_or_else(|| {
            self.counted = self.statistics();
            self.failed = self.release().or(self.failed.take());
            // The state of the old engine may be inconsistent.
            self.engine = Engine::new(self.config.clone(), self.engine.random().split());
            self.is_broken = true;
            R::when_gone()
        })
    }

    /// Whether the engine has panicked, and this was not handled yet.
    pub(super) const fn is_broken(&self) -> bool {
        self.is_broken
    }

    /// Like [`is_broken`](Self::is_broken), and clears the flag: the caller handles it.
    pub(super) const fn take_broken(&mut self) -> bool {
        core::mem::replace(&mut self.is_broken, false)
    }

    /// The time of the next timer, if nothing happens before. The timer may be found not to be due then.
    pub(super) fn next_timeout(&mut self) -> Option<Instant> {
        *self.next_timeout.get_or_insert_with(|| self.engine.next_timeout())
    }

    /// Whether the engine has packets to send that belong to no socket.
    pub(super) fn has_packets_to_send(&mut self) -> bool {
        self.engine.may_owe() && self.tend(|engine, _| engine.owes())
    }

    /// The oldest event of the engine that was not taken yet.
    pub(super) fn poll_event(&mut self) -> Option<Event> {
        self.engine.poll_event()
    }

    /// The random number generator of this stack.
    pub(super) const fn random(&mut self) -> &mut Random {
        self.engine.random()
    }

    /// Queues a change to be published.
    pub(super) fn note(&mut self, change: Change) {
        self.changes.push(change);
    }

    /// Takes the changes to be published, other than those that the engine reports.
    pub(super) fn take_changes(&mut self) -> Vec<Change> {
        core::mem::take(&mut self.changes)
    }

    /// Requests that all waiting tasks are woken.
    pub(super) const fn request_wake_all(&mut self) {
        self.wakes_all = true;
    }

    /// Whether all waiting tasks must be woken; clears the flag.
    pub(super) const fn take_wake_all(&mut self) -> bool {
        core::mem::replace(&mut self.wakes_all, false)
    }

    /// Makes the loop run once more before the runner sleeps, because a change has left work.
    pub(super) const fn request_drive(&mut self) {
        self.needs_drive = true;
    }

    /// Whether a change has left work; clears the flag.
    pub(super) const fn take_drive_request(&mut self) -> bool {
        core::mem::replace(&mut self.needs_drive, false)
    }

    /// The time of the present call.
    pub(super) const fn now(&self) -> Instant {
        self.now
    }

    /// Sets the time, which never goes back. Threads read the clock before they take the lock, so a thread that waited
    /// for the lock may bring an earlier time. The peer would take its timestamp for that of an old segment (RFC 7323
    /// section 5).
    pub(super) fn advance(&mut self, now: Instant) {
        self.now = self.now.max(now);
    }
}

/// Access to the device.
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

    /// Receives the next frame. Errors of the device are counted.
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

    /// Counts a received frame that was dropped unread.
    pub(super) const fn count_unread(&mut self) {
        self.counted.received.dropped += 1;
    }

    /// Counts a datagram or ICMP message that was dropped on its way to or from a socket.
    pub(super) const fn count_dropped_datagram(&mut self) {
        self.counted.datagram_drops += 1;
    }

    /// The number of packets sent so far.
    pub(super) fn sent_packets(&self) -> u64 {
        self.port.as_ref().map_or(0, |port| port.sent.packets)
    }

    /// What was put on the link so far.
    pub(super) fn on_link(&self) -> OnLink {
        self.port
            .as_ref()
            .map_or_else(OnLink::default, |port| OnLink { bytes: port.sent.bytes, packets: port.packets_on_link })
    }

    /// What was put on the link since then.
    pub(super) fn on_link_since(&self, before: OnLink) -> OnLink {
        let OnLink { bytes, packets } = self.on_link();
        OnLink { bytes: bytes.saturating_sub(before.bytes), packets: packets.saturating_sub(before.packets) }
    }

    /// The counters, without the number of ICMP sockets.
    pub(super) fn statistics(&self) -> Statistics {
        let mut statistics = self.counted;
        // The counters of an interface that is gone do not change.
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

    /// Ends the interface: releases the DHCP lease (RFC 2131 section 4.4.6), sends what is due before the end, and
    /// returns the device, also that of an engine that has panicked.
    pub(super) fn detach(&mut self) -> Option<Box<dyn Device>> {
        self.engage(|engine, port, now| engine.set_dhcp(false, now, port));
        self.act();
        self.counted = self.statistics();
        self.release().or_else(|| self.failed.take())
    }

    /// Takes the device out and switches its offloads off: its next user may not know of them.
    fn release(&mut self) -> Option<Box<dyn Device>> {
        let mut port = self.port.take()?;
        port.device.set_offloads(false);
        Some(port.device)
    }

    /// Panics inside the engine's call, as a defect of the engine would.
    #[cfg(test)]
    pub(super) fn panic(&mut self) {
        self.engage(|_, _, _| -> () { panic!("as the test demands") });
    }
}

#[cfg(test)]
mod tests;
