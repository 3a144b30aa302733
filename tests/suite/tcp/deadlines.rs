//! A device that takes no frames: deadlines end connections in time, although nothing can be sent.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use xila_network_host::device::{Capabilities, Device, Frame};
use xila_network_host::platform::Instant;
use xila_network_host::socket::{ConnectOptions, KeepAlive, ListenOptions, TcpOptions, TcpState, TcpStream};
use xila_network_host::{ConnectError, WriteError};
use xila_network_tests::link::{Family, INTERFACE, Link, PORT};

/// A device that takes frames until it is shut.
struct Valve {
    device: Box<dyn Device>,
    shut: Arc<AtomicBool>,
}

impl Device for Valve {
    fn capabilities(&self) -> Capabilities {
        self.device.capabilities()
    }

    fn receive(&mut self, now: Instant) -> io::Result<Option<Frame>> {
        self.device.receive(now)
    }

    fn allocate(&mut self, now: Instant, length: usize) -> Option<Frame> {
        if self.shut.load(Ordering::Relaxed) { None } else { self.device.allocate(now, length) }
    }

    fn transmit(&mut self, now: Instant, frame: Frame) -> io::Result<()> {
        self.device.transmit(now, frame)
    }

    fn poll_readable(&mut self, context: &mut Context<'_>) -> Poll<()> {
        self.device.poll_readable(context)
    }

    fn poll_writable(&mut self, context: &mut Context<'_>) -> Poll<()> {
        // The valve is never opened again.
        if self.shut.load(Ordering::Relaxed) { Poll::Pending } else { self.device.poll_writable(context) }
    }

    fn driver(&self) -> &'static str {
        "valve"
    }
}

/// A link whose client's device can be blocked, with a connection that is first in the queue for the device: all other
/// senders come after it.
struct Stuck {
    link: Link,
    shut: Arc<AtomicBool>,
    first: (TcpStream, TcpStream),
    pair: (TcpStream, TcpStream),
}

impl Stuck {
    fn new(tcp: TcpOptions) -> Self {
        let link = Link::plain(1);
        let shut = Arc::<AtomicBool>::default();
        let config = link.client.config();
        let device = link.client.manager.unmount_interface(INTERFACE).unwrap();
        let valve = Valve { device, shut: shut.clone() };
        link.client.manager.mount_interface(INTERFACE, valve, config).unwrap();
        let (first, pair) = link.block_on(async {
            let first = link.pair(Family::V4).await;
            let connect = ConnectOptions { tcp, ..ConnectOptions::default() };
            (first, link.pair_with(Family::V6, connect, ListenOptions::default()).await)
        });
        Self { link, shut, first, pair }
    }

    fn shut(&self) {
        self.shut.store(true, Ordering::Relaxed);
        self.first.0.set_user_timeout(None).unwrap();
        self.first.0.try_write(b"this is in the way").unwrap();
    }

    fn advance(&self, seconds: u64) {
        self.link.simulation.advance(Duration::from_secs(seconds));
    }
}

#[test]
fn a_connection_attempt_times_out() {
    let stuck = Stuck::new(TcpOptions::default());
    stuck.shut();
    stuck.link.block_on(async {
        let options = ConnectOptions { timeout: Duration::from_secs(10), ..ConnectOptions::default() };
        let remote = stuck.link.server.at(Family::V4, PORT + 1);
        let connecting = TcpStream::connect_with(&stuck.link.client.network, remote, options);
        let (result, took) = stuck.link.within(Duration::from_secs(11), connecting).await;
        assert_eq!(result.map(drop), Err(ConnectError::TimedOut));
        assert!(took >= Duration::from_secs(10), "{took:?}");
    });
    stuck.advance(10);
    assert_eq!(stuck.link.client.flows(), 2, "the attempt leaves nothing");
}

#[test]
fn the_user_timeout_ends_a_connection() {
    let stuck = Stuck::new(TcpOptions { user_timeout: Some(Duration::from_secs(20)), ..TcpOptions::default() });
    stuck.shut();
    stuck.pair.0.try_write(b"never sent").unwrap();
    stuck.advance(19);
    assert_eq!(stuck.pair.0.state(), TcpState::Established);
    stuck.advance(2);
    assert_eq!(stuck.pair.0.try_write(b"more"), Err(WriteError::TimedOut));
}

#[test]
fn a_dropped_connection_lingers_no_longer_than_it_may() {
    let stuck = Stuck::new(TcpOptions { linger: Duration::from_secs(20), user_timeout: None, ..TcpOptions::default() });
    stuck.shut();
    let Stuck { link, pair: (client, _server), .. } = stuck;
    client.try_write(b"never sent").unwrap();
    drop(client);
    link.simulation.advance(Duration::from_secs(19));
    assert_eq!(link.client.flows(), 2);
    link.simulation.advance(Duration::from_secs(3));
    assert_eq!(link.client.flows(), 1, "the one that is in the way");
}

#[test]
fn keep_alive_ends_a_connection() {
    let stuck = Stuck::new(TcpOptions::default());
    stuck.shut();
    let keep_alive = KeepAlive { idle: Duration::from_secs(30), interval: Duration::from_secs(10), count: 3 };
    stuck.pair.0.set_keep_alive(Some(keep_alive)).unwrap();
    stuck.advance(100);
    assert_eq!(stuck.pair.0.state(), TcpState::Closed);
}

#[test]
fn an_aborted_connection_is_forgotten() {
    let stuck = Stuck::new(TcpOptions::default());
    stuck.shut();
    let Stuck { link, first, pair: (client, server), .. } = stuck;
    client.abort();
    drop(client);
    link.simulation.advance(Duration::from_secs(5));
    assert_eq!(link.client.flows(), 1, "the one that is in the way");
    drop((first, server));
}
