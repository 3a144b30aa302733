//! A receive that is cancelled loses no datagram, and does not affect other receives.

use xila_network_programs::p3::*;

xila_network::main!(run);

async fn run() {
    for place in places() {
        let ((first, here), (second, there)) = (bound_udp(place), bound_udp(SocketAddr::new(place.ip(), 0)));
        for number in 0..200u8 {
            let turns = usize::from(number) % 5;
            let many = join_all((0..number % 3).map(|_| start_and_cancel(second.receive(), turns)));
            let (early, one) = join(many, start_and_cancel(second.receive(), turns)).await;
            assert!(one.is_none() && early.iter().all(Option::is_none), "nothing was sent");
            first.send(vec![number], Some(there)).await.unwrap();
            assert_eq!(second.receive().await, Ok((vec![number], here)));
        }

        // Two receives wait, one is cancelled, and the other gets the datagram that arrives.
        for first_gives_up in [true, false] {
            let (mut one, mut other) = (Box::pin(second.receive()), Box::pin(second.receive()));
            assert!(poll_once(&mut one).await.is_pending() && poll_once(&mut other).await.is_pending());
            let (given_up, waiting) = if first_gives_up { (one, other) } else { (other, one) };
            drop(given_up);
            first.send(b"one".to_vec(), Some(there)).await.unwrap();
            assert_eq!(waiting.await, Ok((b"one".to_vec(), here)));
        }

        // A send that is cancelled may have been done or not; the next datagram arrives in any case.
        for turns in 0..5 {
            start_and_cancel(first.send(b"perhaps".to_vec(), Some(there)), turns).await;
            first.send(b"surely".to_vec(), Some(there)).await.unwrap();
            while second.receive().await.unwrap().0 != b"surely" {}
        }
    }
}
