//! Datagrams of every size arrive, including empty ones; a datagram that is larger than UDP allows is an error.

use xila_network_programs::p3::*;

xila_network::main!(run);

async fn run() {
    for place in places() {
        let ((first, here), (second, there)) = (bound_udp(place), bound_udp(SocketAddr::new(place.ip(), 0)));
        // The IP header's length field allows 65,535 bytes, which include the header itself in IPv4.
        let largest = either(place, 65_507, 65_527);
        for length in [0, 1, 2, 512, 1_472, 1_473, 9_000, largest - 1, largest] {
            let data = pattern(41, length);
            first.send(data.clone(), Some(there)).await.unwrap();
            let (received, from) = second.receive().await.unwrap();
            assert_eq!(from, here);
            assert_same(&received, &data);
        }
        for length in [65_528, 65_535, 65_536, 65_537, 1_000_000] {
            let error = first.send(vec![1; length], Some(there)).await;
            assert_eq!(error, Err(ErrorCode::DatagramTooLarge), "{length}");
        }
        first.send(b"next".to_vec(), Some(there)).await.unwrap();
        assert_eq!(second.receive().await, Ok((b"next".to_vec(), here)), "nothing of them was sent");
    }
}
