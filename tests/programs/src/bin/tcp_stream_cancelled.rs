//! A read or write of a connection's stream that is cancelled at once has transferred nothing, and a read or write of
//! zero bytes waits until there are bytes, or room for bytes.
//!
//! `TcpStream` continues operations whose future was dropped, so this program uses the WIT package directly.

use wit_bindgen::{StreamReader, StreamResult, StreamWriter};
use xila_network_programs::raw::{connected, wit_stream};
use xila_network_programs::{places, poll_once};

xila_network::main!(run);

async fn run() {
    for place in places() {
        let (client, server) = connected(place).await;
        let (mut writer, reader) = wit_stream::new();
        let sent = client.send(reader);
        let (mut received, end) = server.receive();

        assert!(cancelled_read(&mut received).await);
        {
            let mut nothing = Box::pin(received.read(Vec::new()));
            assert!(poll_once(&mut nothing).await.is_pending(), "there is nothing to read yet");
            assert!(writer.write_all(vec![1; 10]).await.is_empty());
            assert_eq!(nothing.await.0, StreamResult::Complete(0));
        }
        let (result, bytes) = received.read(Vec::with_capacity(100)).await;
        assert_eq!((result, bytes), (StreamResult::Complete(10), vec![1; 10]));
        assert!(cancelled_read(&mut received).await);

        // The peer does not read, so the buffers of both ends fill up, by exactly the bytes that the writes report.
        let mut queued = 0;
        while let Some(length) = write_at_once(&mut writer, 50_000).await {
            queued += length;
        }
        assert!(queued > 0);
        assert_eq!(write_at_once(&mut writer, 1).await, None, "the cancelled write made no room");
        {
            let mut nothing = Box::pin(writer.write(Vec::new()));
            assert!(poll_once(&mut nothing).await.is_pending(), "there is no room to write yet");
            let mut rest = queued;
            while rest > 0 {
                let (result, bytes) = received.read(Vec::with_capacity(rest.min(70_000))).await;
                assert_eq!(result, StreamResult::Complete(bytes.len()));
                assert!(bytes.iter().all(|byte| *byte == 2));
                rest -= bytes.len();
            }
            assert_eq!(nothing.await.0, StreamResult::Complete(0));
        }
        assert!(cancelled_read(&mut received).await);
        drop(writer);
        assert_eq!(received.collect().await, b"", "what was cancelled was not sent");
        assert_eq!((end.await, sent.await), (Ok(()), Ok(())));
    }
}

/// Starts a read and cancels it; returns whether it had to be cancelled and read nothing.
async fn cancelled_read(stream: &mut StreamReader<u8>) -> bool {
    let mut read = Box::pin(stream.read(Vec::with_capacity(100)));
    poll_once(&mut read).await.is_pending() && read.as_mut().cancel() == (StreamResult::Cancelled, Vec::new())
}

/// Writes as many of `length` bytes as the host takes at once. `None` if it takes none: then the write was cancelled.
async fn write_at_once(stream: &mut StreamWriter<u8>, length: usize) -> Option<usize> {
    let mut write = Box::pin(stream.write(vec![2; length]));
    let (result, rest) = match poll_once(&mut write).await {
        std::task::Poll::Ready(done) => done,
        std::task::Poll::Pending => write.as_mut().cancel(),
    };
    match result {
        StreamResult::Complete(taken) => {
            assert_eq!(taken, length - rest.remaining());
            Some(taken)
        }
        StreamResult::Cancelled => {
            assert_eq!(rest.remaining(), length, "a cancelled write sends nothing");
            None
        }
        StreamResult::Dropped => panic!("the connection failed"),
    }
}
