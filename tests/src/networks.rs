//! Networks for guest programs, and checks of what is left on them.

use std::net::SocketAddr;
use std::time::Duration;

use xila_network_host::device::hub::{Hub, HubOptions};
use xila_network_host::interface::State;
use xila_network_host::platform::Access;
use xila_network_host::socket::UdpSocket;
use xila_network_host::{InterfaceConfig, Manager, platform};

use crate::guests::Guest;

/// A manager with only its loopback.
pub fn manager() -> Manager {
    Manager::new(platform::tokio::platform())
}

/// A manager with `lo` and `eth0`, 10.0.0.1/24, on a link without other hosts.
pub fn with_ethernet() -> (Hub, Manager) {
    let hub = Hub::new(&platform::tokio::platform(), HubOptions::default());
    let manager = mounted(&hub, "10.0.0.1/24");
    (hub, manager)
}

/// Two managers on one link that delays, loses and reorders frames: their `eth0` are 10.0.0.1/24 and 10.0.0.2/24.
pub fn over_a_lossy_link() -> (Hub, Manager, Manager) {
    let options = HubOptions { latency: Duration::from_millis(1), loss: 0.01, seed: 7, ..HubOptions::default() };
    let hub = Hub::new(&platform::tokio::platform(), options);
    let (near, far) = (mounted(&hub, "10.0.0.1/24"), mounted(&hub, "10.0.0.2/24"));
    (hub, near, far)
}

fn mounted(hub: &Hub, cidr: &str) -> Manager {
    let manager = manager();
    let config = InterfaceConfig {
        addresses: vec![cidr.parse().expect("a CIDR")],
        link_local: false,
        ..InterfaceConfig::default()
    };
    manager.mount_interface("eth0", hub.port(), config).expect("an interface");
    manager
}

/// Checks, after the guests' stores are dropped, that there is no listener and no UDP or ICMP socket, and waits until
/// there is no connection: the peers, which are dropped too, still have to answer.
///
/// # Panics
/// If something is left.
pub async fn nothing_is_left(manager: &Manager) {
    for interface in manager.interfaces() {
        let now = interface.statistics();
        let sockets = (now.tcp_listeners, now.udp_sockets, now.icmp_sockets);
        assert_eq!(sockets, (0, 0, 0), "{}: {now:?}", interface.name());
        let waited = tokio::time::timeout(Duration::from_secs(30), until(|| interface.statistics().tcp_flows == 0));
        assert!(waited.await.is_ok(), "{}: {:?}", interface.name(), interface.statistics());
    }
}

/// Runs a program on a loopback of its own, which it may control, and checks that it succeeds and leaves nothing behind.
pub async fn with_control(program: &str) {
    let manager = manager();
    Guest::new(program).network(manager.network()).control(&manager, Access::READ_WRITE).succeed().await;
    nothing_is_left(&manager).await;
}

/// Runs a program on a loopback of its own, which is down as long as the program has port 9 of 127.0.0.1 for UDP, and
/// checks that it succeeds and leaves nothing behind. For programs that cannot control an interface themselves.
pub async fn with_outages(program: &str) {
    let manager = manager();
    let lo = manager.interface("lo").expect("lo");
    let place = SocketAddr::from(([127, 0, 0, 1], 9));
    let obeying = async {
        loop {
            let is_taken = UdpSocket::bind(&manager.network(), place).is_err();
            lo.set_state(if is_taken { State::Down } else { State::Up });
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    tokio::select! {
        _ = Guest::new(program).network(manager.network()).succeed() => {}
        () = obeying => {}
    }
    nothing_is_left(&manager).await;
}

/// Waits until the condition holds.
pub async fn until(mut so: impl FnMut() -> bool) {
    while !so() {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

/// Defines tests that run a program on a loopback of its own, and check that it succeeds and leaves nothing behind.
#[macro_export]
macro_rules! on_loopback {
    ($($program:ident)*) => {
        $(
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            pub(crate) async fn $program() {
                let manager = $crate::networks::manager();
                $crate::guests::Guest::new(stringify!($program)).network(manager.network()).succeed().await;
                $crate::networks::nothing_is_left(&manager).await;
            }
        )*
    };
}
