//! A watch reports the app's own changes in order. A reader that does not read loses the oldest events, is told how
//! many, and delays nothing else.

use xila_network_programs::control::{Change, Cidr, Event, Interface, Notice, Route, State, Watch, watch};

xila_network::main!(run);

/// More changes than any watch keeps.
const MANY: u64 = 2000;

async fn run() {
    let lo = Interface::open("lo").unwrap();
    let mut changes = watch().unwrap();
    let mut slow = watch().unwrap();

    let cidr: Cidr = "192.0.2.1/24".parse().unwrap();
    let route = Route::new("198.51.100.0/24".parse().unwrap(), [192, 0, 2, 254].into()).unwrap().with_metric(5);
    let server = [192, 0, 2, 53].into();
    let mtu = lo.mtu().unwrap();
    lo.add_address(cidr).unwrap();
    lo.add_route(route).unwrap();
    lo.add_dns_server(server).unwrap();
    lo.set_mtu(1400).unwrap();
    lo.set_state(State::Down).unwrap();
    // A command that changes nothing, or that fails, causes no event.
    lo.set_state(State::Down).unwrap();
    lo.set_mtu(1400).unwrap();
    lo.add_address(cidr).unwrap_err();
    lo.set_mtu(0).unwrap_err();
    lo.set_state(State::Up).unwrap();
    lo.set_mtu(mtu).unwrap();
    lo.remove_dns_server(server).unwrap();
    lo.remove_route(route).unwrap();
    lo.remove_address(cidr).unwrap();
    let expected = [
        Change::AddressAdded(cidr),
        Change::RouteAdded(route),
        Change::DnsServerAdded(server),
        Change::Mtu(1400),
        Change::State(State::Down),
        Change::State(State::Up),
        Change::Mtu(mtu),
        Change::DnsServerRemoved(server),
        Change::RouteRemoved(route),
        Change::AddressRemoved(cidr),
    ];
    for change in expected {
        assert_eq!(next(&mut changes).await, changed(change));
    }

    let mut told = expected.len() as u64;
    for _ in 0..MANY / 2 {
        lo.add_dns_server(server).unwrap();
        assert_eq!(next(&mut changes).await, changed(Change::DnsServerAdded(server)));
        lo.remove_dns_server(server).unwrap();
        assert_eq!(next(&mut changes).await, changed(Change::DnsServerRemoved(server)));
        told += 2;
    }

    // A change that marks the end of the events that wait for the slow reader.
    lo.add_address(cidr).unwrap();
    told += 1;
    let (mut lost, mut read) = (0, 0);
    loop {
        match next(&mut slow).await {
            Notice::Lost(some) => lost += some,
            notice => {
                read += 1;
                if lost > 0 && notice == changed(Change::AddressAdded(cidr)) {
                    break;
                }
            }
        }
    }
    assert!(lost > 0 && read < MANY, "{lost} lost, {read} read");
    assert_eq!(lost + read, told, "{lost} lost, {read} read");
    lo.remove_address(cidr).unwrap();
    assert_eq!(next(&mut slow).await, changed(Change::AddressRemoved(cidr)));

    // Watches that are dropped make room for others.
    for _ in 0..1000 {
        watch().unwrap();
    }
}

async fn next(watch: &mut Watch) -> Notice {
    watch.next().await.expect("the watch goes on").expect("a notice")
}

fn changed(change: Change) -> Notice {
    Notice::Changed(Event { interface: "lo".to_owned(), change })
}
