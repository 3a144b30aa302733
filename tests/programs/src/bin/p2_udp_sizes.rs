//! Datagrams of every size: an empty datagram arrives, the largest arrives, and a larger one is an error.

use xila_network_programs::p2::*;

fn main() {
    each_family(|family| {
        let ((socket, here), (peer, there)) = (bound_udp(family), bound_udp(family));
        let (socket, peer) = (stream(&socket, None).expect("streams"), stream(&peer, None).expect("streams"));

        // An empty datagram among others, and alone.
        let (empty, full) = (datagram(b"", Some(there)), datagram(b"full", Some(there)));
        send_all(&socket.outgoing, &[empty.clone(), full, empty]).expect("sent");
        for data in [&b""[..], b"full", b""] {
            peer.incoming.subscribe().block();
            assert_eq!(await_datagrams(&peer.incoming, 1), Ok(vec![(data.to_vec(), here)]));
        }

        // The limit of the IP header's length field: 65535 bytes without the headers. In IPv6 the field does not
        // include the IP header.
        let largest = match family {
            IpAddressFamily::Ipv4 => 65_507,
            IpAddressFamily::Ipv6 => 65_527,
        };
        for length in [1, 1500, 9000, largest] {
            let data = pattern(5, length);
            send_one(&socket.outgoing, &data, Some(there)).expect("sent");
            let received = await_datagrams(&peer.incoming, 1).expect("one");
            assert_same(&received[0].0, &data);
            assert_eq!(received[0].1, here);
        }

        for length in [largest + 1, 65_528, 70_000, 1_000_000] {
            let error = send_one(&socket.outgoing, &vec![1; length], Some(there)).expect_err("too large");
            assert_eq!(error, ErrorCode::DatagramTooLarge, "{length}");
        }
        assert_ne!(socket.outgoing.check_send().expect("a permit"), 0);
        let (good, large) = (datagram(b"good", Some(there)), datagram(&vec![1; 70_000], Some(there)));
        assert_eq!(socket.outgoing.send(&[good.clone(), large, good]), Ok(1));
        assert_eq!(await_datagrams(&peer.incoming, 10), Ok(vec![(b"good".to_vec(), here)]));
    });
}
