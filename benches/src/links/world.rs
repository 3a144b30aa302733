//! Two namespaces and the link between them.

use std::io;
use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;

use tun_rs::{DeviceBuilder, Layer, SyncDevice};

use super::bridge::Bridge;
use super::capture::Capture;
use super::endpoint::Kind;
use super::namespace::Namespace;
use super::way::{Conditions, Counts};

/// The TAP interface in each namespace that our stack attaches to.
pub const OURS: &str = "ours0";

/// The other TAP interface in each namespace, which leads to the link.
const LINK: &str = "link0";

/// The length of a TAP device's queue, in frames: long enough that only the link's queue overflows.
const TAP_QUEUE: usize = 10_000;

/// One of the two ends of a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// The end that sends the data.
    Sender,
    /// The end that receives the data.
    Receiver,
}

impl Side {
    /// The address of an end of this kind on this side.
    #[must_use]
    pub const fn address(self, kind: Kind) -> IpAddr {
        let last = match self {
            Self::Sender => 1,
            Self::Receiver => 2,
        };
        let last = match kind {
            Kind::Kernel => last,
            Kind::Ours => last + 10,
        };
        IpAddr::V4(Ipv4Addr::new(10, 77, 0, last))
    }
}

/// A link with a namespace at each end.
#[derive(Debug)]
pub struct World {
    namespaces: [Namespace; 2],
    bridge: Bridge,
}

impl World {
    /// Makes the namespaces and the link. Both kinds of ends can be used on either side.
    ///
    /// # Errors
    /// Without the privileges, `/dev/net/tun`, Linux bridges or iproute2.
    pub fn new(conditions: Conditions, seed: u64, capture: Option<&Path>) -> io::Result<Self> {
        let (sender, sending) = end(Side::Sender)?;
        let (receiver, receiving) = end(Side::Receiver)?;
        let capture = capture.map(Capture::new).transpose()?;
        let bridge = Bridge::start([sending, receiving], conditions, seed, capture)?;
        Ok(Self { namespaces: [sender, receiver], bridge })
    }

    /// The namespace of one end.
    #[must_use]
    pub const fn namespace(&self, side: Side) -> &Namespace {
        let [sender, receiver] = &self.namespaces;
        match side {
            Side::Sender => sender,
            Side::Receiver => receiver,
        }
    }

    /// Ends the link; returns the counts of its frames, beginning with those from the sender.
    ///
    /// # Errors
    /// If the bridge had an error.
    pub fn finish(self) -> io::Result<[Counts; 2]> {
        self.bridge.finish()
    }
}

/// Makes a namespace with its interfaces, and the device that leads to the link.
fn end(side: Side) -> io::Result<(Namespace, SyncDevice)> {
    let namespace = Namespace::new()?;
    let device = namespace.run(|| {
        let builder = DeviceBuilder::new().name(LINK).layer(Layer::L2).packet_information(false);
        builder.inherit_enable_state().build_sync()
    })?;
    let address = side.address(Kind::Kernel);
    let number = 1 + side as u8;
    namespace.batch(
        "ip",
        &format!(
            "link set lo up\n\
             link add br0 address 02:00:00:00:00:0{number} type bridge forward_delay 0 mcast_snooping 0\n\
             tuntap add dev {OURS} mode tap\n\
             link set {LINK} txqueuelen {TAP_QUEUE} master br0 up\n\
             link set {OURS} txqueuelen {TAP_QUEUE} master br0 up\n\
             link set br0 up\n\
             address add {address}/24 dev br0\n"
        ),
    )?;
    // The default queueing discipline may be another, such as `fq`, which would pace the segments of the kernel's TCP.
    namespace.batch(
        "tc",
        &format!(
            "qdisc replace dev {LINK} root pfifo limit {TAP_QUEUE}\nqdisc replace dev {OURS} root pfifo limit {TAP_QUEUE}\n"
        ),
    )?;
    Ok((namespace, device))
}
