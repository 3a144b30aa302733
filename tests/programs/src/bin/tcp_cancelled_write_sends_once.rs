//! A write that is cancelled and repeated sends its bytes once.

use xila_network_programs::*;

xila_network::main!(run);

const LENGTH: usize = 4 * 1024 * 1024;

async fn run() {
    for place in places() {
        let (client, server) = connected(place).await;
        let data = pattern(4, LENGTH);
        let ((), received) = join(write(client, &data), read_slowly(server)).await;
        assert_same(&received, &data);
    }
}

async fn write(mut stream: TcpStream, data: &[u8]) {
    let mut sent = 0;
    let mut turns = 0;
    while sent < data.len() {
        turns = (turns + 1) % 7;
        let piece = &data[sent..data.len().min(sent + 50_000)];
        if let Some(result) = start_and_cancel(stream.write(piece), turns).await {
            sent += result.unwrap();
        }
    }
    stream.shutdown().await.unwrap();
}
