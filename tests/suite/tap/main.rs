//! The stack and the kernel, over a TAP interface: what two independent implementations must agree on.
//!
//! Each test has a network namespace of its own, and its kernel as the peer. They need root, iproute2 and the programs
//! they name; without, they are skipped and say so.

#![cfg(target_os = "linux")]

mod datagrams;
mod dhcp;
mod dns;
mod echo;
mod http;
mod icmp;
mod link;
mod several;
mod transfer;

use std::net::{IpAddr, SocketAddr};

use xila_network_host::Manager;
use xila_network_host::socket::{ListenOptions, TcpListener};
use xila_network_tests::netns::{KERNEL_V4, KERNEL_V6, Namespace, STACK_V4, STACK_V6, block_on};

/// The kernel's and the stack's address, of each family.
const FAMILIES: [(IpAddr, IpAddr); 2] = [(KERNEL_V4, STACK_V4), (KERNEL_V6, STACK_V6)];

/// Runs a test with a namespace and a stack, where this machine can have them.
fn with_kernel(programs: &[&str], mtu: usize, test: impl AsyncFnOnce(&Namespace, &Manager)) {
    let Some(namespace) = Namespace::new(programs) else { return };
    block_on(async {
        let manager = namespace.mount(mtu);
        test(&namespace, &manager).await;
    });
}

fn listen(manager: &Manager, address: IpAddr, port: u16) -> TcpListener {
    TcpListener::bind(&manager.network(), SocketAddr::new(address, port), ListenOptions::default()).unwrap()
}
