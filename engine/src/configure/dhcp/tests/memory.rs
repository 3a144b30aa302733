//! Addresses that are remembered, given back, refused or in use by others.

use super::*;

#[test]
fn a_remembered_address_is_verified_by_whichever_server_knows_it() {
    let remembered = Remembered { address: ADDRESS, is_current: true };
    let mut world = World::with(Config { remembered: Some(remembered), ..Config::default() });
    assert_eq!(world.client.state(), State::InitReboot);
    world.run(&silent);
    assert_eq!(world.client.state(), State::Rebooting);
    let (at, source, destination, request) = world.sent[0].clone();
    assert_eq!((at, source, destination), (0, NONE, Ipv4Addr::BROADCAST));
    assert_eq!((request.kind, request.client), (REQUEST, NONE));
    assert_eq!((request.requested, request.server), (Some(ADDRESS), None), "table 4 of RFC 2131");
    assert_eq!(world.receive(&Message::new(ACK, request.transaction)), Ok(Reception::Taken));
    world.run(&silent);
    assert!(matches!(&world.told[..], [Action::Bound { lease, former: None }] if lease.address == ADDRESS));
    let remembered = Remembered { address: NONE, is_current: true };
    let nothing = Client::new(HARDWARE, Config { remembered: Some(remembered), ..Config::default() }, world.now);
    assert_eq!((nothing.state(), nothing.remembered()), (State::Init, None));
}

/// A server that knows no lease may be silent when it is asked to verify one (RFC 2131 section 4.3.2).
#[test]
fn an_address_that_was_given_back_is_asked_for_by_a_discovery() {
    let mut world = World::bound();
    let release = world.client.release(world.now, &mut world.random).expect("a lease to give back");
    assert_eq!(Heard::read(&release.payload).kind, RELEASE);
    let remembered = world.client.remembered();
    assert_eq!(remembered, Some(Remembered { address: ADDRESS, is_current: false }));
    let mut world = World::with(Config { remembered, ..Config::default() });
    world.run(&lends);
    assert_eq!((world.kinds(), world.sent[0].3.requested), (Vec::from([DISCOVER, REQUEST]), Some(ADDRESS)));
}

#[test]
fn a_lease_goes_on_while_it_is_verified_and_is_the_same_afterwards() {
    let mut world = World::bound();
    world.advance(100, &silent);
    world.client.restart(Remember::Verify, world.now);
    assert_eq!((world.client.state(), world.client.lease().is_some()), (State::InitReboot, true));
    world.run(&lends);
    assert_eq!(world.kinds(), [REQUEST]);
    assert_eq!((world.sent[0].1, world.sent[0].3.client, world.sent[0].3.requested), (NONE, NONE, Some(ADDRESS)));
    assert!(matches!(&world.told[..], [Action::Bound { former: Some(former), lease }]
        if former.address == lease.address && lease.since.millis() == 1_100_000));
}

#[test]
fn on_another_network_that_says_so_the_lease_is_lost_at_once_and_another_one_found() {
    let mut world = World::bound();
    world.advance(100, &silent);
    world.client.restart(Remember::Verify, world.now);
    let other = |heard: &Heard| match (heard.kind, heard.server) {
        (REQUEST, None) => Some(Message::new(NAK, heard.transaction)),
        _ => Some(Message { address: OTHER, ..lends(heard)?.with(3, [10, 8, 0, 1]) }),
    };
    world.run(&other);
    assert_eq!((world.time(), world.kinds()), (100_000, Vec::from([REQUEST, DISCOVER, REQUEST])));
    assert_eq!(world.sent[1].3.requested, None);
    assert!(matches!(&world.told[..], [Action::Lost(lost), Action::Bound { lease, former: None }]
        if lost.address == ADDRESS && lease.address == OTHER));
}

#[test]
fn on_another_network_that_is_silent_another_lease_is_found_in_a_quarter_of_a_minute() {
    let mut world = World::bound();
    world.advance(100, &silent);
    world.client.restart(Remember::Verify, world.now);
    let other = |heard: &Heard| match (heard.kind, heard.server) {
        (REQUEST, None) => None,
        _ => Some(Message { address: OTHER, ..lends(heard)?.with(3, [10, 8, 0, 1]) }),
    };
    world.advance(115, &other);
    assert_eq!(world.kinds(), [REQUEST, REQUEST, DISCOVER, REQUEST]);
    assert!(world.sent[3].0 <= 110_000);
    assert!(matches!(&world.told[..], [Action::Bound { lease, former: Some(former) }]
        if former.address == ADDRESS && lease.address == OTHER));
}

#[test]
fn a_lease_that_nobody_verifies_lasts_until_its_end() {
    let mut world = World::bound();
    world.client.restart(Remember::Verify, world.now);
    world.advance(999, &silent);
    assert!(world.told.is_empty() && world.client.lease().is_some());
    world.advance(1000, &silent);
    assert!(world.is_lost());
    assert_eq!(world.client.state(), State::Selecting);
    world.client.restart(Remember::Verify, world.now);
    assert_eq!(world.client.state(), State::Init, "what is over cannot be verified");
}

#[test]
fn without_a_link_nobody_is_asked_and_a_lease_ends_nevertheless() {
    let mut world = World::bound();
    let (begin, end) = (world.now, world.now + seconds(1000));
    assert_eq!(world.client.next_silent_timeout(), Some(end));
    for elapsed in [400, 800, 999] {
        assert_eq!(world.client.poll_silently(begin + seconds(elapsed)), None);
    }
    assert!(matches!(world.client.poll_silently(end), Some(Action::Lost(lease)) if lease.address == ADDRESS));
    assert_eq!((world.client.poll_silently(end), world.client.next_silent_timeout()), (None, None));
}

#[test]
fn a_refusal_of_another_address_leaves_the_lease() {
    let mut world = World::bound();
    world.client.restart(Remember::Verify, world.now);
    world.advance(30, &|heard: &Heard| match (heard.kind, heard.server) {
        (REQUEST, None) => None,
        _ => Some(Message { address: OTHER, ..refuses(heard)?.without(3) }),
    });
    assert!(world.kinds().contains(&DISCOVER) && world.kinds().len() > 4);
    assert!(world.told.is_empty());
    assert_eq!(world.client.lease().map(|lease| lease.address), Some(ADDRESS));
}

#[test]
fn on_another_link_nothing_is_remembered() {
    let mut world = World::bound();
    world.client.restart(Remember::Nothing, world.now);
    assert_eq!((world.client.state(), world.client.remembered()), (State::Init, None));
    world.run(&silent);
    assert!(world.is_lost());
    assert_eq!((world.sent[0].3.kind, world.sent[0].3.requested), (DISCOVER, None));
}

#[test]
fn a_released_lease_is_given_back_to_its_server_and_nothing_is_asked() {
    let mut world = World::bound();
    let Datagram { source, destination, payload } =
        world.client.release(world.now, &mut world.random).expect("there is one");
    let release = Heard::read(&payload);
    assert_eq!((source, destination), (ADDRESS, SERVER));
    assert_eq!((release.kind, release.client, release.secs), (7, ADDRESS, 0));
    assert_eq!((release.requested, release.server), (None, Some(SERVER)));
    assert_eq!(release.options[&61], [1, 2, 0, 0, 0, 0, 7]);
    world.advance(5000, &lends);
    assert!(world.is_lost() && world.sent.is_empty());
    assert_eq!((world.client.state(), world.client.next_timeout()), (State::Released, None));
    assert_eq!(world.client.release(world.now, &mut world.random), None);
    // Later the client requests the same address in a discovery.
    world.client.restart(Remember::Verify, world.now);
    world.run(&lends);
    assert_eq!((world.kinds(), world.sent[0].3.requested), (Vec::from([DISCOVER, REQUEST]), Some(ADDRESS)));
}

#[test]
fn a_declined_address_is_not_asked_for_again_and_the_next_one_after_ten_seconds() {
    let mut world = World::bound();
    assert_eq!(world.client.decline(OTHER, world.now, &mut world.random), None, "not what is lent");
    let Datagram { source, destination, payload } =
        world.client.decline(ADDRESS, world.now, &mut world.random).expect("there is one");
    let decline = Heard::read(&payload);
    assert_eq!((source, destination), (NONE, Ipv4Addr::BROADCAST));
    assert_eq!((decline.kind, decline.client, decline.secs, decline.flags), (4, NONE, 0, 0));
    assert_eq!((decline.requested, decline.server), (Some(ADDRESS), Some(SERVER)));
    world.advance(9, &lends);
    assert!(world.is_lost() && world.sent.is_empty());
    assert_eq!((world.client.state(), world.client.remembered()), (State::Init, None));
    world.advance(10, &lends);
    assert_eq!((world.times(), world.sent[0].3.requested), (Vec::from([10, 10]), None));
    assert_eq!(world.client.state(), State::Bound);
}

#[test]
fn after_ten_conflicts_one_address_is_tried_in_a_minute() {
    let mut world = World::new();
    let mut pauses = Vec::new();
    for _ in 0..12 {
        world.run(&lends);
        world.client.decline(ADDRESS, world.now, &mut world.random).expect("bound");
        world.run(&silent);
        let next = world.client.next_timeout().expect("it is tried again");
        pauses.push((next - world.now).as_secs());
        world.now = next;
    }
    assert_eq!(pauses, [10, 10, 10, 10, 10, 10, 10, 10, 10, 60, 60, 60]);
}

#[test]
fn a_lease_that_cannot_be_used_is_counted_and_asked_for_again_after_ten_seconds() {
    let mut world = World::bound();
    world.client.refuse(world.now);
    world.advance(9, &lends);
    assert!(world.is_lost() && world.sent.is_empty());
    world.advance(10, &lends);
    assert_eq!((world.client.refused(), world.client.state()), (1, State::Bound));
    world.client.restart(Remember::Nothing, world.now);
    world.client.refuse(world.now);
    assert_eq!((world.client.refused(), world.client.state()), (1, State::Init), "nothing is lent");
}

#[test]
fn what_the_host_says_of_itself_is_bounded_and_answers_may_be_asked_by_broadcast() {
    let config = |name: usize, longest_message| Config {
        host_name: Some(core::iter::repeat_n('a', name).collect()),
        longest_message,
        broadcast: true,
        remembered: None,
    };
    for (name, is_sent) in [(0, false), (1, true), (255, true), (256, false)] {
        let mut world = World::with(config(name, 0));
        world.advance(500, &lends);
        let discover = &world.sent[0].3;
        assert_eq!(discover.options.contains_key(&12), is_sent, "{name}");
        assert_eq!(discover.options[&57], 576u16.to_be_bytes());
        assert!(world.sent.iter().map(|sent| sent.3.flags).eq([0x8000, 0x8000, 0]), "with an address it needs none");
    }
}
