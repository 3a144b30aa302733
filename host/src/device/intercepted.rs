//! A wrapper that shows the frames of a device to an interceptor before its stack sees them, and that sends frames
//! which do not come from the stack.
//!
//! A router or a DHCP server is made of it: they take packets that no socket can receive, and send packets that no
//! socket can send.

use core::task::{Context, Poll, Waker};
use std::collections::VecDeque;
use std::io;
use std::sync::Arc;

use parking_lot::Mutex;

use super::{Capabilities, Controller, Device, Frame, Link, Offloads, Pool};
use crate::platform::Instant;

/// Decides about each frame that a device has received.
pub(crate) trait Interceptor: Send + 'static {
    /// Takes a frame, or gives it back for the stack. It is called under the stack's lock, so it must be short and not
    /// wait.
    fn intercept(&mut self, now: Instant, frame: Frame) -> Option<Frame>;
}

/// A device with an interceptor.
pub(crate) struct Intercepted<D, I> {
    device: D,
    interceptor: I,
    queues: Arc<Mutex<Queues>>,
}

/// Gives frames to a device from outside of its stack. Clones refer to the same device.
#[derive(Clone)]
pub(crate) struct Injector {
    queues: Arc<Mutex<Queues>>,
    pool: Pool,
}

#[derive(Default)]
struct Queues {
    to_link: VecDeque<Frame>,
    to_stack: VecDeque<Frame>,
    /// The task that drives the device.
    reader: Option<Waker>,
}

/// The most frames that wait in each direction.
const MOST: usize = 512;
/// The most unused frames that are kept.
const IDLE: usize = 64;

impl<D: Device, I: Interceptor> Intercepted<D, I> {
    /// Puts an interceptor before a device. `interceptor` makes it from the injector, by which it may answer.
    pub(crate) fn new(device: D, interceptor: impl FnOnce(Injector) -> I) -> Self {
        let queues = Arc::<Mutex<Queues>>::default();
        let pool = Pool::new(device.capabilities().frame_length(), IDLE);
        let interceptor = interceptor(Injector { queues: queues.clone(), pool });
        Self { device, interceptor, queues }
    }

    /// Sends what was injected, as far as the device has room.
    fn send_injected(&mut self, now: Instant) -> io::Result<()> {
        loop {
            let mut queues = self.queues.lock();
            if queues.to_link.is_empty() || self.device.allocate(now, 0).is_none() {
                return Ok(());
            }
            let frame = queues.to_link.pop_front();
            drop(queues);
            if let Some(frame) = frame {
                self.device.transmit(now, frame)?;
            }
        }
    }
}

impl Injector {
    /// An empty frame to be filled and injected.
    ///
    /// # Panics
    /// If `length` exceeds the longest frame of the device.
    pub(crate) fn frame(&self, length: usize) -> Frame {
        self.pool.frame(length)
    }

    /// The longest frame in bytes.
    pub(crate) const fn longest(&self) -> usize {
        self.pool.longest()
    }

    /// Sends a frame to the link, in place of the stack. False if too many frames wait: the frame is lost.
    pub(crate) fn to_link(&self, frame: Frame) -> bool {
        self.push(frame, |queues| &mut queues.to_link)
    }

    /// Gives a frame to the stack, past the interceptor. False if too many frames wait: the frame is lost.
    #[cfg(any(test, feature = "gateway"))]
    pub(crate) fn to_stack(&self, frame: Frame) -> bool {
        self.push(frame, |queues| &mut queues.to_stack)
    }

    fn push(&self, frame: Frame, queue: impl FnOnce(&mut Queues) -> &mut VecDeque<Frame>) -> bool {
        let mut queues = self.queues.lock();
        let queue = queue(&mut queues);
        if queue.len() >= MOST {
            return false;
        }
        queue.push_back(frame);
        let reader = queues.reader.take();
        drop(queues);
        if let Some(reader) = reader {
            reader.wake();
        }
        true
    }
}

impl<D: Device, I: Interceptor> Device for Intercepted<D, I> {
    fn capabilities(&self) -> Capabilities {
        self.device.capabilities()
    }

    fn receive(&mut self, now: Instant) -> io::Result<Option<Frame>> {
        self.send_injected(now)?;
        if let Some(frame) = self.queues.lock().to_stack.pop_front() {
            return Ok(Some(frame));
        }
        while let Some(frame) = self.device.receive(now)? {
            if let Some(frame) = self.interceptor.intercept(now, frame) {
                return Ok(Some(frame));
            }
        }
        // The interceptor may have answered.
        self.send_injected(now)?;
        Ok(None)
    }

    fn allocate(&mut self, now: Instant, length: usize) -> Option<Frame> {
        self.device.allocate(now, length)
    }

    fn transmit(&mut self, now: Instant, frame: Frame) -> io::Result<()> {
        self.device.transmit(now, frame)
    }

    fn poll_readable(&mut self, context: &mut Context<'_>) -> Poll<()> {
        let (to_link, to_stack) = {
            let mut queues = self.queues.lock();
            queues.reader = Some(context.waker().clone());
            (!queues.to_link.is_empty(), !queues.to_stack.is_empty())
        };
        // The next `receive` sends what was injected for the link, if the device has room.
        if to_stack || (to_link && self.device.poll_writable(context).is_ready()) {
            return Poll::Ready(());
        }
        self.device.poll_readable(context)
    }

    fn poll_writable(&mut self, context: &mut Context<'_>) -> Poll<()> {
        self.device.poll_writable(context)
    }

    fn set_offloads(&mut self, wanted: bool) -> Offloads {
        self.device.set_offloads(wanted)
    }

    fn link(&self) -> Link {
        self.device.link()
    }

    fn loops_back(&self) -> bool {
        self.device.loops_back()
    }

    fn driver(&self) -> &'static str {
        self.device.driver()
    }

    fn controller(&self) -> Arc<dyn Controller> {
        self.device.controller()
    }
}

#[cfg(test)]
mod tests {
    use core::future::poll_fn;

    use super::*;
    use crate::device::hub::{Hub, HubOptions};
    use crate::platform::simulated::Simulation;

    /// Takes the frames whose first octet of payload is even.
    struct Even(Vec<u8>);

    impl Interceptor for Even {
        fn intercept(&mut self, _: Instant, frame: Frame) -> Option<Frame> {
            let number = frame[14];
            if number % 2 == 1 {
                return Some(frame);
            }
            self.0.push(number);
            None
        }
    }

    fn fill(frame: &mut Frame, number: u8) {
        frame[..6].fill(0xff);
        frame[6..12].fill(2);
        frame[14] = number;
    }

    #[test]
    fn an_interceptor_takes_frames_and_injected_ones_go_both_ways() {
        let simulation = Simulation::new(0);
        let hub = Hub::new(&simulation.platform(), HubOptions { queue: 4, ..HubOptions::default() });
        let mut peer = hub.port();
        let mut injector = None;
        let mut device = Intercepted::new(hub.port(), |there| {
            injector = Some(there);
            Even(Vec::new())
        });
        let injector = injector.expect("it was made");
        let now = simulation.now();
        for number in 1..=4 {
            let mut frame = peer.allocate(now, 60).expect("room");
            fill(&mut frame, number);
            peer.transmit(now, frame).expect("a hub takes it");
        }
        let received = |device: &mut Intercepted<_, Even>| {
            core::iter::from_fn(|| device.receive(now).expect("a hub does not fail").map(|frame| frame[14]))
                .collect::<Vec<_>>()
        };
        assert_eq!(received(&mut device), [1, 3]);
        assert_eq!(device.interceptor.0, [2, 4]);

        let inject = |number| {
            let mut frame = injector.frame(60);
            fill(&mut frame, number);
            frame
        };
        assert!(injector.to_stack(inject(8)));
        (10..20).for_each(|number| assert!(injector.to_link(inject(number))));
        simulation.block_on(poll_fn(|context| device.poll_readable(context)));
        assert_eq!(received(&mut device), [8], "even, but past the interceptor");
        let mut arrived = Vec::new();
        for _ in 0..10 {
            while let Some(frame) = peer.receive(now).expect("a hub does not fail") {
                arrived.push(frame[14]);
            }
            assert_eq!(received(&mut device), []);
        }
        assert_eq!(arrived, (10..20).collect::<Vec<_>>(), "more than the device takes at once");
        let taken = (0..2 * MOST).filter(|_| injector.to_link(inject(0))).count();
        assert_eq!(taken, MOST, "what waits is bounded");
    }
}
