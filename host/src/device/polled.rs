//! An adapter for a plain [`smoltcp::phy::Device`].
//!
//! Such a device has no wakers: it can only be asked whether there is a frame. So this adapter asks it on an interval,
//! for as long as the stack waits. That costs wake-ups while the link is idle, and delays a frame by up to one
//! interval. A driver that can signal should implement [`Device`] itself.

use core::fmt;
use core::task::{Context, Poll};
use core::time::Duration;
use std::io;
use std::sync::Arc;

use smoltcp::phy::{self, Checksum, RxToken as _, TxToken as _};

use super::{Capabilities, Checksums, Device, ETHERNET_HEADER, Frame, Medium, Pool};
use crate::platform::{Clock, Instant, Platform, Timer};

/// The number of unused buffers that are kept.
const IDLE: usize = 64;

/// A [`smoltcp::phy::Device`] as a [`Device`], polled on an interval.
pub struct Polled<D> {
    device: D,
    kind: &'static str,
    interval: Duration,
    capabilities: Capabilities,
    pool: Pool,
    clock: Arc<dyn Clock>,
    read: Box<dyn Timer>,
    write: Box<dyn Timer>,
    /// A frame that was received to find out whether there is one: dropping a token may lose its frame.
    received: Option<Frame>,
    /// A frame that the device did not take although it had said that it has room.
    held: Option<Frame>,
    failure: Option<io::Error>,
}

impl<D: phy::Device + Send + 'static> Polled<D> {
    /// Adapts `device`, which is shown as `kind` in listings of interfaces. MTU, medium and checksums are those of the
    /// device. If it needs any of the IPv4, TCP and UDP checksums computed, all are computed.
    ///
    /// # Errors
    /// The interval is zero, the medium is neither Ethernet nor IP, or the MTU is too small for the link header.
    pub fn new(device: D, kind: &'static str, interval: Duration, platform: &Platform) -> io::Result<Self> {
        let invalid = |message: &str| io::Error::new(io::ErrorKind::InvalidInput, message);
        if interval.is_zero() {
            return Err(invalid("a device cannot be polled on an interval of zero"));
        }
        let described = device.capabilities();
        let (medium, header) = match described.medium {
            phy::Medium::Ethernet => (Medium::Ethernet, ETHERNET_HEADER),
            phy::Medium::Ip => (Medium::Ip, 0),
            // Other media exist only if another crate enables them in smoltcp.
            #[allow(unreachable_patterns)]
            _ => return Err(invalid("only Ethernet and IP devices can be adapted")),
        };
        let mtu = described.max_transmission_unit.checked_sub(header).filter(|mtu| *mtu > 0);
        let capabilities = Capabilities {
            medium,
            mtu: mtu.ok_or_else(|| invalid("the device's MTU holds no more than its header"))?,
            checksums: checksums(&described.checksum),
            max_burst: described.max_burst_size,
            lossless: false,
        };
        let clock = platform.clock.clone();
        Ok(Self {
            device,
            kind,
            interval,
            capabilities,
            pool: Pool::new(capabilities.frame_length(), IDLE),
            read: clock.timer(),
            write: clock.timer(),
            clock,
            received: None,
            held: None,
            failure: None,
        })
    }

    /// Returns the device. A frame that was read ahead or held back is lost.
    #[must_use]
    pub fn into_inner(self) -> D {
        self.device
    }

    /// Reads one frame ahead, unless one is there already.
    fn fetch(&mut self, now: Instant) {
        if self.received.is_some() || self.failure.is_some() {
            return;
        }
        let Some((token, _)) = self.device.receive(to_smoltcp(now)) else {
            return;
        };
        let pool = &self.pool;
        let fetched = token.consume(|bytes| {
            if bytes.len() > pool.longest() {
                let message = format!("the device gave a frame of {} bytes, longer than its MTU allows", bytes.len());
                return Err(io::Error::new(io::ErrorKind::InvalidData, message));
            }
            let mut frame = pool.frame(bytes.len());
            frame.copy_from_slice(bytes);
            Ok(frame)
        });
        match fetched {
            Ok(frame) => self.received = Some(frame),
            Err(error) => self.failure = Some(error),
        }
    }

    /// Sends the held frame, if the device takes it now.
    fn flush(&mut self, now: Instant) {
        let Some(frame) = self.held.take() else { return };
        match self.device.transmit(to_smoltcp(now)) {
            Some(token) => token.consume(frame.len(), |bytes| bytes.copy_from_slice(&frame)),
            None => self.held = Some(frame),
        }
    }

    fn is_writable(&mut self, now: Instant) -> bool {
        self.flush(now);
        self.held.is_none() && self.device.transmit(to_smoltcp(now)).is_some()
    }
}

impl<D: phy::Device + Send + 'static> Device for Polled<D> {
    fn capabilities(&self) -> Capabilities {
        self.capabilities
    }

    fn receive(&mut self, now: Instant) -> io::Result<Option<Frame>> {
        self.fetch(now);
        match self.failure.take() {
            Some(error) => Err(error),
            None => Ok(self.received.take()),
        }
    }

    fn allocate(&mut self, now: Instant, length: usize) -> Option<Frame> {
        (length <= self.pool.longest() && self.is_writable(now)).then(|| self.pool.frame(length))
    }

    fn transmit(&mut self, now: Instant, frame: Frame) -> io::Result<()> {
        self.flush(now);
        if self.held.is_some() {
            return Err(io::Error::new(io::ErrorKind::WouldBlock, "the device's transmit queue is full"));
        }
        self.held = Some(frame);
        self.flush(now);
        Ok(())
    }

    fn poll_readable(&mut self, context: &mut Context<'_>) -> Poll<()> {
        loop {
            let now = self.clock.now();
            self.flush(now);
            self.fetch(now);
            if self.received.is_some() || self.failure.is_some() {
                return Poll::Ready(());
            }
            self.read.set(Some(now + self.interval));
            if self.read.poll(context).is_pending() {
                return Poll::Pending;
            }
        }
    }

    fn poll_writable(&mut self, context: &mut Context<'_>) -> Poll<()> {
        loop {
            let now = self.clock.now();
            if self.is_writable(now) {
                return Poll::Ready(());
            }
            self.write.set(Some(now + self.interval));
            if self.write.poll(context).is_pending() {
                return Poll::Pending;
            }
        }
    }

    fn driver(&self) -> &'static str {
        self.kind
    }
}

impl<D> fmt::Debug for Polled<D> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut output = formatter.debug_struct("Polled");
        output.field("kind", &self.kind).field("interval", &self.interval).finish_non_exhaustive()
    }
}

fn to_smoltcp(now: Instant) -> smoltcp::time::Instant {
    smoltcp::time::Instant::from_micros(i64::try_from(now.since_origin().as_micros()).unwrap_or(i64::MAX))
}

/// Checksums are omitted only if the device needs none of the IPv4, TCP and UDP checksums.
fn checksums(described: &phy::ChecksumCapabilities) -> Checksums {
    let wanted = [&described.ipv4, &described.tcp, &described.udp];
    if wanted.into_iter().all(|checksum| matches!(checksum, Checksum::None)) {
        Checksums::Omitted
    } else {
        Checksums::Computed
    }
}

#[cfg(test)]
mod tests {
    use core::future::poll_fn;

    use smoltcp::phy::{DeviceCapabilities, Loopback};

    use super::*;
    use crate::platform::simulated::Simulation;

    const INTERVAL: Duration = Duration::from_millis(10);

    fn polled(simulation: &Simulation, medium: phy::Medium) -> Polled<Loopback> {
        Polled::new(Loopback::new(medium), "test", INTERVAL, &simulation.platform()).unwrap()
    }

    #[test]
    fn frames_pass_both_ways_and_looking_for_one_does_not_lose_it() {
        let simulation = Simulation::new(0);
        let mut device = polled(&simulation, phy::Medium::Ethernet);
        let now = simulation.now();
        for mark in 0..3 {
            let mut frame = device.allocate(now, 60).unwrap();
            frame[59] = mark;
            device.transmit(now, frame).unwrap();
        }
        for mark in 0..3 {
            simulation.block_on(poll_fn(|context| device.poll_readable(context)));
            let frame = device.receive(now).unwrap().unwrap();
            assert_eq!((frame.len(), frame[59]), (60, mark));
        }
        assert!(device.receive(now).unwrap().is_none());
    }

    #[test]
    fn a_frame_is_found_within_one_interval() {
        let simulation = Simulation::new(0);
        let device = Arc::new(parking_lot::Mutex::new(polled(&simulation, phy::Medium::Ip)));
        let (driver, later) = (device.clone(), simulation.sleep(INTERVAL * 3 / 2));
        simulation.spawn(async move {
            later.await;
            // Without the adapter's knowledge, as a driver's interrupt would do it.
            let device = &mut driver.lock().device;
            let token = phy::Device::transmit(device, smoltcp::time::Instant::ZERO).unwrap();
            token.consume(20, |bytes| bytes.fill(1));
        });
        simulation.block_on(poll_fn(|context| device.lock().poll_readable(context)));
        assert_eq!(simulation.now().since_origin(), INTERVAL * 2);
    }

    /// A device whose transmit queue fills without the adapter's knowledge, and which returns frames longer than its
    /// MTU.
    struct Awkward {
        room: Arc<parking_lot::Mutex<usize>>,
        sent: Arc<parking_lot::Mutex<Vec<u8>>>,
    }

    struct Give;

    impl phy::RxToken for Give {
        fn consume<R, F: FnOnce(&[u8]) -> R>(self, work: F) -> R {
            work(&[0; 1501])
        }
    }

    struct Take<'a>(&'a Awkward);

    impl phy::TxToken for Take<'_> {
        fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, length: usize, work: F) -> R {
            *self.0.room.lock() -= 1;
            let mut bytes = vec![0; length];
            let result = work(&mut bytes);
            self.0.sent.lock().push(bytes[0]);
            result
        }
    }

    impl phy::Device for Awkward {
        type RxToken<'a> = Give;
        type TxToken<'a> = Take<'a>;

        fn receive(&mut self, _: smoltcp::time::Instant) -> Option<(Give, Take<'_>)> {
            Some((Give, Take(self)))
        }

        fn transmit(&mut self, _: smoltcp::time::Instant) -> Option<Take<'_>> {
            (*self.room.lock() > 0).then_some(Take(self))
        }

        fn capabilities(&self) -> DeviceCapabilities {
            let mut capabilities = DeviceCapabilities::default();
            capabilities.medium = phy::Medium::Ip;
            capabilities.max_transmission_unit = 1500;
            capabilities
        }
    }

    #[test]
    fn a_full_device_holds_back_its_sender_and_loses_nothing() {
        let simulation = Simulation::new(0);
        let (room, sent) = (Arc::new(parking_lot::Mutex::new(1)), Arc::default());
        let awkward = Awkward { room: room.clone(), sent: Arc::clone(&sent) };
        let mut device = Polled::new(awkward, "test", INTERVAL, &simulation.platform()).unwrap();
        let now = simulation.now();
        let mut frames: Vec<_> = (0..2).map(|_| device.allocate(now, 20).unwrap()).collect();
        for (mark, mut frame) in (0..).zip(frames.drain(..)) {
            frame[0] = mark;
            device.transmit(now, frame).unwrap();
        }
        assert_eq!(*sent.lock(), [0]);
        assert!(device.allocate(now, 20).is_none());
        let (more, later) = (room.clone(), simulation.sleep(INTERVAL / 2));
        simulation.spawn(async move {
            later.await;
            *more.lock() = 2;
        });
        simulation.block_on(poll_fn(|context| device.poll_writable(context)));
        assert_eq!(*sent.lock(), [0, 1]);
        assert_eq!(simulation.now().since_origin(), INTERVAL);
    }

    #[test]
    fn a_frame_longer_than_the_mtu_is_an_error() {
        let simulation = Simulation::new(0);
        let awkward = Awkward { room: Arc::default(), sent: Arc::default() };
        let mut device = Polled::new(awkward, "test", INTERVAL, &simulation.platform()).unwrap();
        simulation.block_on(poll_fn(|context| device.poll_readable(context)));
        assert_eq!(device.receive(simulation.now()).unwrap_err().kind(), io::ErrorKind::InvalidData);
    }

    #[test]
    fn capabilities_are_the_devices_own_and_an_interval_of_zero_is_refused() {
        let simulation = Simulation::new(0);
        let ethernet = polled(&simulation, phy::Medium::Ethernet).capabilities();
        assert_eq!((ethernet.medium, ethernet.mtu), (Medium::Ethernet, 65535 - ETHERNET_HEADER));
        assert_eq!(ethernet.checksums, Checksums::Omitted);
        let zero = Polled::new(Loopback::new(phy::Medium::Ip), "test", Duration::ZERO, &simulation.platform());
        assert_eq!(zero.unwrap_err().kind(), io::ErrorKind::InvalidInput);
    }

    #[test]
    fn checksums_are_omitted_only_if_the_device_needs_none() {
        let mut described = phy::ChecksumCapabilities::ignored();
        assert_eq!(checksums(&described), Checksums::Omitted);
        described.udp = Checksum::Rx;
        assert_eq!(checksums(&described), Checksums::Computed);
    }
}
