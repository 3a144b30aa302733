//! One interface's TCP/IP stack: a smoltcp interface, its device, and the tables that find the socket of a packet.
//!
//! A [`Stack`] is a handle; what it stands for, the [`Core`], sits behind one short synchronous lock, never held across
//! an `.await`. An operation that leaves something to send drives the stack at once, within a budget, before it gives
//! the lock back; the [runner](crate::runner) does the rest. Wakers are collected under the lock and woken after it.
//!
//! | Room | Holds |
//! |---|---|
//! | `drive`, `schedule` | the loop: frames in, frames out, timers; whose turn it is to send |
//! | `demux`, `phy` | whom a frame concerns; the engine's view of the device |
//! | `contain` | what becomes of a panic of the engine |
//! | `tcp` | the engine's connections and listeners; `backlog`, who waits for connections |
//! | `resolution` | connections that wait for a next hop's hardware address |
//! | `udp` | bound ports and their mailboxes |
//! | `icmp`, `fragments`, `neighbours` | echo, errors from the path; what comes in fragments or behind extension headers; asking for hardware addresses |
//! | `groups` | reports of multicast groups |
//! | `path`, `cut` | what is known of narrow paths; making packets fit them |
//! | `config`, `addresses`, `routes` | what the interface is set to |
//! | `dhcp`, `autoconfiguration` | what sets it by protocol |
//! | `events` | telling others of it |
//! | `waiters`, `ports`, `options`, `owner` | what those are made of |

mod addresses;
mod autoconfiguration;
pub(crate) mod backlog;
mod config;
mod contain;
mod cut;
mod demux;
mod dhcp;
mod drive;
pub(crate) mod events;
mod fragments;
mod groups;
pub(crate) mod icmp;
mod neighbours;
pub(crate) mod options;
pub(crate) mod owner;
mod path;
mod phy;
pub(crate) mod ports;
mod resolution;
pub(crate) mod routes;
mod schedule;
pub(crate) mod tcp;
pub(crate) mod udp;
pub(crate) mod waiters;

use core::net::IpAddr;
use core::ops::RangeInclusive;
use core::task::{Context, Waker};
use std::sync::{Arc, Weak};

use parking_lot::{Mutex, MutexGuard};
use smoltcp::iface::{Config, Interface, SocketSet};
use smoltcp::wire::{EthernetAddress, HardwareAddress};
use xila_network_commands::interface::{Link, Origin, State, Statistics};
use xila_network_engine::ip::reassembly::Reassembly;
use xila_network_engine::random::{Random, Secret};
use xila_network_engine::tcp::Algorithm;

use crate::address::MacAddress;
use crate::device::{Capabilities, Device, Medium, Pool};
use crate::error::{Error, Result};
use crate::platform::{Clock, Instant, Platform};
use events::Events;
use owner::Owner;
use phy::Port;
use schedule::Schedule;
use tcp::FlowId;
use waiters::Wakes;

/// A handle to a stack. Clones are the same stack.
#[derive(Clone)]
pub(crate) struct Stack(Arc<Shared>);

struct Shared {
    name: Arc<str>,
    clock: Arc<dyn Clock>,
    core: Mutex<Core>,
    /// Wakes the runner. Never held together with `core`.
    runner: Mutex<Option<Waker>>,
}

/// What a stack is made of.
pub(crate) struct Core {
    /// The device; none once unmounted.
    port: Option<Port>,
    iface: Interface,
    capabilities: Capabilities,
    hardware_address: Option<MacAddress>,
    addresses: Vec<addresses::Address>,
    routes: Vec<routes::Entry>,
    dns_servers: Vec<(IpAddr, Origin)>,
    /// When the first address or route runs out.
    lifetimes_next: Option<Instant>,
    dhcp: dhcp::Dhcp,
    autoconfiguration: Option<autoconfiguration::Autoconfiguration>,
    state: State,
    /// The device's link, when it was last looked at.
    known_link: Link,
    events: Events,
    /// Being set up: changes are not told yet.
    quiet: bool,
    me: Weak<Shared>,
    /// The time of the present call.
    now: Instant,
    random: u64,
    ephemeral: RangeInclusive<u16>,
    tcp: tcp::Table,
    udp: udp::Table,
    icmp: icmp::Icmp,
    queried: groups::Queried,
    neighbours: neighbours::Neighbours,
    fragments: Reassembly,
    /// For packets that no socket takes.
    nobody: SocketSet<'static>,
    /// Who may have something to send.
    schedule: Schedule<Owner, Sender>,
    resolution: resolution::Resolution,
    /// The device took nothing more; the runner waits until it does.
    full: bool,
    /// The budget ended before the work did; the runner goes on.
    unfinished: bool,
    /// Packets that had left when the stack was last driven.
    sent_so_far: u64,
    /// What the runner sleeps until.
    runner_deadline: Option<Instant>,
    wakes: Wakes,
    statistics: Statistics,
}

/// Who takes turns at sending.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sender {
    Flow(FlowId),
    Socket(udp::Outlet),
}

/// Frames that one call handles before it leaves the rest to the runner.
const CALLER_BUDGET: usize = 256;
/// Frames that the runner handles before it lets other tasks run.
const RUNNER_BUDGET: usize = 512;
/// The bytes that one sender sends before it is another's turn: some frames of Ethernet, which take 13 ms at 10 Mbit/s.
const QUANTUM: usize = 16 << 10;
/// The narrowest link that carries IPv6 (RFC 8200 section 5).
const MOST_NARROW: usize = 1280;

impl Stack {
    /// Builds a stack on a device. Nothing runs yet.
    pub(crate) fn new(
        name: &str,
        device: Box<dyn Device>,
        hardware_address: Option<MacAddress>,
        ephemeral: RangeInclusive<u16>,
        congestion: Option<Algorithm>,
        platform: &Platform,
        events: Events,
    ) -> Result<Self> {
        let capabilities = device.capabilities();
        if !(MOST_NARROW..=65535).contains(&capabilities.mtu) {
            let reason = format!("an IP MTU of {} is outside 1280 to 65535", capabilities.mtu);
            return Err(Error::FailedToMountDevice(reason));
        }
        let (hardware, address) = match (capabilities.medium, hardware_address) {
            (Medium::Ip, None) => (HardwareAddress::Ip, None),
            (Medium::Ip, Some(_)) => return Err(Error::NotSupported),
            (Medium::Ethernet, address) => {
                let address = address.unwrap_or_else(|| {
                    let [a, b, c, d, e, f, ..] = platform.random_u64().to_ne_bytes();
                    MacAddress::locally_administered([a, b, c, d, e, f])
                });
                (HardwareAddress::Ethernet(EthernetAddress(address.octets())), Some(address))
            }
        };
        let now = platform.clock.now();
        let mut port = Port::new(device);
        let iface = engine(&mut port, hardware, platform.random_u64(), now);
        let known_link = port.device.link();
        let mut seed = [0; 32];
        platform.random.fill(&mut seed);
        let fragments = Reassembly::new(&Secret::new(&mut Random::new(seed)));
        platform.random.fill(&mut seed);
        let memory = Pool::for_streams().memory().clone();
        let loops_back = port.device.loops_back();
        let tcp = tcp::Table::new(&capabilities, loops_back, ephemeral.clone(), congestion, memory, seed);
        Ok(Self(Arc::new_cyclic(|me| Shared {
            name: name.into(),
            clock: platform.clock.clone(),
            runner: Mutex::new(None),
            core: Mutex::new(Core {
                port: Some(port),
                iface,
                capabilities,
                hardware_address: address,
                addresses: Vec::new(),
                routes: Vec::new(),
                dns_servers: Vec::new(),
                lifetimes_next: None,
                dhcp: dhcp::Dhcp::default(),
                autoconfiguration: None,
                state: State::Up,
                known_link,
                events,
                quiet: true,
                me: me.clone(),
                now,
                random: platform.random_u64(),
                ephemeral,
                tcp,
                udp: udp::Table::default(),
                icmp: icmp::Icmp::default(),
                queried: groups::Queried::default(),
                neighbours: neighbours::Neighbours::default(),
                fragments,
                nobody: SocketSet::new(Vec::new()),
                schedule: Schedule::new(QUANTUM),
                resolution: resolution::Resolution::default(),
                full: false,
                unfinished: false,
                sent_so_far: 0,
                runner_deadline: None,
                wakes: Wakes::new(),
                statistics: Statistics::default(),
            }),
        })))
    }

    pub(crate) fn name(&self) -> &Arc<str> {
        &self.0.name
    }

    /// Whether both handles are the same stack.
    pub(crate) fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    /// Looks at the stack.
    pub(crate) fn with<R>(&self, look: impl FnOnce(&Core) -> R) -> R {
        look(&self.0.core.lock())
    }

    /// Looks at the stack, and registers who waits for it to change. Nothing is left to send by that.
    pub(crate) fn ask<R>(&self, ask: impl FnOnce(&mut Core) -> R) -> R {
        ask(&mut self.0.core.lock())
    }

    /// An operation that either does something or fails, and as a failure leaves nothing to send: then the stack is not
    /// driven, which is most of what an attempt costs that comes too early.
    ///
    /// # Errors
    /// Those of `operation`.
    pub(crate) fn attempt<R>(&self, operation: impl FnOnce(&mut Core) -> Result<R>) -> Result<R> {
        let now = self.0.clock.now();
        let mut core = self.0.core.lock();
        core.advance(now);
        let done = operation(&mut core)?;
        Ok(self.finish(core, now, |_| done))
    }

    /// Changes the stack, then drives it: what the change left to send is on the link when this returns, as far as the
    /// link and the budget allow.
    pub(crate) fn with_mut<R>(&self, change: impl FnOnce(&mut Core) -> R) -> R {
        let now = self.0.clock.now();
        self.finish(self.0.core.lock(), now, change)
    }

    fn finish<R>(&self, mut core: MutexGuard<'_, Core>, now: Instant, change: impl FnOnce(&mut Core) -> R) -> R {
        core.advance(now);
        let result = change(&mut core);
        core.drive(CALLER_BUDGET, false, &*self.0.clock);
        let runner = core.needs_runner();
        let wakes = core::mem::take(&mut core.wakes);
        drop(core);
        self.wake(wakes, runner);
        result
    }

    /// As [`with_mut`](Self::with_mut), where nobody else is at it now; `None` otherwise.
    pub(crate) fn try_with_mut<R>(&self, change: impl FnOnce(&mut Core) -> R) -> Option<R> {
        let now = self.0.clock.now();
        Some(self.finish(self.0.core.try_lock()?, now, change))
    }

    /// The runner's turn: handles what the device has and what is due, and says when to be called again. Where that is
    /// not at once, the context's waker is woken when something happens before.
    pub(crate) fn poll_run(&self, context: &mut Context<'_>) -> Turn {
        // Registered before looking, so that a wake-up between the look and the sleep is not lost.
        *self.0.runner.lock() = Some(context.waker().clone());
        let now = self.0.clock.now();
        let mut core = self.0.core.lock();
        core.advance(now);
        core.drive(RUNNER_BUDGET, true, &*self.0.clock);
        let turn = core.turn(context);
        let wakes = core::mem::take(&mut core.wakes);
        drop(core);
        self.wake(wakes, false);
        turn
    }

    fn wake(&self, wakes: Wakes, runner: bool) {
        wakes.into_iter().for_each(Waker::wake);
        if runner {
            let waker = self.0.runner.lock().take();
            waker.into_iter().for_each(Waker::wake);
        }
    }
}

/// What the runner does next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Turn {
    /// Let others run, then call again.
    Again,
    /// Sleep until woken, or until this time.
    Sleep(Option<Instant>),
    /// The stack is unmounted.
    Ended,
}

/// smoltcp's side of an interface, with no addresses yet.
fn engine(port: &mut Port, hardware: HardwareAddress, seed: u64, now: Instant) -> Interface {
    let mut config = Config::new(hardware);
    config.random_seed = seed;
    let loops_back = port.device.loops_back();
    let mut iface = Interface::new(config, &mut phy::Ingress { frame: None, port, now }, wire_time(now));
    // A loopback carries every local address of the process's interfaces, as Linux's `lo` does.
    iface.set_any_ip(loops_back);
    iface
}

impl Core {
    fn handle(&self) -> Option<Stack> {
        self.me.upgrade().map(Stack)
    }

    /// A new random number, from a generator that the platform's randomness seeded (splitmix64).
    fn stir(&mut self) {
        self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.random;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        self.random = mixed ^ (mixed >> 31);
    }
}

/// A time as smoltcp counts it, in microseconds.
fn wire_time(instant: Instant) -> smoltcp::time::Instant {
    smoltcp::time::Instant::from_micros(i64::try_from(instant.since_origin().as_micros()).unwrap_or(i64::MAX))
}

/// A time that smoltcp tells.
fn from_wire_time(instant: smoltcp::time::Instant) -> Instant {
    Instant::from_origin(core::time::Duration::from_micros(u64::try_from(instant.total_micros()).unwrap_or(0)))
}
