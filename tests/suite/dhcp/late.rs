//! A DHCP server that starts only after the client has begun to ask.

use xila_network_host::interface::{Change, DhcpState};

use super::World;
use super::server::Answer;

/// The client waits at most about a minute before it asks again (RFC 2131 section 4.1).
const LONGEST_WAIT: u64 = 65;

#[test]
fn a_server_that_begins_a_hundred_seconds_after_its_client_has_lent_an_address_65_seconds_later() {
    let world = World::dhcp();
    world.serve(|server| server.answer = Answer::Nothing);
    world.advance(100);
    assert_eq!((world.state(), world.changes()), (DhcpState::Searching, vec![Change::Mounted]));
    world.serve(|server| server.answer = Answer::Grant);
    world.advance(LONGEST_WAIT);
    assert_eq!(world.state(), DhcpState::Bound);
}

#[test]
fn a_server_that_is_away_for_a_day_is_found_again_as_soon() {
    let world = World::bound();
    world.serve(|server| server.answer = Answer::Nothing);
    world.advance(24 * 3600);
    world.assert_nothing_lent();
    world.changes();
    world.serve(|server| server.answer = Answer::Grant);
    world.advance(LONGEST_WAIT);
    assert_eq!((world.state(), world.changes().last()), (DhcpState::Bound, Some(&Change::Dhcp(DhcpState::Bound))));
}
