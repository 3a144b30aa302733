//! The streams of a connection can be taken once: a second `send` or `receive` is an error and affects nothing.
//!
//! `TcpStream` does not allow a second call, so this program uses the WIT package directly.

use wit_bindgen::StreamResult;
use xila_network_programs::places;
use xila_network_programs::raw::{ErrorCode, connected, wit_stream};

xila_network::main!(run);

async fn run() {
    for place in places() {
        let (client, server) = connected(place).await;

        let (mut writer, reader) = wit_stream::new();
        let sent = client.send(reader);
        assert!(writer.write_all(b"before".to_vec()).await.is_empty());

        let (mut second_writer, reader) = wit_stream::new();
        assert_eq!(client.send(reader).await, Err(ErrorCode::InvalidState));
        let (result, rest) = second_writer.write(b"never".to_vec()).await;
        assert_eq!((result, rest.into_vec()), (StreamResult::Dropped, b"never".to_vec()));

        assert!(writer.write_all(b" and after".to_vec()).await.is_empty());
        drop(writer);

        let (received, result) = server.receive();
        let (nothing, second_result) = server.receive();
        assert_eq!(second_result.await, Err(ErrorCode::InvalidState));
        assert_eq!(nothing.collect().await, b"");
        assert_eq!(received.collect().await, b"before and after");
        assert_eq!(result.await, Ok(()));
        assert_eq!(sent.await, Ok(()), "the peer has acknowledged all of it");
    }
}
