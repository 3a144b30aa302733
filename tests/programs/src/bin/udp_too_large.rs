//! A datagram that is larger than UDP allows is an error, and the largest allowed datagram arrives.

use xila_network_programs::*;

xila_network::main!(run);

async fn run() {
    for place in places() {
        let (first, second) = socket_pair(place);
        let there = second.local_addr();
        // The IP header's length field allows 65,535 bytes, which include the header itself in IPv4.
        let largest = if place.is_ipv4() { 65_507 } else { 65_527 };
        for length in [65_528, 70_000, 1_000_000] {
            let error = first.send_to(&vec![1; length], there).await.expect_err("too large");
            assert_eq!(error, Error::PacketTooLarge, "{length}");
        }
        let data = pattern(6, largest);
        assert_eq!(first.send_to(&data, there).await.unwrap(), largest);
        assert_same(&second.recv_datagram().await.unwrap().data, &data);
    }
}
