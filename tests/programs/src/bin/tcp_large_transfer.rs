//! Several MiB arrive complete and in order, in both directions at once, with either kind of read and write.

use xila_network_programs::*;

xila_network::main!(run);

const LENGTH: usize = 6 * 1024 * 1024 + 4321;

async fn run() {
    for place in places() {
        let (client, server) = connected(place).await;
        let ((client_read, client_write), (server_read, server_write)) = (client.into_split(), server.into_split());
        let (there, back) = (pattern(1, LENGTH), pattern(2, LENGTH));
        let ((), (), received_there, received_back) = {
            let writes = join(write_copied(client_write, &there), write_owned(server_write, back.clone()));
            let reads = join(read_owned(server_read), read_copied(client_read));
            let (((), ()), (there, back)) = join(writes, reads).await;
            ((), (), there, back)
        };
        assert_same(&received_there, &there);
        assert_same(&received_back, &back);
    }
}

async fn write_copied(mut stream: WriteHalf, data: &[u8]) {
    // Pieces of odd sizes, which never coincide with the sizes of buffers.
    for piece in data.chunks(70_001) {
        stream.write_all(piece).await.unwrap();
    }
    stream.acknowledged().await.unwrap();
}

async fn write_owned(mut stream: WriteHalf, data: Vec<u8>) {
    let (result, rest) = stream.write_buf(data).await;
    result.unwrap();
    assert!(rest.is_empty());
    stream.acknowledged().await.unwrap();
}

async fn read_copied(mut stream: ReadHalf) -> Vec<u8> {
    let mut all = Vec::new();
    let mut buffer = [0; 30_011];
    loop {
        match stream.read(&mut buffer).await.unwrap() {
            0 => return all,
            length => all.extend_from_slice(&buffer[..length]),
        }
    }
}

async fn read_owned(mut stream: ReadHalf) -> Vec<u8> {
    let mut all = Vec::new();
    let mut buffer = Vec::with_capacity(100_003);
    loop {
        let result;
        (result, buffer) = stream.read_buf(buffer).await;
        let length = result.unwrap();
        assert_eq!(buffer.len(), length);
        if length == 0 {
            return all;
        }
        all.append(&mut buffer);
    }
}
