//! If the peer aborts, reads and writes fail with a reset; on the side that aborts, they fail with an abort.

use xila_network_programs::*;

xila_network::main!(run);

async fn run() {
    for place in places() {
        // The abort happens while the other end waits for bytes.
        let (mut client, server) = connected(place).await;
        let mut buffer = [0; 8];
        let (result, ()) = join(client.read(&mut buffer), async { server.abort() }).await;
        assert_eq!(result.unwrap_err(), Error::ConnectionReset);
        assert_eq!(client.read(&mut buffer).await.unwrap_err(), Error::ConnectionReset, "and it stays so");
        assert_eq!(write_until_failure(&mut client).await, Error::ConnectionReset);

        // The errors on the side that aborts.
        let (mut client, _server) = connected(place).await;
        client.abort();
        assert_eq!(client.read(&mut buffer).await.unwrap_err(), Error::ConnectionAborted);
        assert_eq!(write_until_failure(&mut client).await, Error::ConnectionAborted);

        // A connection with unread bytes is dropped.
        let (mut client, server) = connected(place).await;
        client.write_all(b"unread").await.unwrap();
        while server.receive_queue() == 0 {
            yield_now().await;
        }
        drop(server);
        assert_eq!(client.read(&mut buffer).await.unwrap_err(), Error::ConnectionReset);
    }
}

/// Writes until a write fails. The first writes after the reset may still succeed, but not for long.
async fn write_until_failure(stream: &mut TcpStream) -> Error {
    for _ in 0..100 {
        if let Err(error) = stream.write(&[0; 1000]).await {
            return error;
        }
        yield_now().await;
    }
    panic!("writes go on after the connection has ended");
}
