//! Reads that are cancelled at any moment lose no byte, whichever kind of read comes next.

use xila_network_programs::*;

xila_network::main!(run);

const LENGTH: usize = 300_000;

async fn run() {
    for place in places() {
        let (client, server) = connected(place).await;
        let data = pattern(3, LENGTH);
        let ((), received) = join(write(client, &data), read(server)).await;
        assert_same(&received, &data);
    }
}

async fn write(mut stream: TcpStream, data: &[u8]) {
    for (number, piece) in data.chunks(1_009).enumerate() {
        stream.write_all(piece).await.unwrap();
        // Sometimes the reader finds no bytes and waits.
        for _ in 0..number % 4 {
            yield_now().await;
        }
    }
    stream.shutdown().await.unwrap();
}

async fn read(mut stream: TcpStream) -> Vec<u8> {
    let mut received = Vec::new();
    let mut buffer = [0; 700];
    for number in 0.. {
        if let Some(result) = start_and_cancel(stream.read(&mut buffer), number % 3).await {
            received.extend_from_slice(&buffer[..result.unwrap()]);
        }
        if let Some((result, more)) = start_and_cancel(stream.read_buf(prefilled()), number % 2).await {
            assert_eq!(more.len(), 5 + result.unwrap());
            received.extend_from_slice(&more[5..]);
        }
        if number % 10 == 0 {
            match stream.read(&mut buffer).await.unwrap() {
                0 => break,
                length => received.extend_from_slice(&buffer[..length]),
            }
        }
    }
    received
}

/// A buffer that already holds bytes, which must not be mistaken for received bytes.
fn prefilled() -> Vec<u8> {
    let mut buffer = Vec::with_capacity(905);
    buffer.extend_from_slice(b"-----");
    buffer
}
