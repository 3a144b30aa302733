//! A Linux TAP interface: a device that exchanges Ethernet frames with the kernel.
//!
//! [`Tap::open`] attaches to the interface with the given name, or makes one that exists as long as the device. A
//! process without privileges can attach to an interface that was made for it:
//!
//! ```text
//! ip tuntap add dev tap0 mode tap user alice
//! ip address add 192.0.2.1/24 dev tap0
//! ip link set tap0 up
//! ```
//!
//! Checksums are left to the kernel, and so is splitting long segments and batches of datagrams (virtio-net headers,
//! `IFF_VNET_HDR` in the kernel's tuntap documentation). In the other direction the kernel hands over merged segments.
//! If the kernel does not support this, frames are as they are on the wire.
//!
//! The administrator configures the kernel's end: its addresses and its up state are not changed here. The link is up
//! while that end is up and has carrier (`ip link set tap0 carrier off`). The kernel reports changes, also after the
//! interface was moved to another network namespace. Until the end is up for the first time, frames to send wait. While
//! it is down later, sending each frame fails, and receiving waits. If the kernel reports nothing, because the process
//! may not ask, the link counts as up.

mod lull;
#[cfg(test)]
mod tests;
mod virtio;
mod watch;

use core::fmt;
use core::ops::RangeInclusive;
use core::pin::pin;
use core::task::{Context, Poll, Waker};
use std::collections::VecDeque;
use std::io::{self, IoSlice, IoSliceMut};
use std::sync::Arc;

use smallvec::SmallVec;
use tun_rs::{AsyncDevice, DeviceBuilder, Layer, VIRTIO_NET_HDR_LEN, VirtioNetHdr};
use xila_network_commands::drivers::tap::GetKernelName;
use xila_network_commands::interface::Kind;
use xila_network_commands::{Command, CommandId};
use xila_network_engine::buffer::{Buffer, LARGEST_CHUNK};

use self::lull::Lull;
use self::virtio::{Todo, header_of};
use self::watch::Watch;
use super::controller::execute;
use super::plain::plain;
use super::{Capabilities, Checksums, Controller, Device, ETHERNET_HEADER, Frame, Link, Medium, Offloads, Pool};
use crate::error::{Error, Result};
use crate::platform::Instant;

/// From the minimum MTU of IPv6 to the maximum that the kernel allows for a TAP interface.
const MTU: RangeInclusive<usize> = 1280..=65535 - ETHERNET_HEADER;

/// The length of an 802.1Q tag, with which the kernel may send frames.
const VLAN_TAG: usize = 4;

/// The maximum number of frames that wait until the kernel takes them.
const HELD: usize = 64;

/// The number of unused buffers that are kept.
const IDLE: usize = 512;

/// The minimum size of the first buffer of a read, in bytes: it takes short frames, and the heads of long ones with all
/// their headers.
const HEAD: usize = 2048;

/// The maximum length of an IP packet.
const LONGEST: usize = 65535;

/// One open TAP interface.
pub struct Tap {
    name: String,
    device: AsyncDevice,
    mtu: usize,
    pool: Pool,
    /// Whether each frame is preceded by a virtio-net header, which says which offloads it needs.
    has_headers: bool,
    /// Whether the stack accepts frames with several segments and without checksums.
    offloads: bool,
    /// The buffers for the next read: `spare` for short frames and the heads of long ones, `rest` for the rest of long
    /// frames.
    spare: Option<Frame>,
    rest: Option<Buffer>,
    /// Frames that were split from one received frame.
    pending: VecDeque<Frame>,
    /// Frames that the kernel has not taken yet, oldest first.
    held: VecDeque<Frame>,
    /// A failure that could not be returned when it happened.
    failure: Option<io::Error>,
    /// Whether the interface was deleted.
    is_gone: bool,
    /// The watch of its link; `None` if the kernel reports nothing.
    watch: Option<Watch>,
    reader: Option<Waker>,
    lull: Lull,
}

impl Tap {
    /// Opens the TAP interface `name`. If `mtu` is given, the IP MTU of the interface is set to it (1280 to 65521);
    /// else it keeps its MTU.
    ///
    /// # Errors
    /// The kernel does not accept the name, the MTU is out of range, the call is outside a tokio runtime,
    /// `/dev/net/tun` or the permission for it is missing, or the interface is not a TAP interface or is in use.
    ///
    /// # Panics
    /// In a tokio runtime whose I/O driver is not enabled (`Builder::enable_io` or `enable_all`).
    pub fn open(name: &str, mtu: Option<usize>) -> io::Result<Self> {
        Self::open_with(name, mtu, true)
    }

    /// Like [`open`](Self::open), but leaves checksums and segmentation to the kernel only if `offloads`.
    fn open_with(name: &str, mtu: Option<usize>, offloads: bool) -> io::Result<Self> {
        let invalid = |message: String| Err(io::Error::new(io::ErrorKind::InvalidInput, message));
        if !is_interface_name(name) {
            return invalid(format!("{name:?} is no name for a TAP interface: it takes 1 to 15 letters and digits"));
        }
        if let Some(mtu) = mtu.filter(|mtu| !MTU.contains(mtu)) {
            return invalid(format!("a TAP interface takes an MTU of {} to {}, not {mtu}", MTU.start(), MTU.end()));
        }
        if tokio::runtime::Handle::try_current().is_err() {
            return Err(io::Error::other("a TAP interface is opened within a tokio runtime"));
        }
        let open = |offload| {
            let builder = DeviceBuilder::new().name(name).layer(Layer::L2).packet_information(false);
            builder.inherit_enable_state().offload(offload).build_async()
        };
        // A kernel without offloads refuses the first attempt. Any other error happens in the second attempt too.
        let (device, has_headers) = match offloads.then(|| open(true)) {
            Some(Ok(device)) => (device, true),
            Some(Err(_)) | None => (open(false).map_err(|error| explain(name, &error))?, false),
        };
        let actual = usize::from(device.mtu()?);
        let mtu = mtu.unwrap_or(actual);
        if mtu != actual {
            // The MTU is in range, so it fits.
            let value = u16::try_from(mtu).map_err(io::Error::other)?;
            device.set_mtu(value).map_err(|error| {
                io::Error::new(error.kind(), format!("cannot set the MTU of {name} from {actual} to {mtu}: {error}"))
            })?;
        }
        let watch = device.if_index().and_then(Watch::open);
        let watch = watch.inspect_err(|error| tell_unwatched(name, error)).ok();
        Ok(Self {
            name: name.to_owned(),
            device,
            mtu,
            pool: Pool::new((mtu + ETHERNET_HEADER + VLAN_TAG).max(HEAD), IDLE),
            has_headers,
            offloads: false,
            spare: None,
            rest: None,
            pending: VecDeque::new(),
            held: VecDeque::new(),
            failure: None,
            is_gone: false,
            watch,
            reader: None,
            lull: Lull::default(),
        })
    }

    /// The interface's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Sends the held frames, as many as the kernel takes. A frame that it refuses is lost, and the error is kept.
    fn flush(&mut self) {
        while let Some(frame) = self.held.front() {
            let header = if self.has_headers { header_of(frame) } else { [0; VIRTIO_NET_HDR_LEN] };
            let header = self.has_headers.then_some(&header[..]);
            let parts: SmallVec<[IoSlice<'_>; 4]> = header.into_iter().chain(frame.parts()).map(IoSlice::new).collect();
            let sent = self.device.try_send_vectored(&parts);
            drop(parts);
            match sent {
                Err(error) if is_transient(&error) => return,
                Err(error) => self.failure = Some(error),
                Ok(_) => {}
            }
            self.held.pop_front();
        }
    }

    /// Flushes. If frames must wait, registers the task to be woken when the kernel takes more.
    fn poll_flush(&mut self, context: &mut Context<'_>) {
        loop {
            self.flush();
            if self.held.is_empty() {
                return;
            }
            match self.device.poll_writable(context) {
                Poll::Ready(Ok(())) => {}
                Poll::Ready(Err(error)) => {
                    self.fail(&error);
                    self.failure = Some(error);
                    return;
                }
                Poll::Pending => return,
            }
        }
    }

    /// Reads one frame and its virtio-net header.
    fn read(&mut self) -> io::Result<(VirtioNetHdr, Frame)> {
        let pool = &self.pool;
        let mut frame = self.spare.take().unwrap_or_else(|| pool.frame(pool.longest()));
        let mut rest = self.rest.take().unwrap_or_else(|| {
            let mut rest = pool.memory().buffer(LARGEST_CHUNK);
            rest.set_length(LARGEST_CHUNK);
            rest
        });
        let mut header = [0; VIRTIO_NET_HDR_LEN];
        let skipped = if self.has_headers { 0 } else { header.len() };
        let mut parts = [&mut header[skipped..], &mut frame[..], &mut rest[..]].map(IoSliceMut::new);
        let read = self.device.try_recv_vectored(&mut parts[usize::from(!self.has_headers)..]);
        let length = match read {
            Ok(length) => length.saturating_sub(VIRTIO_NET_HDR_LEN - skipped),
            Err(error) => {
                (self.spare, self.rest) = (Some(frame), Some(rest));
                return Err(error);
            }
        };
        match length.checked_sub(frame.len()).filter(|beyond| *beyond > 0) {
            Some(beyond) => {
                rest.set_length(beyond);
                frame.attach(&[rest.share()]);
            }
            None => {
                self.rest = Some(rest);
                frame.truncate(length);
            }
        }
        Ok((VirtioNetHdr::decode(&header)?, frame))
    }

    /// Prepares a received frame for the stack. If it must be split, the first frame is returned and the others are
    /// pending.
    fn arrived(&mut self, header: &VirtioNetHdr, mut frame: Frame) -> Option<Frame> {
        let todo = Todo::of(header);
        frame.set_segment(todo.segment);
        frame.set_unchecked(todo.checksum);
        if (todo.is_common && self.offloads) || todo.is_nothing() {
            return Some(frame);
        }
        self.pending.extend(plain(frame, Medium::Ethernet, &self.pool));
        self.pending.pop_front()
    }

    /// Finds out whether the link has changed, and registers the task to be woken when it does.
    fn poll_link(&mut self, context: &mut Context<'_>) {
        let Some(watch) = &mut self.watch else { return };
        if let Err(error) = watch.poll(context) {
            tell_unwatched(&self.name, &error);
            self.watch = None;
        }
    }

    /// Ends the device, because the interface was deleted.
    fn fail(&mut self, error: &io::Error) {
        tracing::warn!(name = self.name, %error, "the TAP interface is gone");
        self.is_gone = true;
        self.watch = None;
        self.held.clear();
        self.pending.clear();
        (self.spare, self.rest) = (None, None);
    }
}

impl Device for Tap {
    fn capabilities(&self) -> Capabilities {
        Capabilities {
            medium: Medium::Ethernet,
            mtu: self.mtu,
            checksums: Checksums::Computed,
            max_burst: None,
            lossless: false,
        }
    }

    fn receive(&mut self, _now: Instant) -> io::Result<Option<Frame>> {
        if let Some(error) = self.failure.take() {
            return Err(error);
        }
        if self.is_gone {
            return Ok(None);
        }
        loop {
            if let Some(frame) = self.pending.pop_front() {
                return Ok(Some(frame));
            }
            match self.read() {
                Ok((header, frame)) => {
                    if self.lull.is_on() {
                        self.lull.end(std::time::Instant::now());
                    }
                    let Some(frame) = self.arrived(&header, frame) else { continue };
                    return Ok(Some(frame));
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(None),
                Err(error) => {
                    self.fail(&error);
                    return Err(error);
                }
            }
        }
    }

    fn allocate(&mut self, _now: Instant, length: usize) -> Option<Frame> {
        if self.held.len() >= HELD {
            self.flush();
        }
        (self.held.len() < HELD && length <= self.pool.longest()).then(|| self.pool.frame(length))
    }

    fn transmit(&mut self, _now: Instant, frame: Frame) -> io::Result<()> {
        if !self.is_gone {
            self.held.push_back(frame);
            self.flush();
            // The task that waits for received frames must also send the held ones when that is possible. Frames are
            // also held right after opening, because tokio learns only from its reactor that the interface is writable.
            if let Some(reader) = self.reader.take_if(|_| !self.held.is_empty()) {
                reader.wake();
            }
        }
        self.failure.take().map_or(Ok(()), Err)
    }

    fn poll_readable(&mut self, context: &mut Context<'_>) -> Poll<()> {
        if !self.is_gone {
            self.poll_link(context);
            self.poll_flush(context);
        }
        if self.failure.is_some() || !self.pending.is_empty() {
            return Poll::Ready(());
        }
        if self.is_gone {
            return Poll::Pending;
        }
        match self.device.poll_readable(context) {
            Poll::Ready(Ok(())) => Poll::Ready(()),
            Poll::Ready(Err(error)) => {
                self.fail(&error);
                self.failure = Some(error);
                Poll::Ready(())
            }
            Poll::Pending => {
                self.reader = Some(context.waker().clone());
                if self.lull.is_worth_waiting(std::time::Instant::now()) {
                    // The task is polled again as soon as the runtime has asked the kernel for events.
                    let _ = pin!(tokio::task::yield_now()).poll(context);
                }
                Poll::Pending
            }
        }
    }

    fn poll_writable(&mut self, context: &mut Context<'_>) -> Poll<()> {
        if self.held.len() < HELD {
            return Poll::Ready(());
        }
        self.poll_flush(context);
        if self.held.len() < HELD { Poll::Ready(()) } else { Poll::Pending }
    }

    fn set_offloads(&mut self, wanted: bool) -> Offloads {
        self.offloads = wanted && self.has_headers;
        if !self.has_headers {
            return Offloads::default();
        }
        // The kernel splits batches of datagrams since version 6.2.
        Offloads { segmentation: LONGEST, checksums: true, datagrams: self.device.udp_gso() }
    }

    fn link(&self) -> Link {
        match &self.watch {
            _ if self.is_gone => Link::Down,
            Some(watch) => watch.link(),
            None => Link::Up,
        }
    }

    fn controller(&self) -> Arc<dyn Controller> {
        Arc::new(TapController { kernel_name: self.name.clone() })
    }

    fn driver(&self) -> &'static str {
        "tap"
    }
}

/// Answers the commands of a TAP device.
struct TapController {
    kernel_name: String,
}

impl Controller for TapController {
    fn kind(&self) -> Kind {
        Kind::Ethernet
    }

    fn control(&self, command: CommandId, input: &[u8], output: &mut Vec<u8>) -> Result<()> {
        match command {
            GetKernelName::ID => execute::<GetKernelName>(input, output, |()| Ok(self.kernel_name.clone())),
            _ => Err(Error::NotSupported),
        }
    }
}

impl fmt::Debug for Tap {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Tap").field("name", &self.name).field("mtu", &self.mtu).finish_non_exhaustive()
    }
}

fn tell_unwatched(name: &str, error: &io::Error) {
    tracing::warn!(name, %error, "the TAP interface's link is not watched, and counts as up");
}

/// Whether an attempt may succeed later.
fn is_transient(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted)
}

/// Whether the kernel accepts a name (`dev_valid_name`). Names with `%`, which the kernel would read as a pattern, are
/// refused.
fn is_interface_name(name: &str) -> bool {
    let forbidden = |character: char| !character.is_ascii_graphic() || matches!(character, '/' | ':' | '%');
    (1..=15).contains(&name.len()) && !matches!(name, "." | "..") && !name.contains(forbidden)
}

/// Adds to an error what may solve the problem.
fn explain(name: &str, error: &io::Error) -> io::Error {
    let remedy = match error.kind() {
        io::ErrorKind::PermissionDenied => {
            ": without privileges, attach to one made by `ip tuntap add dev NAME mode tap user USER`"
        }
        io::ErrorKind::NotFound => ": /dev/net/tun is missing, load the kernel module `tun`",
        io::ErrorKind::ResourceBusy => ": another process has it open",
        io::ErrorKind::InvalidInput => ": an interface of that name exists and is not a TAP interface",
        _ => "",
    };
    io::Error::new(error.kind(), format!("cannot open the TAP interface {name}: {error}{remedy}"))
}
