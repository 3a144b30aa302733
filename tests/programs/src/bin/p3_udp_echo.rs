//! Datagrams arrive one by one, whole, in order and with their sender's address, from many senders.

use xila_network_programs::p3::*;

xila_network::main!(run);

async fn run() {
    for place in places() {
        let (server, address) = bound_udp(place);
        let serve = async {
            for _ in 0..100 {
                let (data, from) = server.receive().await.unwrap();
                server.send(data, Some(from)).await.unwrap();
            }
        };
        let ask = join_all((0..10u8).map(|client| async move {
            let (socket, _) = bound_udp(SocketAddr::new(place.ip(), 0));
            for number in 0..10u8 {
                let data = pattern(u64::from(client) * 100 + u64::from(number), usize::from(number) * 50);
                socket.send(data.clone(), Some(address)).await.unwrap();
                let (echoed, from) = socket.receive().await.unwrap();
                assert_eq!(from, address);
                assert_same(&echoed, &data);
            }
        }));
        join(serve, ask).await;

        // Several datagrams wait in the queue of one socket.
        let (sender, sent_from) = bound_udp(SocketAddr::new(place.ip(), 0));
        for number in 0..20u8 {
            sender.send(vec![number], Some(address)).await.unwrap();
        }
        for number in 0..20u8 {
            assert_eq!(server.receive().await, Ok((vec![number], sent_from)));
        }
    }
}
