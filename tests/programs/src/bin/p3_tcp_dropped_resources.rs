//! A connection exists for as long as its socket or one of its streams exists, or the stack still has to send data, in
//! whatever order they are dropped.

use xila_network_programs::p3::*;

xila_network::main!(run);

async fn run() {
    for place in places() {
        // Both sockets are dropped while the streams are in use.
        let data = pattern(31, 200_000);
        let (client, server) = connected(place).await;
        let (mut writer, sent) = sending(&client);
        let (mut received, end) = server.receive();
        assert!(writer.write_all(b"first".to_vec()).await.is_empty());
        assert_eq!(read_exactly(&mut received, 5).await, b"first");
        drop((client, server));
        let send = async {
            assert!(writer.write_all(data.clone()).await.is_empty());
            drop(writer);
            sent.await
        };
        let (sent, bytes) = join(send, received.collect()).await;
        assert_same(&bytes, &data);
        assert_eq!((sent, end.await), (Ok(()), Ok(())));

        // The futures are dropped first.
        let (client, server) = connected(place).await;
        let (mut writer, sent) = sending(&client);
        let (received, end) = server.receive();
        drop((sent, end));
        assert!(writer.write_all(b"unwatched".to_vec()).await.is_empty());
        drop((client, writer));
        assert_eq!(received.collect().await, b"unwatched");

        // The stream of received data is dropped: further data is discarded, and the other direction still works.
        let (client, server) = connected(place).await;
        let (mut writer, _sent) = sending(&client);
        assert!(writer.write_all(b"unwanted".to_vec()).await.is_empty());
        let (received, end) = server.receive();
        drop(received);
        assert_eq!(end.await, Ok(()));
        assert_eq!(send_all(&server, b"still here".to_vec()).await, Ok(()));
        assert_eq!(receive_all(&client).await, (b"still here".to_vec(), Ok(())));

        // A socket whose streams were never taken closes in order.
        let (client, server) = connected(place).await;
        drop(server);
        assert_eq!(receive_all(&client).await, (Vec::new(), Ok(())));

        // A read in progress is cancelled when its stream is dropped.
        let (client, server) = connected(place).await;
        let (mut received, end) = server.receive();
        assert!(start_and_cancel(received.next(), 3).await.is_none());
        drop((server, received));
        assert_eq!(end.await, Ok(()));
        drop(client);

        // All handles of a listener are dropped while connections wait in its backlog.
        let (listener, incoming, address) = listening(place);
        let waiting = tcp(place);
        waiting.connect(address).await.unwrap();
        drop((listener, incoming));
        assert_eq!(receive_all(&waiting).await.1, Err(ErrorCode::ConnectionReset));
    }
}
