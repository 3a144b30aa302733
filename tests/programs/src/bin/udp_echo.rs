//! Datagrams arrive whole, with their sender, including empty ones; a read into a short buffer loses neither the sender
//! nor the next datagram.

use xila_network_programs::*;

xila_network::main!(run);

async fn run() {
    for place in places() {
        let (first, second) = socket_pair(place);
        let (here, there) = (first.local_addr(), second.local_addr());
        let mut buffer = [0; 2000];

        assert_eq!(first.send_to(b"hello", there).await.unwrap(), 5);
        assert_eq!(second.recv_from(&mut buffer).await.unwrap(), (5, here));
        assert_eq!(&buffer[..5], b"hello");

        assert_eq!(second.send_to(b"", here).await.unwrap(), 0);
        assert_eq!(first.recv_from(&mut buffer).await.unwrap(), (0, there));

        first.send_to(b"a long one", there).await.unwrap();
        first.send_to(b"next", there).await.unwrap();
        assert_eq!(second.recv_from(&mut buffer[..3]).await.unwrap(), (3, here));
        assert_eq!(&buffer[..3], b"a l");
        assert_eq!(second.recv_from(&mut buffer).await.unwrap(), (4, here));

        // A waiting receiver is woken.
        let (received, sent) = join(second.recv_datagram(), first.send_to(b"late", there)).await;
        assert_eq!(sent.unwrap(), 4);
        assert_eq!(received.unwrap(), Datagram { data: b"late".to_vec(), remote: here });

        assert_eq!(first.statistics().sent, 4);
        assert_eq!(first.statistics().received, 1);
    }
}
