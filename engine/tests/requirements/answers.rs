//! When received segments are acknowledged (RFC 9293 sections 3.8.6.3 and 3.10.7.4).

use super::host::{Host, ends, number};

/// MUST-58, MUST-59.
#[test]
fn segments_that_arrive_together_are_acknowledged_once() {
    for (local, remote) in ends() {
        let mut host = Host::new(1);
        let (connection, mut peer) = host.accepted(local, remote);
        peer.text = vec![7; 1000];
        let first = peer.sequence;
        // The last segment arrives first.
        for index in [9, 0, 1, 2, 3, 4, 5, 6, 7, 8] {
            peer.sequence = first + 1000 * index;
            host.tcp.receive(host.now, &peer.packet(), &mut host.wire);
        }
        let sent = host.transmit();
        assert_eq!(sent.iter().map(|packet| number(packet, 8)).collect::<Vec<_>>(), [(first + 10_000).0]);
        assert_eq!(host.tcp.info(connection).receive_queue, 10_000);
    }
}
