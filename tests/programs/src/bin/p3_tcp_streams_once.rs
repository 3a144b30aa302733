//! `send` and `receive` work once for each connection; a second call fails and affects nothing.

use xila_network_programs::p3::*;

xila_network::main!(run);

async fn run() {
    for place in places() {
        let (client, server) = connected(place).await;
        let (mut writer, sent) = sending(&client);
        let (mut received, end) = server.receive();
        assert_eq!(receive_all(&server).await, (Vec::new(), Err(ErrorCode::InvalidState)));
        let (mut second, refused) = sending(&client);
        assert_eq!(second.write_all(b"lost".to_vec()).await.len(), 4, "nobody takes it");
        drop(second);
        assert_eq!(refused.await, Err(ErrorCode::InvalidState));

        assert!(writer.write_all(b"first".to_vec()).await.is_empty());
        assert_eq!(read_exactly(&mut received, 5).await, b"first");
        drop(writer);
        assert_eq!(received.collect().await, b"");
        assert_eq!((sent.await, end.await), (Ok(()), Ok(())));

        // A second call fails after the end of the streams too. The other halves still work.
        let (sent, received) = join(send_all(&server, b"back".to_vec()), receive_all(&client)).await;
        assert_eq!((sent, received), (Ok(()), (b"back".to_vec(), Ok(()))));
        has_no_halves(&client).await;
        has_no_halves(&server).await;
    }
}
