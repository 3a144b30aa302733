//! There are no more watches than the host allows, and each sees every change. A watch that is dropped makes room for
//! another, even if it has unread events or its reader has cancelled.
//!
//! The host must allow two watches, and permit control.

use xila_network::control::{Change, Event, Interface, Notice, Watch, watch};
use xila_network_programs::*;

xila_network::main!(run);

async fn run() {
    let lo = Interface::open("lo").unwrap();
    let server = "10.0.0.53".parse().unwrap();
    for _ in 0..50 {
        let (mut first, mut second) = (watch().unwrap(), watch().unwrap());
        assert_eq!(watch().unwrap_err(), Error::LimitReached);
        assert!(start_and_cancel(first.next(), 2).await.is_none(), "an event of nothing");

        lo.add_dns_server(server).unwrap();
        lo.remove_dns_server(server).unwrap();
        expect(&mut first, Change::DnsServerAdded(server)).await;
        expect(&mut second, Change::DnsServerAdded(server)).await;
        expect(&mut first, Change::DnsServerRemoved(server)).await;

        drop(second);
        let third = watch().unwrap();
        assert_eq!(watch().unwrap_err(), Error::LimitReached);
        // A waiting reader is woken by a change.
        let ((), ()) = join(expect(&mut first, Change::Mtu(1400)), async {
            yield_now().await;
            lo.set_mtu(1400).unwrap();
        })
        .await;
        lo.set_mtu(65_535).unwrap();
        drop((first, third));
    }
}

async fn expect(watch: &mut Watch, change: Change) {
    let notice = watch.next().await.expect("the watch goes on").unwrap();
    assert_eq!(notice, Notice::Changed(Event { interface: "lo".into(), change }));
}
