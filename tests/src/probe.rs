//! A device wrapper that shows a test the frames that pass, and drops those that the test selects.

use std::collections::VecDeque;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use xila_network_host::device::{Capabilities, Controller, Device, Frame, Link, Offloads, Pool};
use xila_network_host::platform::Instant;

/// Decides whether a received frame is dropped.
pub type Loser = Box<dyn FnMut(&[u8]) -> bool + Send>;

/// A frame that has passed.
#[derive(Clone, Debug)]
pub struct Seen {
    /// All bytes of the frame.
    pub bytes: Vec<u8>,
    /// The bytes of data in each of its TCP segments, if it has several segments.
    pub segment: Option<usize>,
    /// Whether its TCP checksum is not filled in.
    pub unchecked: bool,
}

/// A wrapper of another device, which a [`Monitor`] observes.
///
/// It behaves as a network card in front of that device: it sends and receives large segments only if it was made with
/// offloads, and it drops other frames that are longer than its MTU.
pub struct Probe {
    device: Box<dyn Device>,
    /// The capabilities that it reports.
    pub capabilities: Capabilities,
    /// Whether large segments and incomplete checksums pass.
    pub offloads: bool,
    pool: Pool,
    monitor: Monitor,
}

/// A test's handle to a [`Probe`].
#[derive(Clone, Default)]
pub struct Monitor(Arc<Mutex<Passed>>);

#[derive(Default)]
struct Passed {
    received: Vec<Seen>,
    sent: Vec<Seen>,
    giants: usize,
    injected: VecDeque<Vec<u8>>,
    loser: Option<Loser>,
    reader: Option<Waker>,
}

impl Probe {
    /// A probe in front of `device`, with the same capabilities, except that it reports that frames may be lost; with
    /// or without offloads.
    pub fn new(device: impl Device, offloads: bool) -> (Self, Monitor) {
        let capabilities = Capabilities { lossless: false, ..device.capabilities() };
        let (monitor, pool) = (Monitor::default(), Pool::new(capabilities.frame_length(), 16));
        (Self { device: Box::new(device), capabilities, offloads, pool, monitor: monitor.clone() }, monitor)
    }

    /// This probe with a smaller MTU.
    #[must_use]
    pub fn with_mtu(mut self, mtu: usize) -> Self {
        self.capabilities.mtu = mtu;
        self
    }
}

impl Monitor {
    /// The frames that have been received since the last call, without the dropped ones.
    pub fn received(&self) -> Vec<Seen> {
        std::mem::take(&mut self.passed().received)
    }

    /// The frames that have been sent since the last call.
    pub fn sent(&self) -> Vec<Seen> {
        std::mem::take(&mut self.passed().sent)
    }

    /// How many frames were dropped because they were longer than the MTU.
    pub fn giants(&self) -> usize {
        self.passed().giants
    }

    /// From now on, drops the received frames for which `loser` returns true.
    pub fn lose(&self, loser: Loser) {
        self.passed().loser = Some(loser);
    }

    /// Injects a received frame, which no [`Loser`] sees.
    pub fn inject(&self, frame: Vec<u8>) {
        let mut passed = self.passed();
        passed.injected.push_back(frame);
        let reader = passed.reader.take();
        drop(passed);
        reader.into_iter().for_each(Waker::wake);
    }

    fn passed(&self) -> MutexGuard<'_, Passed> {
        // If a loser panicked, its failed assertion has already failed the test.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl From<&Frame> for Seen {
    fn from(frame: &Frame) -> Self {
        Self { bytes: frame.to_vec(), segment: frame.segment(), unchecked: frame.is_unchecked() }
    }
}

impl Device for Probe {
    fn capabilities(&self) -> Capabilities {
        self.capabilities
    }

    fn receive(&mut self, now: Instant) -> io::Result<Option<Frame>> {
        let mut passed = self.monitor.passed();
        if let Some(bytes) = passed.injected.pop_front() {
            let mut frame = self.pool.frame(bytes.len());
            frame.copy_from_slice(&bytes);
            return Ok(Some(frame));
        }
        while let Some(frame) = self.device.receive(now)? {
            if frame.segment().is_none() && frame.len() > self.capabilities.frame_length() {
                passed.giants += 1;
            } else if !passed.loser.as_mut().is_some_and(|loser| loser(&frame)) {
                passed.received.push(Seen::from(&frame));
                return Ok(Some(frame));
            }
        }
        Ok(None)
    }

    fn allocate(&mut self, now: Instant, length: usize) -> Option<Frame> {
        self.device.allocate(now, length)
    }

    fn transmit(&mut self, now: Instant, frame: Frame) -> io::Result<()> {
        self.monitor.passed().sent.push(Seen::from(&frame));
        self.device.transmit(now, frame)
    }

    fn poll_readable(&mut self, context: &mut Context<'_>) -> Poll<()> {
        let mut passed = self.monitor.passed();
        if !passed.injected.is_empty() {
            return Poll::Ready(());
        }
        passed.reader = Some(context.waker().clone());
        drop(passed);
        self.device.poll_readable(context)
    }

    fn poll_writable(&mut self, context: &mut Context<'_>) -> Poll<()> {
        self.device.poll_writable(context)
    }

    fn set_offloads(&mut self, wanted: bool) -> Offloads {
        if self.offloads { self.device.set_offloads(wanted) } else { Offloads::default() }
    }

    fn link(&self) -> Link {
        self.device.link()
    }

    fn driver(&self) -> &'static str {
        "probe"
    }

    fn controller(&self) -> Arc<dyn Controller> {
        self.device.controller()
    }
}
