//! Tests of connections that end while a listener accepts them.

use core::pin::pin;

use super::*;
use crate::manager::Manager;
use crate::platform::simulated::Simulation;
use crate::socket::TcpState;

fn at(port: u16) -> SocketAddr {
    SocketAddr::new([127, 0, 0, 1].into(), port)
}

/// A listener is told that a connection waits. Before it accepts, the peer resets the connection, and a connection of
/// another listener takes its slot.
#[test]
fn a_connection_that_was_reset_is_not_accepted_as_anothers() {
    let simulation = Simulation::new(1);
    let manager = Manager::new(simulation.platform());
    let network = manager.network();
    let [first, second] =
        [1000, 2000].map(|port| TcpListener::bind(&network, at(port), ListenOptions::default()).unwrap());
    let client = simulation.block_on(TcpStream::connect(&network, at(1000))).unwrap();
    let stack = first.backlog.next(None).expect("a connection waits");
    client.abort();
    let other = simulation.block_on(TcpStream::connect(&network, at(2000))).unwrap();
    assert_eq!(stack.with_mut(|core| core.tcp().accept(&first.backlog)), None);
    assert_eq!(first.try_accept().map(drop), Err(AcceptError::WouldBlock));
    let (accepted, peer) = second.try_accept().unwrap();
    assert_eq!((accepted.local_addr(), peer), (at(2000), other.local_addr()));
    // Dropping it does not affect the connection that has its slot now.
    drop(client);
    drop(first);
    assert_eq!((other.state(), accepted.state()), (TcpState::Established, TcpState::Established));
}

/// The same with threads: a peer connects to one listener and resets at once, and connects to another listener.
#[cfg(feature = "tokio")]
#[test]
fn every_listener_accepts_its_own_connections_only() {
    use core::sync::atomic::{AtomicBool, Ordering};
    const ROUNDS: usize = 20_000;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    let _entered = runtime.enter();
    let manager = Manager::new(crate::platform::tokio::platform());
    let network = manager.network();
    let [first, second] =
        [1000, 2000].map(|port| TcpListener::bind(&network, at(port), ListenOptions::default()).unwrap());
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let accepting = scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                if let Ok((stream, _)) = first.try_accept() {
                    assert_eq!(stream.local_addr(), at(1000));
                }
            }
        });
        for _ in 0..ROUNDS {
            if accepting.is_finished() {
                break;
            }
            if let Ok(connecting) = TcpStream::start(&network, at(1000), super::super::tcp::ConnectOptions::default()) {
                let connecting = pin!(connecting);
                if let Poll::Ready(Ok(stream)) = connecting.poll(&mut Context::from_waker(Waker::noop())) {
                    stream.abort();
                }
            }
            let other = TcpStream::start(&network, at(2000), super::super::tcp::ConnectOptions::default());
            while let Ok((stream, _)) = second.try_accept() {
                assert_eq!(stream.local_addr(), at(2000));
                stream.abort();
            }
            drop(other);
        }
        done.store(true, Ordering::Relaxed);
    });
}
