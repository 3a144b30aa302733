//! Permits to send, the number of datagrams that are sent of a list, and the number that are received at once.

use xila_network_programs::p2::*;

fn main() {
    each_family(sending);
    each_family(one_bad_among_good);
    each_family(receiving);
}

fn sending(family: IpAddressFamily) {
    let ((socket, _), (peer, there)) = (bound_udp(family), bound_udp(family));
    let Association { outgoing, incoming } = stream(&socket, None).expect("streams");
    let heard = stream(&peer, None).expect("streams");
    assert!(outgoing.subscribe().ready(), "a fresh socket can send");
    assert!(!incoming.subscribe().ready(), "nothing has come");
    let permit = outgoing.check_send().expect("a permit");
    assert_ne!(permit, 0);
    assert_eq!(outgoing.send(&[]), Ok(0));
    assert_eq!(outgoing.check_send(), Ok(permit), "asking takes nothing");
    assert_eq!(outgoing.send(&[datagram(b"one", Some(there))]), Ok(1));

    // Send as many as are permitted.
    let permit = usize::try_from(outgoing.check_send().expect("a permit")).expect("a number").min(100);
    let sent = outgoing.send(&vec![datagram(b"many", Some(there)); permit]).expect("sent");
    let sent = usize::try_from(sent).expect("a number");
    assert!((1..=permit).contains(&sent), "{sent} of {permit}");
    assert_eq!(await_datagrams(&heard.incoming, 1).expect("one")[0].0, b"one");
    let mut count = 0;
    while count < sent {
        let some = await_datagrams(&heard.incoming, 1000).expect("datagrams");
        assert!(some.iter().all(|(data, _)| data == b"many"));
        count += some.len();
    }
    assert_eq!(count, sent);
}

/// Datagrams before an invalid one are sent; the invalid one fails when it is the first of a list.
fn one_bad_among_good(family: IpAddressFamily) {
    let ((socket, here), (peer, there)) = (bound_udp(family), bound_udp(family));
    let Association { outgoing, incoming } = stream(&socket, None).expect("streams");
    let heard = stream(&peer, None).expect("streams");
    let mapped = "[::ffff:127.0.0.1]:9".parse().unwrap();
    let bad = [Some(loopback(other(family), 9)), Some(any(family, 9)), Some(loopback(family, 0)), Some(mapped), None];
    for remote in bad {
        let good = datagram(b"good", Some(there));
        let bad = datagram(b"bad", remote);
        assert!(outgoing.check_send().expect("a permit") >= 4);
        assert_eq!(outgoing.send(&[good.clone(), good.clone(), bad.clone(), good.clone()]), Ok(2));
        assert!(outgoing.check_send().expect("a permit") >= 2);
        assert_error(outgoing.send(&[bad, good]), ErrorCode::InvalidArgument);
        for _ in 0..2 {
            assert_eq!(await_datagrams(&heard.incoming, 1), Ok(vec![(b"good".to_vec(), here)]));
        }
        assert!(!heard.incoming.subscribe().ready(), "the others were not sent");
    }
    assert_eq!(incoming.receive(1).map(|list| list.len()), Ok(0));
}

fn receiving(family: IpAddressFamily) {
    let ((socket, here), (peer, there)) = (bound_udp(family), bound_udp(family));
    let Association { outgoing, incoming: _incoming } = stream(&socket, None).expect("streams");
    let heard = stream(&peer, None).expect("streams");
    let pollable = heard.incoming.subscribe();
    for most in [0, 1, u64::MAX] {
        assert_eq!(heard.incoming.receive(most).map(|list| list.len()), Ok(0), "nothing has come");
    }
    let sent: Vec<OutgoingDatagram> = (0..10).map(|i| datagram(&[i], Some(there))).collect();
    send_all(&outgoing, &sent).expect("sent");
    pollable.block();
    assert_eq!(heard.incoming.receive(0).map(|list| list.len()), Ok(0), "none is none");
    assert!(pollable.ready(), "all are still there");

    let mut received = await_datagrams(&heard.incoming, 1).expect("one");
    assert_eq!(received.len(), 1);
    received.extend(await_datagrams(&heard.incoming, 3).expect("a few"));
    assert!((2..=4).contains(&received.len()), "{}", received.len());
    while received.len() < 10 {
        received.extend(await_datagrams(&heard.incoming, usize::MAX).expect("the rest"));
    }
    for (i, (data, from)) in received.iter().enumerate() {
        assert_eq!((data.as_slice(), *from), (&[u8::try_from(i).unwrap()][..], here));
    }
    assert!(!pollable.ready(), "no more than were sent");
}
