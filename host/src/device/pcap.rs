//! A wrapper that writes the frames of a device to a capture file, which tcpdump, tshark and Wireshark can read.

mod writer;

#[cfg(test)]
mod tests;

use core::fmt;
use core::task::{Context, Poll};
use core::time::Duration;
use std::io::{self, Write};
use std::sync::Arc;

use self::writer::CaptureWriter;
use super::{Capabilities, Controller, Device, Frame, Link, Offloads};
use crate::platform::Instant;

/// A device whose frames are captured, both ways, as pcap with nanosecond timestamps.
///
/// The timestamps are the stack's monotonic time plus an offset to the wall clock, which is read once, at the first
/// frame. The frames of a loopback are captured only when they are received, so that each frame is recorded once.
///
/// Writes are buffered, and flushed when the device has nothing more to receive, so that a file can be followed live.
/// They happen under the stack's lock, so the writer must not block for long. When a write fails the capture ends with
/// a warning in the log, and the device continues; [`failure`](Self::failure) returns the cause.
pub struct Pcap<D> {
    device: D,
    capture: Option<CaptureWriter>,
    failure: Option<io::Error>,
}

impl<D: Device> Pcap<D> {
    /// Captures the frames of `device` to `writer`, and writes the file's header at once.
    ///
    /// # Errors
    /// The header cannot be written.
    pub fn new(device: D, writer: impl Write + Send + 'static) -> io::Result<Self> {
        let capture = CaptureWriter::new(&device.capabilities(), Box::new(writer), None)?;
        Ok(Self { device, capture: Some(capture), failure: None })
    }

    /// Like [`new`](Self::new), with `origin`, the time since 1970 at which the stack's time began, in place of the
    /// wall clock. So each run of a simulation writes the same file.
    ///
    /// # Errors
    /// The header cannot be written.
    pub fn with_origin(device: D, writer: impl Write + Send + 'static, origin: Duration) -> io::Result<Self> {
        let capture = CaptureWriter::new(&device.capabilities(), Box::new(writer), Some(origin))?;
        Ok(Self { device, capture: Some(capture), failure: None })
    }

    /// The cause why the capture ended early, if it did.
    #[must_use]
    pub const fn failure(&self) -> Option<&io::Error> {
        self.failure.as_ref()
    }

    /// Ends the capture and returns the device, with the error if the capture is incomplete.
    pub fn finish(mut self) -> (D, io::Result<()>) {
        self.flush();
        (self.device, self.failure.map_or(Ok(()), Err))
    }
}

impl<D> Pcap<D> {
    fn record(&mut self, now: Instant, frame: &Frame) {
        if let Some(capture) = &mut self.capture
            && let Err(error) = capture.record(now, frame)
        {
            self.end(error);
        }
    }

    fn flush(&mut self) {
        if let Some(capture) = &mut self.capture
            && let Err(error) = capture.flush()
        {
            self.end(error);
        }
    }

    fn end(&mut self, error: io::Error) {
        tracing::warn!(%error, "the packet capture ends early");
        self.capture = None;
        self.failure = Some(error);
    }
}

impl<D: Device> Device for Pcap<D> {
    fn capabilities(&self) -> Capabilities {
        self.device.capabilities()
    }

    fn receive(&mut self, now: Instant) -> io::Result<Option<Frame>> {
        let frame = self.device.receive(now)?;
        if let Some(frame) = &frame {
            self.record(now, frame);
        }
        Ok(frame)
    }

    fn allocate(&mut self, now: Instant, length: usize) -> Option<Frame> {
        self.device.allocate(now, length)
    }

    fn transmit(&mut self, now: Instant, frame: Frame) -> io::Result<()> {
        if !self.device.loops_back() {
            self.record(now, &frame);
        }
        self.device.transmit(now, frame)
    }

    fn poll_readable(&mut self, context: &mut Context<'_>) -> Poll<()> {
        let readable = self.device.poll_readable(context);
        if readable.is_pending() {
            self.flush();
        }
        readable
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

    fn controller(&self) -> Arc<dyn Controller> {
        self.device.controller()
    }

    fn driver(&self) -> &'static str {
        self.device.driver()
    }
}

impl<D: fmt::Debug> fmt::Debug for Pcap<D> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut output = formatter.debug_struct("Pcap");
        output.field("device", &self.device).field("failure", &self.failure).finish_non_exhaustive()
    }
}
