use super::SocketKind::{Icmp, Tcp, Udp};
use super::*;
use crate::platform::counted::Count;

/// No queries and no watches.
fn limits(sockets: usize, buffer_bytes: usize) -> Limits {
    Limits { sockets, buffer_bytes, queries: 0, watches: 0, ..Limits::default() }
}

fn counted() -> (Arc<Count>, Waker) {
    let count = Arc::new(Count::default());
    (count.clone(), Waker::from(count))
}

#[test]
fn a_dropped_charge_is_released() {
    let quota = Quota::new(limits(2, 100));
    let first = quota.charge(Udp, 60).unwrap();
    assert_eq!(quota.charge(Udp, 41).unwrap_err(), Error::LimitReached);
    let second = quota.charge(Udp, 40).unwrap();
    assert_eq!(quota.usage(), Usage { sockets: 2, udp_sockets: 2, buffer_bytes: 100, ..Usage::default() });
    assert_eq!(quota.charge(Udp, 0).unwrap_err(), Error::LimitReached);
    drop((first, second));
    assert_eq!(quota.usage(), Usage::default());
}

#[test]
fn a_charge_is_resized_within_the_limits_or_left_as_it_was() {
    let quota = Quota::new(limits(2, 100));
    let _other = quota.charge(Udp, 40).unwrap();
    let mut charge = quota.charge(Udp, 10).unwrap();
    charge.resize(60).unwrap();
    assert_eq!(charge.resize(61).unwrap_err(), Error::LimitReached);
    assert_eq!(quota.usage(), Usage { sockets: 2, udp_sockets: 2, buffer_bytes: 100, ..Usage::default() });
    charge.resize(5).unwrap();
    assert_eq!(quota.usage().buffer_bytes, 45);
    drop(charge);
    assert_eq!(quota.usage(), Usage { sockets: 1, udp_sockets: 1, buffer_bytes: 40, ..Usage::default() });
}

/// The stacks take the memory of its connections from the budget.
#[test]
fn connections_left_by_a_guest_that_is_gone_do_not_count_as_its_usage() {
    let quota = Quota::new(limits(2, 100));
    let socket = quota.charge(Udp, 10).unwrap();
    assert!(quota.memory().take(30));
    assert_eq!(quota.usage(), Usage { sockets: 1, udp_sockets: 1, buffer_bytes: 40, ..Usage::default() });
    quota.close();
    assert_eq!(quota.usage(), Usage { sockets: 1, udp_sockets: 1, buffer_bytes: 10, ..Usage::default() });
    drop(socket);
    assert_eq!((quota.usage(), quota.memory().held()), (Usage::default(), 30));
}

#[test]
fn a_size_near_the_end_of_the_integers_does_not_wrap_round() {
    let quota = Quota::new(limits(4, usize::MAX));
    let _held = quota.charge(Udp, 1).unwrap();
    assert_eq!(quota.charge(Udp, usize::MAX).unwrap_err(), Error::LimitReached);
}

#[test]
fn queries_and_watches_are_counted_separately() {
    let quota = Quota::new(Limits { queries: 2, watches: 1, ..limits(0, 0) });
    let queries = [quota.charge_query().unwrap(), quota.charge_query().unwrap()];
    assert_eq!(quota.charge_query().unwrap_err(), Error::LimitReached);
    let watch = quota.charge_watch().unwrap();
    assert_eq!(quota.charge_watch().unwrap_err(), Error::LimitReached);
    assert_eq!(quota.charge(Udp, 0).unwrap_err(), Error::LimitReached);
    assert_eq!(quota.usage(), Usage { queries: 2, watches: 1, ..Usage::default() });
    drop(queries);
    assert_eq!(quota.usage(), Usage { watches: 1, ..Usage::default() });
    drop(watch);
    assert_eq!(quota.usage(), Usage::default());
    let _again = (quota.charge_query().unwrap(), quota.charge_watch().unwrap());
}

#[test]
fn a_waiter_is_woken_once_when_there_is_room() {
    let quota = Quota::new(limits(1, 10));
    let (count, waker) = counted();
    let mut cx = Context::from_waker(&waker);

    let held = quota.charge(Udp, 10).unwrap();
    assert!(quota.poll_charge(Udp, &mut cx).is_pending());
    assert!(quota.poll_charge(Udp, &mut cx).is_pending());
    drop(held);
    assert_eq!(count.get(), 1);
    assert!(matches!(quota.poll_charge(Udp, &mut cx), Poll::Ready(Ok(_))));
}

#[test]
fn waiting_for_a_charge_that_the_limits_never_allow_is_an_error() {
    let quota = Quota::new(limits(0, 10));
    let mut cx = Context::from_waker(Waker::noop());
    assert!(matches!(quota.poll_charge(Udp, &mut cx), Poll::Ready(Err(Error::LimitReached))));
}

#[test]
fn sockets_are_counted_by_kind_and_together() {
    let limits = Limits { sockets: 4, tcp_sockets: 2, udp_sockets: 2, icmp_sockets: 1, ..Limits::default() };
    let quota = Quota::new(limits);
    let mut held = Vec::new();
    for (kind, most) in [(Tcp, 2), (Udp, 2), (Icmp, 1)] {
        let mine: Vec<Charge> = core::iter::from_fn(|| quota.charge(kind, 0).ok()).take(9).collect();
        // The last kind finds all sockets taken.
        assert_eq!(mine.len(), if kind == Icmp { 0 } else { most }, "{kind:?}");
        held.push(mine);
    }
    held.remove(0);
    let icmp = quota.charge(Icmp, 0).unwrap();
    assert_eq!(quota.charge(Icmp, 0).unwrap_err(), Error::LimitReached);
    assert_eq!(quota.usage(), Usage { sockets: 3, udp_sockets: 2, icmp_sockets: 1, ..Usage::default() });
    assert_eq!(quota.refusals(), 4);
    drop((held, icmp));
    assert_eq!(quota.usage(), Usage::default());
}

#[test]
fn a_port_and_a_listener_belong_to_the_charge_of_their_socket() {
    let quota = Quota::new(Limits { ports: 1, listeners: 1, ..Limits::default() });
    let [mut first, mut second] = [(); 2].map(|()| quota.charge(Tcp, 0).unwrap());
    for _ in 0..2 {
        first.add_port().unwrap();
        first.add_listener().unwrap();
    }
    assert_eq!(quota.usage(), Usage { sockets: 2, tcp_sockets: 2, ports: 1, listeners: 1, ..Usage::default() });
    assert_eq!([second.add_port(), second.add_listener()], [Err(Error::LimitReached), Err(Error::LimitReached)]);
    first.remove_port();
    second.add_port().unwrap();
    drop(first);
    second.add_listener().unwrap();
    assert_eq!(quota.usage(), Usage { sockets: 1, tcp_sockets: 1, ports: 1, listeners: 1, ..Usage::default() });
    drop(second);
    assert_eq!(quota.usage(), Usage::default());
}

#[test]
fn files_are_counted() {
    let quota = Quota::new(Limits { files: 1, ..Limits::default() });
    let file = quota.charge_file().unwrap();
    assert_eq!(quota.charge_file().unwrap_err(), Error::LimitReached);
    assert_eq!(quota.usage(), Usage { files: 1, ..Usage::default() });
    drop(file);
    assert_eq!(quota.usage(), Usage::default());
}
