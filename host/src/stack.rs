//! The stack of one interface: the TCP/IP engine, its device, and the tasks that wait for either.
//!
//! A [`Stack`] is a cheap handle to a [`Core`], which is behind one short synchronous lock that is never held across an
//! `.await`. An operation that leaves something to send drives the stack at once, within a budget, before it releases
//! the lock; the [runner](crate::runner) does the rest. Wakers are collected under the lock and woken after it is
//! released.
//!
//! TCP/IP itself is in [`xila_network_engine`]; each stack has one [`Engine`]. The modules here are the parts that the
//! engine knows nothing of:
//!
//! | Module | Contents |
//! |---|---|
//! | `attachment`, `port` | the engine together with its device, and the handling of an engine that panics |
//! | `settings` | the settings of the interface, and its state as shown to callers |
//! | `identity`, `keeper` | what is remembered of the interface from run to run, and the record that stores it |
//! | `drive`, `schedule` | the loop: receive frames, send frames, run timers; the fair queue of senders |
//! | `lock` | the lock of the stack, which threads take in turns |
//! | `tell`, `notices`, `events` | the engine's events, and how they reach waiting tasks, mailboxes and watchers |
//! | `tcp`, `backlog` | the tasks that wait for connections and their data, and the backlogs of listeners |
//! | `udp`, `icmp`, `mailboxes` | the mailboxes of sockets; datagrams that wait for their turn to be sent |
//! | `ports`, `options`, `owner` | ephemeral ports, options and owners of sockets |
//!
//! Each of `tcp`, `udp` and `icmp` has a table and an `Operations` type, which borrows only the parts of the core that
//! its operations touch.

pub(crate) mod attachment;
pub(crate) mod backlog;
mod drive;
pub(crate) mod events;
pub(crate) mod icmp;
mod identity;
mod keeper;
mod lock;
mod mailboxes;
mod notices;
pub(crate) mod options;
pub(crate) mod owner;
mod port;
pub(crate) mod ports;
mod schedule;
pub(crate) mod settings;
pub(crate) mod tcp;
mod tell;
pub(crate) mod udp;

use core::ops::RangeInclusive;
use core::sync::atomic::{AtomicU32, Ordering};
use core::task::{Context, Waker};
use core::time::Duration;
use std::sync::Arc;

use parking_lot::{Mutex, MutexGuard};
use smoltcp::wire::EthernetAddress;
use xila_network_commands::interface::Statistics;
use xila_network_engine::engine::Config;
use xila_network_engine::interface;
use xila_network_engine::ports::PortLimits;
use xila_network_engine::random::Random;
use xila_network_engine::tcp::{Algorithm, Config as TcpConfig, Link as TcpLink};
use xila_network_engine::udp::Limits;
use xila_network_engine::wire::IPV6_LEAST_MTU;

use crate::address::MacAddress;
use crate::device::{Capabilities, Checksums, Device, Medium, Pool};
use crate::error::{ConfigureError, MountError};
use crate::platform::{Clock, Instant, Platform};
use crate::waiters::Wakes;
use attachment::Attachment;
use drive::Pace;
use events::Events;
use keeper::Keeper;
use lock::TurnLock;
use notices::Notices;
use port::Port;

/// A handle to a stack. Clones refer to the same stack.
#[derive(Clone)]
pub(crate) struct Stack(Arc<Shared>);

struct Shared {
    name: Arc<str>,
    /// A number that no other stack has: the zone of link-local addresses (RFC 4007 section 11).
    number: u32,
    clock: Arc<dyn Clock>,
    core: TurnLock<Core>,
    /// Wakes the runner. Never held together with `core`.
    runner: Mutex<Option<Waker>>,
    /// The record of the interface, while it is mounted. Access to it may wait for a disk. Lock order: `core` may be
    /// locked briefly while this is locked, never the other way round.
    keeper: Mutex<Option<Keeper>>,
}

/// The initial settings of a stack.
pub(crate) struct StackConfig<'a> {
    pub(crate) name: &'a str,
    /// `None`: the remembered address, or a random one if none is remembered.
    pub(crate) hardware_address: Option<MacAddress>,
    pub(crate) ephemeral: RangeInclusive<u16>,
    pub(crate) congestion: Option<Algorithm>,
    /// Whether the interface is remembered from run to run, if the platform has a memory.
    pub(crate) remembered: bool,
    /// The secret key of IPv6 interface identifiers (RFC 7217), if none is remembered.
    pub(crate) secret: [u8; 32],
}

/// The parts of a stack, under its lock.
pub(crate) struct Core {
    pub(crate) interface: Attachment,
    tcp: tcp::Table,
    udp: udp::Table,
    icmp: icmp::Table,
    pace: Pace,
    notices: Notices,
    ephemeral: RangeInclusive<u16>,
}

/// The number of frames that a call handles before it leaves the rest to the runner.
const CALLER_BUDGET: usize = 256;
/// The number of frames that the runner handles before it lets other tasks run.
const RUNNER_BUDGET: usize = 512;
/// The duration of TIME-WAIT: twice a maximum segment lifetime of 5 s, since the links of these stacks are short.
const TIME_WAIT: Duration = Duration::from_secs(10);
/// The maximum number of half-open connections on one stack, over all its listeners. Beyond it SYNs are answered with
/// cookies.
const MOST_HALF_OPEN: usize = 256;

impl Stack {
    /// Makes a stack on a device. Nothing runs until the runner polls it.
    pub(crate) fn new(
        device: Box<dyn Device>,
        begin: StackConfig<'_>,
        platform: &Platform,
        events: Events,
    ) -> Result<Self, MountError> {
        static NEXT: AtomicU32 = AtomicU32::new(1);
        let StackConfig { name, hardware_address, ephemeral, congestion, remembered, secret } = begin;
        let capabilities = device.capabilities();
        if !(IPV6_LEAST_MTU..=65535).contains(&capabilities.mtu) {
            let reason = format!("an IP MTU of {} is outside 1280 to 65535", capabilities.mtu);
            return Err(MountError::FailedToMountDevice(reason));
        }
        let mut keeper = None;
        let hardware_address = match (capabilities.medium, hardware_address) {
            (Medium::Ip, None) => None,
            (Medium::Ip, Some(_)) => return Err(ConfigureError::NotSupported.into()),
            (Medium::Ethernet, set) => {
                keeper = remembered.then(|| Keeper::open(platform, name, secret)).flatten();
                Some(set.unwrap_or_else(|| match &mut keeper {
                    Some(keeper) => keeper.hardware_address(|| platform.random_hardware_address()),
                    None => platform.random_hardware_address(),
                }))
            }
        };
        let hardware = hardware_address.map(|address| EthernetAddress(address.octets()));
        let now = platform.clock.now();
        let port = Port::new(device, now);
        let config = config(&capabilities, &port, hardware, &ephemeral, congestion);
        let mut seed = [0; 32];
        platform.random.fill(&mut seed);
        let tcp = tcp::Table::new(config.tcp.memory.clone());
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let mut interface = Attachment::new(port, config, Random::new(seed), now);
        interface.set_identifier_secret(keeper.as_ref().map_or(secret, Keeper::secret));
        if let (Some(keeper), Some(hardware_address)) = (&mut keeper, hardware_address) {
            interface.remember_lease(keeper.lease_of(hardware_address));
            keeper.store();
        }
        Ok(Self(Arc::new_cyclic(|me| Shared {
            name: name.into(),
            number,
            clock: platform.clock.clone(),
            runner: Mutex::new(None),
            keeper: Mutex::new(keeper),
            core: TurnLock::new(Core {
                interface,
                tcp,
                udp: udp::Table::new(number),
                icmp: icmp::Table::default(),
                pace: Pace::new(),
                notices: Notices::new(events, me.clone()),
                ephemeral,
            }),
        })))
    }

    pub(crate) fn name(&self) -> &Arc<str> {
        &self.0.name
    }

    /// A number that no other stack has.
    pub(crate) fn number(&self) -> u32 {
        self.0.number
    }

    /// The clock of the platform.
    #[cfg(feature = "gateway")]
    pub(crate) fn clock(&self) -> &dyn Clock {
        &*self.0.clock
    }

    /// Whether both handles are the same stack.
    pub(crate) fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    /// Reads the present state of the stack.
    pub(crate) fn with<R>(&self, look: impl FnOnce(&Core) -> R) -> R {
        self.ask(|core| look(core))
    }

    /// Reads the state of the stack and may register wakers that wait for a change. It must leave nothing to send,
    /// because the stack is not driven.
    pub(crate) fn ask<R>(&self, ask: impl FnOnce(&mut Core) -> R) -> R {
        let now = self.0.clock.now();
        let mut core = self.0.core.lock();
        core.interface.advance(now);
        let answer = ask(&mut core);
        // If the engine panicked, waiting tasks must be told, so finish as after a change.
        if core.interface.is_broken() { self.finish(core, now, |_| answer) } else { answer }
    }

    /// Runs an operation that leaves nothing to send if it fails. After a failure the stack is not driven: that is most
    /// of the cost of an attempt that comes too early.
    ///
    /// # Errors
    /// The errors of `operation`.
    pub(crate) fn attempt<R, E>(&self, operation: impl FnOnce(&mut Core) -> Result<R, E>) -> Result<R, E> {
        let now = self.0.clock.now();
        let mut core = self.0.core.lock();
        core.interface.advance(now);
        let done = operation(&mut core);
        if done.is_ok() || core.interface.is_broken() { self.finish(core, now, |_| done) } else { done }
    }

    /// Changes the stack, then drives it: what the change left to send is on the link when this returns, as far as the
    /// device and the budget allow.
    pub(crate) fn with_mut<R>(&self, change: impl FnOnce(&mut Core) -> R) -> R {
        let now = self.0.clock.now();
        self.finish(self.0.core.lock(), now, change)
    }

    fn finish<R>(&self, mut core: MutexGuard<'_, Core>, now: Instant, change: impl FnOnce(&mut Core) -> R) -> R {
        core.interface.advance(now);
        let result = change(&mut core);
        core.handle_events();
        core.drive(CALLER_BUDGET, false, &*self.0.clock);
        let runner = core.needs_runner();
        let wakes = core.notices.take_wakes();
        drop(core);
        self.wake(wakes, runner);
        result
    }

    /// Like [`with_mut`](Self::with_mut), but returns `None` if the lock is taken.
    pub(crate) fn try_with_mut<R>(&self, change: impl FnOnce(&mut Core) -> R) -> Option<R> {
        let now = self.0.clock.now();
        Some(self.finish(self.0.core.try_lock()?, now, change))
    }

    /// The runner's turn: handles received frames and due timers, and returns when it is to be called again. If that is
    /// not at once, the waker of `context` is woken when something happens earlier.
    pub(crate) fn poll_run(&self, context: &mut Context<'_>) -> Turn {
        // The waker is registered before the work begins, so that a wake-up between the work and the sleep is not lost.
        *self.0.runner.lock() = Some(context.waker().clone());
        let now = self.0.clock.now();
        let mut core = self.0.core.lock();
        core.interface.advance(now);
        core.drive(RUNNER_BUDGET, true, &*self.0.clock);
        let turn = core.turn(context);
        let wakes = core.notices.take_wakes();
        let is_lease_news = core.notices.is_lease_news();
        drop(core);
        self.wake(wakes, false);
        if turn == Turn::Ended {
            self.give_record_back();
        } else if is_lease_news {
            self.remember();
        }
        turn
    }

    fn wake(&self, wakes: Option<Wakes>, runner: bool) {
        wakes.into_iter().flatten().for_each(Waker::wake);
        if runner {
            let waker = self.0.runner.lock().take();
            waker.into_iter().for_each(Waker::wake);
        }
    }
}

impl Stack {
    /// Ends the stack: every operation fails with `NetworkDown` from now on, and the device is returned. The record of
    /// the interface is stored and released, so that a later mount under the same name can use it.
    pub(crate) fn unmount(&self) -> Option<Box<dyn Device>> {
        let device = self.with_mut(|core| {
            let device = core.interface.detach();
            core.interface.request_wake_all();
            core.tcp().end();
            device
        });
        self.give_record_back();
        device
    }

    /// Stores the record of the interface and releases it for the next mount under the same name.
    fn give_record_back(&self) {
        self.remember();
        *self.0.keeper.lock() = None;
    }

    /// Stores the change of the DHCP lease since the last call, if there was one.
    fn remember(&self) {
        // The record is locked from reading the lease until it is written. So if two threads do this, the newer lease
        // is written last.
        let mut keeper = self.0.keeper.lock();
        let news = {
            let mut core = self.0.core.lock();
            let is_news = core.notices.take_lease_news();
            is_news.then(|| core.interface.lent())
        };
        if let (Some(keeper), Some(lent)) = (&mut *keeper, news) {
            keeper.set_lease(lent);
        }
    }
}

/// What the runner must do next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Turn {
    /// Let other tasks run, then call again.
    Again,
    /// Sleep until woken, or until this time.
    Sleep(Option<Instant>),
    /// The stack is unmounted.
    Ended,
}

/// The configuration of an engine for a device.
fn config(
    capabilities: &Capabilities,
    port: &Port,
    hardware: Option<EthernetAddress>,
    ephemeral: &RangeInclusive<u16>,
    congestion: Option<Algorithm>,
) -> Config {
    let &Capabilities { mtu, lossless, checksums, .. } = capabilities;
    let checksums = checksums == Checksums::Computed;
    let loops_back = port.device.loops_back();
    let ports = PortLimits::new(ephemeral.clone());
    let tcp = TcpConfig {
        loops_back,
        ports: ports.clone(),
        congestion,
        most_half_open: MOST_HALF_OPEN,
        time_wait: TIME_WAIT,
        memory: Pool::for_streams().memory().clone(),
        ..TcpConfig::new(TcpLink { mtu, lossless, checksums })
    };
    let link = interface::Link {
        hardware,
        mtu,
        loops_back,
        checksums,
        completes_checksums: port.offloads.checksums,
        segmentation: port.offloads.segmentation,
        datagram_segmentation: port.offloads.datagrams,
    };
    Config { link, tcp, udp: Limits { ports, ..Limits::default() }, echo_reply: true }
}

impl Core {
    /// The operations on TCP.
    pub(crate) const fn tcp(&mut self) -> tcp::Operations<'_> {
        let Self { tcp, interface, pace, notices, .. } = self;
        tcp::Operations { table: tcp, interface, pace, notices }
    }

    /// The operations on UDP, and on echo requests, which are sent like datagrams.
    pub(crate) const fn udp(&mut self) -> udp::Operations<'_> {
        let Self { udp, interface, pace, notices, .. } = self;
        udp::Operations { table: udp, interface, pace, notices }
    }

    /// The operations on ICMP.
    pub(crate) const fn icmp(&mut self) -> icmp::Operations<'_> {
        let Self { icmp, interface, notices, .. } = self;
        icmp::Operations { table: icmp, interface, notices }
    }

    /// Starts publishing changes of the interface. Those before this call are not published.
    pub(crate) fn start_publishing(&mut self) {
        self.handle_events();
        self.notices.begin();
    }

    /// The counters of the interface, and the numbers of its connections and sockets.
    pub(crate) fn statistics(&self) -> Statistics {
        Statistics { icmp_sockets: self.icmp.len() as u64, ..self.interface.statistics() }
    }

    /// The ephemeral ports, starting at a random one.
    pub(crate) fn port_candidates(&mut self) -> impl Iterator<Item = u16> + use<> {
        ports::candidates(&self.ephemeral, self.interface.random().next_u64())
    }

    /// Panics in the engine, as a defect of the engine would.
    #[cfg(test)]
    pub(crate) fn panic(&mut self) {
        self.interface.panic();
    }
}
