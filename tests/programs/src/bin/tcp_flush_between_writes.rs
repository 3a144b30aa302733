//! A flush between two polls of one write neither repeats nor loses bytes.

use std::future::poll_fn;
use std::task::Poll;

use xila_network_programs::*;

xila_network::main!(run);

const LENGTH: usize = 4 * 1024 * 1024;

async fn run() {
    for place in places() {
        let (client, server) = connected(place).await;
        let data = pattern(4, LENGTH);
        let (flushed, received) = join(write(client, &data), read_slowly(server)).await;
        assert_same(&received, &data);
        assert!(flushed > 0, "no write had to wait");
    }
}

/// Writes all of the data, and flushes whenever a write waits; how often it did.
async fn write(mut stream: TcpStream, data: &[u8]) -> usize {
    let (mut sent, mut flushed) = (0, 0);
    while sent < data.len() {
        let piece = &data[sent..data.len().min(sent + 50_000)];
        match poll_fn(|context| Poll::Ready(stream.poll_write(context, piece))).await {
            Poll::Ready(written) => sent += written.unwrap(),
            Poll::Pending => {
                poll_fn(|context| stream.split().1.poll_flush(context)).await.unwrap();
                flushed += 1;
            }
        }
    }
    stream.shutdown().await.unwrap();
    flushed
}
