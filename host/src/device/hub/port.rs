//! The port of a hub: the device that a stack is mounted on.

use core::fmt;
use core::sync::atomic::{AtomicBool, Ordering};
use core::task::{Context, Poll};
use std::io;
use std::sync::Arc;

use parking_lot::Mutex;
use xila_network_commands::drivers::hub;
use xila_network_commands::interface::Kind;
use xila_network_commands::{Command, CommandId};

use super::segment::{Segment, Wakes};
use crate::device::controller::{Controller, execute};
use crate::device::{Capabilities, Device, Frame, Link, Offloads, Pool};
use crate::error::{Error, Result};
use crate::platform::{Clock, Instant, Timer};

/// One port of a [`Hub`](super::Hub). Dropping it removes it from the hub.
///
/// The segment's lock is held briefly, and nothing else is locked while it is held. Wakers are woken after it is
/// released.
pub struct HubPort {
    plug: Plug,
    pool: Pool,
    clock: Arc<dyn Clock>,
    arrival: Box<dyn Timer>,
    departure: Box<dyn Timer>,
    capabilities: Capabilities,
}

/// Pulls the cable of one port out and plugs it in again, while a stack owns the port.
#[derive(Clone)]
pub struct Cable {
    plug: Plug,
    clock: Arc<dyn Clock>,
}

/// The state that a port and its cables share.
#[derive(Clone)]
struct Plug {
    segment: Arc<Mutex<Segment>>,
    number: u64,
    up: Arc<AtomicBool>,
}

impl Plug {
    /// Runs `work` on the segment, then wakes the tasks that it has made ready.
    fn with<T>(&self, work: impl FnOnce(&mut Segment, u64, &mut Wakes) -> T) -> T {
        let mut wakes = Wakes::new();
        let result = work(&mut self.segment.lock(), self.number, &mut wakes);
        wakes.into_iter().for_each(core::task::Waker::wake);
        result
    }
}

impl HubPort {
    pub(super) fn new(segment: Arc<Mutex<Segment>>, clock: Arc<dyn Clock>, capabilities: Capabilities) -> Self {
        let (number, pool) = {
            let mut segment = segment.lock();
            (segment.add(), segment.pool().clone())
        };
        Self {
            plug: Plug { segment, number, up: Arc::new(AtomicBool::new(true)) },
            pool,
            arrival: clock.timer(),
            departure: clock.timer(),
            clock,
            capabilities,
        }
    }

    /// A handle to this port's cable.
    #[must_use]
    pub fn cable(&self) -> Cable {
        Cable { plug: self.plug.clone(), clock: self.clock.clone() }
    }
}

impl Cable {
    /// Plugs the cable in ([`Link::Up`]) or pulls it out ([`Link::Down`]). Pulling it out loses the frames that are on
    /// the way to and from the port.
    pub fn set_link(&self, link: Link) {
        let up = link == Link::Up;
        self.plug.with(|segment, number, wakes| {
            if self.plug.up.swap(up, Ordering::AcqRel) != up {
                segment.set_plugged(self.clock.now(), number, up, wakes);
            }
        });
    }
}

impl Device for HubPort {
    fn capabilities(&self) -> Capabilities {
        self.capabilities
    }

    fn receive(&mut self, now: Instant) -> io::Result<Option<Frame>> {
        Ok(self.plug.with(|segment, number, wakes| segment.receive(now, number, wakes)))
    }

    fn allocate(&mut self, now: Instant, length: usize) -> Option<Frame> {
        if length > self.pool.longest() {
            return None;
        }
        let writable = self.plug.with(|segment, number, wakes| segment.is_writable(now, number, wakes));
        writable.then(|| self.pool.frame(length))
    }

    fn transmit(&mut self, now: Instant, frame: Frame) -> io::Result<()> {
        self.plug.with(|segment, number, wakes| segment.transmit(now, number, frame, wakes));
        Ok(())
    }

    fn poll_readable(&mut self, context: &mut Context<'_>) -> Poll<()> {
        loop {
            let now = self.clock.now();
            let (arrival, stall) = self.plug.with(|segment, number, wakes| {
                segment.pump(now, number, wakes);
                let arrival = segment.next_arrival(number);
                if arrival.is_none_or(|due| due > now) {
                    segment.set_reader(number, context.waker());
                }
                (arrival, segment.stall_end(number))
            });
            if arrival.is_some_and(|due| due <= now) {
                return Poll::Ready(());
            }
            // The timer also releases the frames that this port holds for a receiver that does not run any more.
            self.arrival.set([arrival, stall].into_iter().flatten().min());
            if self.arrival.poll(context).is_pending() {
                return Poll::Pending;
            }
        }
    }

    fn poll_writable(&mut self, context: &mut Context<'_>) -> Poll<()> {
        loop {
            let now = self.clock.now();
            let (writable, departure) = self.plug.with(|segment, number, wakes| {
                let writable = segment.is_writable(now, number, wakes);
                if !writable {
                    segment.set_writer(number, context.waker());
                }
                (writable, segment.next_departure(number))
            });
            if writable {
                return Poll::Ready(());
            }
            self.departure.set(departure);
            if self.departure.poll(context).is_pending() {
                return Poll::Pending;
            }
        }
    }

    fn set_offloads(&mut self, wanted: bool) -> Offloads {
        self.plug.with(|segment, number, _| segment.set_offloads(number, wanted))
    }

    fn link(&self) -> Link {
        if self.plug.up.load(Ordering::Acquire) { Link::Up } else { Link::Down }
    }

    fn controller(&self) -> Arc<dyn Controller> {
        Arc::new(PortController(self.cable()))
    }

    fn driver(&self) -> &'static str {
        "hub"
    }
}

/// Answers the commands of one port.
struct PortController(Cable);

impl Controller for PortController {
    fn kind(&self) -> Kind {
        Kind::Ethernet
    }

    fn control(&self, command: CommandId, input: &[u8], output: &mut Vec<u8>) -> Result<()> {
        let segment = &self.0.plug.segment;
        match command {
            hub::GetOptions::ID => execute::<hub::GetOptions>(input, output, |()| Ok(segment.lock().options().into())),
            hub::GetStatistics::ID => {
                execute::<hub::GetStatistics>(input, output, |()| Ok(segment.lock().statistics()))
            }
            hub::GetPorts::ID => execute::<hub::GetPorts>(input, output, |()| {
                Ok(u32::try_from(segment.lock().ports()).unwrap_or(u32::MAX))
            }),
            hub::SetCable::ID => execute::<hub::SetCable>(input, output, |link| {
                self.0.set_link(link);
                Ok(())
            }),
            _ => Err(Error::NotSupported),
        }
    }
}

impl Drop for HubPort {
    fn drop(&mut self) {
        self.plug.up.store(false, Ordering::Release);
        let now = self.clock.now();
        self.plug.with(|segment, number, wakes| segment.remove(now, number, wakes));
    }
}

impl fmt::Debug for HubPort {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("HubPort").field("number", &self.plug.number).finish_non_exhaustive()
    }
}

impl fmt::Debug for Cable {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Cable").field("port", &self.plug.number).finish_non_exhaustive()
    }
}
