//! An Ethernet segment with several kernels and stacks: a bridge of the kernel in a namespace of its own.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use xila_network_host::device::Device;
use xila_network_host::device::tap::Tap;
use xila_network_host::platform::tokio::platform;
use xila_network_host::{InterfaceConfig, Manager};

use crate::netns::Namespace;

/// A bridge of the kernel. The hosts that are joined to it must be dropped before it.
#[derive(Debug)]
pub struct Segment {
    namespace: Namespace,
    taps: AtomicUsize,
}

impl Segment {
    /// An empty segment, for a test that runs these programs, and `sh`, in the namespaces of its hosts; `None` in the
    /// same cases as [`Namespace::new`]. The bridge has these options, in the syntax of `ip link`.
    ///
    /// # Panics
    /// As [`Namespace::new`], and if the bridge cannot be made.
    #[must_use]
    pub fn new(programs: &[&str], options: &str) -> Option<Self> {
        let namespace = Namespace::new(&[&["sh"], programs].concat())?;
        // The bridge itself must not act as a host.
        namespace.sysctl("ipv6/conf/default/accept_ra", "0");
        namespace.ip(format!("link add br0 type bridge forward_delay 0 {options}").trim_end());
        namespace.ip("link set dev br0 addrgenmode none up");
        Some(Self { namespace, taps: AtomicUsize::new(0) })
    }

    /// The namespace of the bridge `br0`.
    #[must_use]
    pub const fn namespace(&self) -> &Namespace {
        &self.namespace
    }

    /// Makes a TAP interface whose far end is a port of the bridge; returns it with the port's name. Needs a tokio
    /// runtime.
    ///
    /// # Panics
    /// If that fails.
    #[must_use]
    pub fn tap(&self) -> (Tap, String) {
        let number = self.taps.fetch_add(1, Ordering::Relaxed);
        let port = format!("{}t{number}", self.namespace.interface());
        let tap = self.namespace.tap(&port, 1500);
        self.namespace.ip(&format!("link set dev {port} master br0 up"));
        (tap, port)
    }

    /// Makes a stack on the segment, with the interface `tap0`. Needs a tokio runtime.
    ///
    /// # Panics
    /// If that fails.
    #[must_use]
    pub fn stack(&self, config: InterfaceConfig) -> Manager {
        mount(self.tap().0, config)
    }

    /// Makes a kernel on the segment, in a namespace of its own, with these addresses and no others. It uses them
    /// without duplicate address detection, and keeps them when its link goes down.
    ///
    /// # Panics
    /// If that fails.
    #[must_use]
    pub fn kernel(&self, addresses: &[&str]) -> Namespace {
        let host = Namespace::new(&[]).unwrap_or_else(|| panic!("there was a namespace before"));
        // `default` holds the initial settings of an interface, `all` those of all interfaces.
        for conf in ["default", "all"] {
            for (name, value) in [("accept_dad", "0"), ("accept_ra", "0"), ("keep_addr_on_down", "1")] {
                host.sysctl(&format!("ipv6/conf/{conf}/{name}"), value);
            }
        }
        let interface = host.interface();
        host.ip(&format!("link add {interface} type veth peer name {interface} netns {}", self.namespace.name()));
        self.namespace.ip(&format!("link set dev {interface} addrgenmode none master br0 up"));
        host.ip(&format!("link set dev {interface} addrgenmode none up"));
        host.ip("link set dev lo up");
        // The kernel needs a while to notice that the two ends are joined, and does not use IPv6 before.
        let start = Instant::now();
        while !host.output("ip", &["link", "show", "dev", interface]).contains("state UP") {
            assert!(start.elapsed() < Duration::from_secs(30), "{interface} is not up");
            thread::sleep(Duration::from_millis(10));
        }
        for address in addresses {
            host.ip(&format!("address add {address} dev {interface}"));
        }
        host
    }
}

/// Makes a stack on a device, with the interface `tap0`.
///
/// # Panics
/// If the interface cannot be mounted.
#[must_use]
pub fn mount(device: impl Device, config: InterfaceConfig) -> Manager {
    let manager = Manager::new(platform());
    manager.mount_interface("tap0", device, config).unwrap_or_else(|error| panic!("{error}"));
    manager
}
