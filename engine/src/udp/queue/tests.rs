use std::vec;

use super::*;
use crate::buffer::Memory;

fn end(last: u8) -> SocketAddr {
    ([10, 0, 0, last], 9).into()
}

fn datagram(remote: SocketAddr, content: Content) -> Datagram {
    Datagram { content, remote, local: end(1), interface: 3, hop_limit: 64, ecn: Ecn::Congested }
}

fn of(remote: SocketAddr, length: usize) -> Datagram {
    datagram(remote, Content::Owned(vec![7; length]))
}

#[test]
fn datagrams_are_returned_unchanged_and_in_order() {
    let mut queue = Queue::new(1 << 16);
    assert_eq!(queue.take().err(), Some(TakeError::Empty));
    for length in [3, 0, 5] {
        assert_eq!(queue.deliver(of(end(2), length)), Delivery::Queued);
    }
    assert!(queue.is_ready());
    assert_eq!(queue.statistics(), Statistics { received: 3, dropped: 0, queued: 8 });
    assert_eq!(queue.peek().map(|datagram| datagram.content.len()), Ok(3));
    let first = queue.take().expect("it was there");
    assert_eq!((&first.content[..], first.remote, first.local), (&[7; 3][..], end(2), end(1)));
    assert_eq!((first.interface, first.hop_limit, first.ecn), (3, 64, Ecn::Congested));
    assert_eq!(queue.take_queued().map(|datagram| datagram.content.len()), Some(0));
    assert_eq!(queue.take().map(|datagram| datagram.content.into_vec()).ok(), Some(vec![7; 5]));
    assert_eq!((queue.is_ready(), queue.held(), queue.statistics().queued), (false, 0, 0));
}

#[test]
fn a_queue_never_holds_more_than_it_is_charged_for() {
    let mut queue = Queue::new(1000);
    assert_eq!(queue.limit(), LEAST_LIMIT);
    assert_eq!(queue.deliver(of(end(2), 65_507)), Delivery::Full, "not even one that is the first");
    assert_eq!(queue.deliver(of(end(2), 1472)), Delivery::Queued, "that of an Ethernet frame fits");
    assert_eq!(queue.deliver(of(end(2), 1472)), Delivery::Full);
    assert!(!queue.admits(1472) && queue.admits(10));
    assert_eq!(queue.statistics(), Statistics { received: 1, dropped: 3, queued: 1472 });
    assert!(queue.held() <= queue.limit());
}

#[test]
fn empty_datagrams_are_bounded_too_and_so_is_their_list() {
    let mut queue = Queue::new(100_000);
    let mut count = 0;
    while queue.deliver(of(end(2), 0)) == Delivery::Queued {
        count += 1;
        assert!(queue.datagrams.capacity() * size_of::<Datagram>() <= queue.held().max(SMALL * size_of::<Datagram>()));
    }
    assert_eq!(count, 100_000 / OVERHEAD);
    while queue.take().is_ok() {}
    assert!(queue.datagrams.capacity() <= SMALL, "an idle queue gives its memory back");
}

#[test]
fn a_slice_is_kept_by_reference_and_charged_for_the_memory_it_keeps() {
    let mut buffer = Memory::HEAP.buffer(2048);
    buffer.set_length(2048);
    let packet = buffer.share();
    let mut queue = Queue::new(1 << 16);
    let part = packet.slice(100..1100);
    assert_eq!(queue.deliver(datagram(end(2), Content::Shared(part.clone()))), Delivery::Queued);
    assert_eq!(queue.held(), 2048 + OVERHEAD);
    let kept = queue.take().expect("it was there").content;
    assert_eq!(kept.as_ptr(), part.as_ptr(), "it was not copied");
    assert_eq!(queue.deliver(datagram(end(2), Content::Shared(packet.slice(0..500)))), Delivery::Queued);
    assert_eq!(queue.held(), 500 + OVERHEAD, "few bytes do not keep a packet");
    let mut oversized = Vec::with_capacity(10_000);
    oversized.extend([1; 10]);
    assert_eq!(queue.deliver(datagram(end(2), Content::Owned(oversized))), Delivery::Queued);
    assert_eq!(queue.held(), 510 + 2 * OVERHEAD);
}

#[test]
fn a_smaller_limit_drops_the_latest() {
    let mut queue = Queue::new(1 << 20);
    for remote in 2..=101 {
        assert_eq!(queue.deliver(of(end(remote), 1000)), Delivery::Queued);
    }
    queue.set_limit(3000);
    assert!(queue.held() <= 3000);
    assert_eq!(queue.statistics(), Statistics { received: 100, dropped: 98, queued: 2000 });
    assert_eq!(queue.take().map(|datagram| datagram.remote).ok(), Some(end(2)));
    queue.set_limit(1 << 20);
    assert_eq!(queue.deliver(of(end(9), 60_000)), Delivery::Queued);
}

#[test]
fn a_connected_queue_is_for_one_peer() {
    let mut queue = Queue::new(1 << 16);
    for remote in [2, 3, 2] {
        assert_eq!(queue.deliver(of(end(remote), 10)), Delivery::Queued);
    }
    queue.set_peer(Some(end(2)));
    assert_eq!((queue.peer(), queue.statistics().queued, queue.held()), (Some(end(2)), 20, 20 + 2 * OVERHEAD));
    assert_eq!(queue.deliver(of(end(3), 10)), Delivery::Stranger);
    assert_eq!(queue.deliver(of(end(2), 10)), Delivery::Queued);
    assert_eq!((queue.check_send(end(2)), queue.check_send(end(3))), (Ok(()), Err(SendError::OtherPeer)));
    queue.set_peer(None);
    assert_eq!(queue.deliver(of(end(3), 10)), Delivery::Queued);
    assert_eq!((queue.check_send(end(3)), queue.statistics().dropped), (Ok(()), 0));
}

#[test]
fn an_error_about_the_peer_is_returned_once_and_before_datagrams() {
    let mut queue = Queue::new(1 << 16);
    assert!(!queue.fail(end(2), PathError::Unreachable), "nobody knows which datagram it is about");
    queue.set_peer(Some(end(2)));
    assert_eq!(queue.deliver(of(end(2), 10)), Delivery::Queued);
    assert!(!queue.fail(end(3), PathError::Unreachable));
    assert!(queue.fail(end(2), PathError::PortUnreachable) && queue.is_ready());
    assert_eq!(queue.take_queued().map(|datagram| datagram.remote), Some(end(2)), "the error stays");
    assert!(queue.is_ready());
    assert_eq!(queue.take().err(), Some(TakeError::Path(PathError::PortUnreachable)));
    assert_eq!(queue.take().err(), Some(TakeError::Empty));
    assert!(queue.fail(end(2), PathError::TooLarge { mtu: 1400 }));
    assert_eq!(queue.check_send(end(2)), Err(SendError::Path(PathError::TooLarge { mtu: 1400 })));
    assert_eq!(queue.check_send(end(2)), Ok(()));
    assert!(queue.fail(end(2), PathError::Unreachable));
    assert_eq!(queue.peek().err(), Some(TakeError::Path(PathError::Unreachable)));
    assert!(queue.fail(end(2), PathError::Unreachable));
    queue.set_peer(Some(end(2)));
    assert!(!queue.is_ready(), "a new connection begins without an old error");
}

#[test]
fn a_peer_with_a_scope_matches_only_that_scope() {
    let v6 = |scope, flow| {
        let address = core::net::Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 1);
        SocketAddr::V6(core::net::SocketAddrV6::new(address, 9, flow, scope))
    };
    assert!(is_same_end(v6(2, 0), v6(2, 5)) && is_same_end(v6(0, 1), v6(2, 0)) && is_same_end(v6(2, 0), v6(0, 0)));
    assert!(!is_same_end(v6(2, 0), v6(3, 0)) && !is_same_end(v6(0, 0), end(1)) && !is_same_end(end(1), end(2)));
}
