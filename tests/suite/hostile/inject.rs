//! A device wrapper with which a test injects received frames.

use std::collections::VecDeque;
use std::io;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};

use xila_network_host::device::{Capabilities, Checksums, Device, Frame, Link, Medium, Pool};
use xila_network_host::platform::Instant;

/// The longest frame that can be injected, which is longer than the frames of any device here.
const LONGEST: usize = 70_000;

/// Makes frames that are received after a received frame.
pub(crate) type Mangler = Box<dyn FnMut(&[u8]) -> Vec<Vec<u8>> + Send>;

/// A device with a [`Wire`] to it.
pub(crate) struct Inject {
    device: Option<Box<dyn Device>>,
    pool: Pool,
    capabilities: Capabilities,
    wire: Wire,
}

/// A test's handle, to inject frames and to see those that are sent.
#[derive(Clone, Default)]
pub(crate) struct Wire(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    injected: VecDeque<Vec<u8>>,
    sent: Vec<Vec<u8>>,
    mangler: Option<Mangler>,
    reader: Option<Waker>,
}

impl Inject {
    /// Wraps `device`. If `checksums` are omitted, malformed packets pass the first check.
    pub(crate) fn new(device: Box<dyn Device>, checksums: Checksums) -> (Self, Wire) {
        let capabilities = Capabilities { checksums, ..device.capabilities() };
        Self::over(Some(device), capabilities)
    }

    /// A link of bare IP packets, whose only other end is the test.
    pub(crate) fn bare() -> (Self, Wire) {
        let (medium, checksums) = (Medium::Ip, Checksums::Computed);
        Self::over(None, Capabilities { medium, mtu: 1500, checksums, max_burst: None, lossless: false })
    }

    fn over(device: Option<Box<dyn Device>>, capabilities: Capabilities) -> (Self, Wire) {
        let wire = Wire::default();
        (Self { device, pool: Pool::new(LONGEST, 16), capabilities, wire: wire.clone() }, wire)
    }
}

impl Wire {
    /// Makes the stack receive a frame.
    pub(crate) fn inject(&self, frame: impl Into<Vec<u8>>) {
        let mut state = self.0.lock().unwrap();
        state.injected.push_back(frame.into());
        let reader = state.reader.take();
        drop(state);
        reader.into_iter().for_each(Waker::wake);
    }

    /// The frames that the stack has sent since the last call.
    pub(crate) fn sent(&self) -> Vec<Vec<u8>> {
        std::mem::take(&mut self.0.lock().unwrap().sent)
    }

    /// After each frame that the stack receives, makes it also receive the frames that `mangler` makes of it.
    pub(crate) fn mangle(&self, mangler: Option<Mangler>) {
        self.0.lock().unwrap().mangler = mangler;
    }
}

impl Device for Inject {
    fn capabilities(&self) -> Capabilities {
        self.capabilities
    }

    fn receive(&mut self, now: Instant) -> io::Result<Option<Frame>> {
        let mut state = self.wire.0.lock().unwrap();
        if let Some(injected) = state.injected.pop_front() {
            let mut frame = self.pool.frame(injected.len().min(LONGEST));
            let length = frame.len();
            frame.copy_from_slice(&injected[..length]);
            return Ok(Some(frame));
        }
        let Some(device) = &mut self.device else { return Ok(None) };
        let frame = device.receive(now)?;
        if let (Some(frame), Some(mangler)) = (&frame, &mut state.mangler) {
            let made = mangler(frame);
            state.injected.extend(made);
        }
        Ok(frame)
    }

    fn allocate(&mut self, now: Instant, length: usize) -> Option<Frame> {
        match &mut self.device {
            Some(device) => device.allocate(now, length),
            None => Some(self.pool.frame(length)),
        }
    }

    fn transmit(&mut self, now: Instant, frame: Frame) -> io::Result<()> {
        self.wire.0.lock().unwrap().sent.push(frame.to_vec());
        self.device.as_mut().map_or(Ok(()), |device| device.transmit(now, frame))
    }

    fn poll_readable(&mut self, context: &mut Context<'_>) -> Poll<()> {
        let mut state = self.wire.0.lock().unwrap();
        if !state.injected.is_empty() {
            return Poll::Ready(());
        }
        state.reader = Some(context.waker().clone());
        drop(state);
        self.device.as_mut().map_or(Poll::Pending, |device| device.poll_readable(context))
    }

    fn poll_writable(&mut self, context: &mut Context<'_>) -> Poll<()> {
        self.device.as_mut().map_or(Poll::Ready(()), |device| device.poll_writable(context))
    }

    fn link(&self) -> Link {
        self.device.as_ref().map_or(Link::Up, |device| device.link())
    }

    fn driver(&self) -> &'static str {
        "inject"
    }
}
