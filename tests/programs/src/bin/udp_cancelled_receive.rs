//! A receive that is cancelled loses no datagram, and does not affect other receives.

use xila_network_programs::*;

xila_network::main!(run);

async fn run() {
    for place in places() {
        let (first, second) = socket_pair(place);
        let there = second.local_addr();
        for number in 0..200u8 {
            let turns = usize::from(number) % 5;
            let (early, sent) =
                join(start_and_cancel(second.recv_datagram(), turns), first.send_to(&[number], there)).await;
            sent.unwrap();
            let datagram = match early {
                Some(datagram) => datagram.unwrap(),
                None if number % 2 == 0 => second.recv_datagram().await.unwrap(),
                None => second.recv_many(4).await.unwrap().remove(0),
            };
            assert_eq!(datagram.data, [number]);
        }

        // Two receives wait, one is cancelled, and the other gets the datagram that arrives.
        let both = join(start_and_cancel(second.recv_datagram(), 1), second.recv_datagram());
        let ((given_up, received), sent) = join(both, first.send_to(b"one", there)).await;
        sent.unwrap();
        match given_up {
            None => assert_eq!(received.unwrap().data, b"one"),
            Some(_) => panic!("the one who gives up asked before the datagram was sent"),
        }
    }
}
