//! A peer that resets the connection is seen by reads, by writes, and by who waits for the end of either.

use xila_network_programs::p3::*;

xila_network::main!(run);

const RESET: Result<(), ErrorCode> = Err(ErrorCode::ConnectionReset);

async fn run() {
    for place in places() {
        // By who reads: the server goes with bytes that nobody has read.
        let (client, server) = connected(place).await;
        let (mut received, end) = client.receive();
        let (mut writer, sent) = sending(&client);
        assert!(writer.write_all(b"unread".to_vec()).await.is_empty());
        {
            let mut read = Box::pin(received.read(Vec::with_capacity(10)));
            assert!(poll_once(&mut read).await.is_pending(), "nothing was sent");
            drop(server);
            assert_eq!(read.await, (StreamResult::Dropped, Vec::new()));
        }
        // And, though nothing was written since then, by who waits for the end of what was sent.
        assert_eq!((end.await, sent.await), (RESET, RESET));
        assert!(!writer.write_all(b"too late".to_vec()).await.is_empty(), "written after a reset");

        // By who waits for room to write.
        let (client, server) = connected(place).await;
        let (mut writer, sent) = sending(&client);
        while write_at_once(&mut writer, 50_000).await.is_some() {}
        {
            let mut write = Box::pin(writer.write(vec![3; 5]));
            assert!(poll_once(&mut write).await.is_pending(), "there is no room");
            drop(server);
            let (result, rest) = write.await;
            assert_eq!((result, rest.remaining()), (StreamResult::Dropped, 5));
        }
        assert_eq!(sent.await, RESET);
        assert_eq!(receive_all(&client).await, (Vec::new(), RESET), "and it stays so");

        // By who has sent all, when the server goes without having read it.
        let (client, server) = connected(place).await;
        assert_eq!(send_all(&client, b"all".to_vec()).await, Ok(()), "it has arrived");
        drop(server);
        assert_eq!(receive_all(&client).await, (Vec::new(), RESET));
    }
}
