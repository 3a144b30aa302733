//! All bytes arrive in order, in both directions at once. The end of one half does not affect the other half, and no
//! byte that was sent before the end is lost.

use xila_network_programs::p3::*;

xila_network::main!(run);

async fn run() {
    for place in places() {
        let data = pattern(11, 700_000);
        let (client, server) = connected(place).await;
        let send = async {
            let (mut writer, sent) = sending(&client);
            for chunk in data.chunks(12_345) {
                assert!(writer.write_all(chunk.to_vec()).await.is_empty(), "the connection failed");
            }
            drop(writer);
            sent.await
        };
        let (sent, ((), (echoed, end))) = join(send, join(echo(&server), receive_all(&client))).await;
        assert_eq!((sent, end), (Ok(()), Ok(())));
        assert_same(&echoed, &data);

        half_close(place).await;
        everything_at_once(place).await;
    }
}

/// Returns all bytes, until the end of the stream.
async fn echo(server: &TcpSocket) {
    let (mut received, end) = server.receive();
    let (mut writer, sent) = sending(server);
    loop {
        let (result, bytes) = received.read(Vec::with_capacity(7_000)).await;
        assert!(writer.write_all(bytes).await.is_empty(), "the connection failed");
        match result {
            StreamResult::Complete(_) => {}
            StreamResult::Dropped => break,
            StreamResult::Cancelled => panic!("nobody cancelled"),
        }
    }
    assert_eq!(end.await, Ok(()));
    drop(writer);
    assert_eq!(sent.await, Ok(()));
}

async fn half_close(place: SocketAddr) {
    let (client, server) = connected(place).await;
    assert_eq!(send_all(&client, b"question".to_vec()).await, Ok(()));
    assert_eq!(receive_all(&server).await, (b"question".to_vec(), Ok(())), "the end was seen");
    assert_eq!(send_all(&server, b"answer".to_vec()).await, Ok(()), "after it");
    assert_eq!(receive_all(&client).await, (b"answer".to_vec(), Ok(())));
}

/// All handles are dropped while most of the data is in flight.
async fn everything_at_once(place: SocketAddr) {
    let data = pattern(12, 100_000);
    let (client, server) = connected(place).await;
    let (mut writer, sent) = sending(&client);
    assert!(writer.write_all(data.clone()).await.is_empty(), "the connection failed");
    drop((writer, sent, client));
    let (received, end) = receive_all(&server).await;
    assert_eq!(end, Ok(()));
    assert_same(&received, &data);
}
