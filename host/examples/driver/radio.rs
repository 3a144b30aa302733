//! The driver of a radio: a device and its controller.

use std::collections::VecDeque;
use std::io;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Context, Poll, Waker};

use xila_network_host::commands::interface::Kind;
use xila_network_host::commands::{Command, CommandId};
use xila_network_host::device::controller::execute;
use xila_network_host::device::{Capabilities, Checksums, Controller, Device, Frame, Medium, Pool};
use xila_network_host::platform::Instant;
use xila_network_host::{Error, Result};

use crate::commands::{GetChannel, SetChannel};

const CHANNELS: core::ops::RangeInclusive<u8> = 1..=13;

/// The minimum MTU of IPv6.
const MTU: usize = 1280;

/// The number of frames that a radio holds until its stack takes them. Further frames are lost.
const QUEUE: usize = 64;

/// A radio that another radio receives if both are tuned to the same channel. It carries IP packets.
pub(crate) struct Radio {
    own: Arc<Receiver>,
    other: Arc<Receiver>,
    pool: Pool,
}

impl Radio {
    /// Two radios within reach of each other, tuned to channel 1.
    pub(crate) fn pair() -> [Self; 2] {
        let (one, other) = (Arc::new(Receiver::new()), Arc::new(Receiver::new()));
        let pool = Pool::new(MTU, QUEUE);
        [Self { own: one.clone(), other: other.clone(), pool: pool.clone() }, Self { own: other, other: one, pool }]
    }
}

impl Device for Radio {
    fn capabilities(&self) -> Capabilities {
        Capabilities { medium: Medium::Ip, mtu: MTU, checksums: Checksums::Computed, max_burst: None, lossless: false }
    }

    fn receive(&mut self, _now: Instant) -> io::Result<Option<Frame>> {
        Ok(self.own.heard().frames.pop_front())
    }

    /// There is always room, because a frame that nobody receives is lost.
    fn allocate(&mut self, _now: Instant, length: usize) -> Option<Frame> {
        (length <= MTU).then(|| self.pool.frame(length))
    }

    fn transmit(&mut self, _now: Instant, frame: Frame) -> io::Result<()> {
        if self.own.channel() == self.other.channel() {
            self.other.hear(frame);
        }
        Ok(())
    }

    fn poll_readable(&mut self, context: &mut Context<'_>) -> Poll<()> {
        let mut heard = self.own.heard();
        if heard.frames.is_empty() {
            heard.reader = Some(context.waker().clone());
            return Poll::Pending;
        }
        Poll::Ready(())
    }

    fn poll_writable(&mut self, _context: &mut Context<'_>) -> Poll<()> {
        Poll::Ready(())
    }

    fn driver(&self) -> &'static str {
        "radio"
    }

    fn controller(&self) -> Arc<dyn Controller> {
        self.own.clone()
    }
}

/// The state that the device shares with its controller, which may be called from any thread, and with the other radio.
struct Receiver {
    channel: AtomicU8,
    heard: Mutex<Heard>,
}

/// The received frames that were not taken yet.
#[derive(Default)]
struct Heard {
    frames: VecDeque<Frame>,
    reader: Option<Waker>,
}

impl Receiver {
    fn new() -> Self {
        Self { channel: AtomicU8::new(*CHANNELS.start()), heard: Mutex::default() }
    }

    fn channel(&self) -> u8 {
        self.channel.load(Ordering::Relaxed)
    }

    fn heard(&self) -> MutexGuard<'_, Heard> {
        self.heard.lock().expect("nobody panics while holding the lock")
    }

    fn hear(&self, frame: Frame) {
        let mut heard = self.heard();
        if heard.frames.len() < QUEUE {
            heard.frames.push_back(frame);
        }
        let reader = heard.reader.take();
        drop(heard);
        if let Some(reader) = reader {
            reader.wake();
        }
    }
}

impl Controller for Receiver {
    fn kind(&self) -> Kind {
        Kind::Ip
    }

    fn control(&self, command: CommandId, input: &[u8], output: &mut Vec<u8>) -> Result<()> {
        match command {
            GetChannel::ID => execute::<GetChannel>(input, output, |()| Ok(self.channel())),
            SetChannel::ID => execute::<SetChannel>(input, output, |channel| {
                if !CHANNELS.contains(&channel) {
                    return Err(Error::InvalidArgument);
                }
                self.channel.store(channel, Ordering::Relaxed);
                Ok(())
            }),
            _ => Err(Error::NotSupported),
        }
    }
}
