//! Reads and writes of zero bytes wait until there are bytes to read, or room to write, and transfer nothing.

use xila_network_programs::p3::*;

xila_network::main!(run);

async fn run() {
    for place in places() {
        let (_listener, mut incoming, address) = listening(place);
        let (client, server) = {
            let client = tcp(place);
            let mut nothing = Box::pin(incoming.read(Vec::new()));
            assert!(poll_once(&mut nothing).await.is_pending(), "nobody has connected yet");
            client.connect(address).await.unwrap();
            assert_eq!(nothing.await.0, StreamResult::Complete(0));
            (client, incoming.next().await.expect("it is still there"))
        };

        let (mut writer, sent) = sending(&client);
        let (mut received, end) = server.receive();
        assert_eq!(writer.write(Vec::new()).await.0, StreamResult::Complete(0), "there is room");
        {
            let mut nothing = Box::pin(received.read(Vec::new()));
            assert!(poll_once(&mut nothing).await.is_pending(), "there is nothing to read yet");
            assert!(writer.write_all(vec![1; 10]).await.is_empty());
            assert_eq!(nothing.await.0, StreamResult::Complete(0));
        }
        assert_eq!(received.read(Vec::new()).await.0, StreamResult::Complete(0), "it is still there");
        assert_eq!(read_exactly(&mut received, 10).await, [1; 10]);

        // The peer does not read, so the buffers of both ends fill up.
        let mut queued = 0;
        while let Some(length) = write_at_once(&mut writer, 50_000).await {
            queued += length;
        }
        assert!(queued > 0);
        {
            let mut nothing = Box::pin(writer.write(Vec::new()));
            assert!(poll_once(&mut nothing).await.is_pending(), "there is no room to write yet");
            let bytes = read_exactly(&mut received, queued).await;
            assert!(bytes.iter().all(|byte| *byte == 2));
            assert_eq!(nothing.await.0, StreamResult::Complete(0));
        }
        {
            // The end of the stream also completes the read.
            let mut nothing = Box::pin(received.read(Vec::new()));
            assert!(poll_once(&mut nothing).await.is_pending(), "there is nothing to read yet");
            drop(writer);
            assert!(matches!(nothing.await.0, StreamResult::Complete(0) | StreamResult::Dropped));
        }
        assert_eq!(received.collect().await, b"");
        assert_eq!((sent.await, end.await), (Ok(()), Ok(())));
    }
}
