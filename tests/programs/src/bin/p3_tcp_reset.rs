//! If the peer resets the connection, reads, writes, and the futures of both halves report it.

use xila_network_programs::p3::*;

xila_network::main!(run);

const RESET: Result<(), ErrorCode> = Err(ErrorCode::ConnectionReset);

async fn run() {
    for place in places() {
        // A read reports it: the server is dropped with unread bytes.
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
        // The future of the sent data also reports it, though nothing was written since.
        assert_eq!((end.await, sent.await), (RESET, RESET));
        assert!(!writer.write_all(b"too late".to_vec()).await.is_empty(), "written after a reset");

        // A write that waits for room reports it.
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

        // The future of a half that has sent all data reports it, when the server is dropped without having read the
        // data.
        let (client, server) = connected(place).await;
        assert_eq!(send_all(&client, b"all".to_vec()).await, Ok(()), "it has arrived");
        drop(server);
        assert_eq!(receive_all(&client).await, (Vec::new(), RESET));
    }
}
