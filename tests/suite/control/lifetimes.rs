//! Routes with a lifetime.

use std::time::Duration;

use xila_network_host::SendError;
use xila_network_host::address::Route;
use xila_network_host::interface::{Change, Event, Notice};
use xila_network_host::socket::UdpSocket;

use super::*;

const fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

#[test]
fn a_route_with_a_lifetime_expires_and_this_is_reported() {
    let world = World::new();
    let eth0 = world.interface();
    let route = Route::default_via("10.0.0.254".parse().unwrap()).unwrap().with_lifetime(seconds(30));
    eth0.add_route(route).unwrap();
    world.simulation.advance(seconds(10));
    assert_eq!(eth0.route_list()[0].valid, Some(seconds(20)), "what is left");
    // If the route is added again, its lifetime starts again, and no event is emitted.
    let mut watch = eth0.watch();
    eth0.add_route(route).unwrap();
    assert_eq!(watch.try_next(), None);
    world.simulation.advance(seconds(29));
    assert_eq!(eth0.routes(), [route]);
    world.simulation.block_on(async {
        let gone = Event { interface: "eth0".into(), change: Change::RouteRemoved(route) };
        assert_eq!(watch.next().await, Notice::Changed(gone));
    });
    assert_eq!(world.simulation.now().since_origin(), seconds(40));
    assert_eq!(eth0.routes(), []);
    let socket = UdpSocket::bind(&world.manager.network(), ([0, 0, 0, 0], 0).into()).unwrap();
    let sent = world.simulation.block_on(socket.send_to(b"x", ([198, 51, 100, 1], 9).into()));
    assert_eq!(sent, Err(SendError::RemoteUnreachable));
}

#[test]
fn the_longest_lifetime_does_not_overflow() {
    let world = World::new();
    let route = Route::default_via("10.0.0.254".parse().unwrap()).unwrap().with_lifetime(Duration::MAX);
    world.interface().add_route(route).unwrap();
    world.simulation.advance(seconds(1_000_000));
    assert_eq!(world.interface().routes().len(), 1);
    assert!(world.interface().route_list()[0].valid.is_some_and(|left| left > seconds(1 << 60)));
}
