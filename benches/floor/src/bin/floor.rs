//! The minimum round-trip time of `xila:network` guests, measured by two instances: `floor follow` and
//! `floor lead COUNT` take turns by an asynchronous host function, `floor pong` and `floor ping COUNT` by streams such
//! as those of a connection.

use std::time::Instant;

use wit_bindgen::{StreamReader, StreamWriter};
use xila_network_bench_floor::{arguments, report, turns, wit_stream};

/// The bytes of a message.
const SIZE: usize = 64;

xila_network::main!(run);

async fn run() -> Result<(), &'static str> {
    match arguments() {
        (mode, Some(count)) if mode == "lead" => lead(count).await,
        (mode, None) if mode == "follow" => while turns::take_turn().await {},
        (mode, Some(count)) if mode == "ping" => ping(count).await,
        (mode, None) if mode == "pong" => pong().await,
        _ => return Err("say follow, lead COUNT, pong or ping COUNT"),
    }
    Ok(())
}

/// Each round trip is one turn of the other guest: from the end of this guest's turn to the start of its next.
async fn lead(count: usize) {
    assert!(turns::take_turn().await, "the other guest has ended");
    let mut times = Vec::with_capacity(count);
    for _ in 0..count {
        let start = Instant::now();
        assert!(turns::take_turn().await, "the other guest has ended");
        times.push(start.elapsed());
    }
    report(times);
}

async fn ping(count: usize) {
    let (mut writer, mut reader) = exchange();
    let mut message = vec![0x5a; SIZE];
    let mut times = Vec::with_capacity(count);
    for _ in 0..count {
        let start = Instant::now();
        message = receive(&mut reader, send(&mut writer, message).await).await;
        assert_eq!(message.len(), SIZE, "the answer is another");
        times.push(start.elapsed());
    }
    report(times);
}

async fn pong() {
    let (mut writer, mut reader) = exchange();
    let mut message = receive(&mut reader, Vec::with_capacity(SIZE)).await;
    while !message.is_empty() {
        message = receive(&mut reader, send(&mut writer, message).await).await;
    }
}

fn exchange() -> (StreamWriter<u8>, StreamReader<u8>) {
    let (writer, outgoing) = wit_stream::new();
    (writer, turns::exchange(outgoing))
}

/// One write. Returns the buffer of the message, empty.
async fn send(writer: &mut StreamWriter<u8>, message: Vec<u8>) -> Vec<u8> {
    let rest = writer.write_all(message).await;
    assert!(rest.is_empty(), "nobody reads");
    rest
}

/// One read into the given buffer. The result is empty if the other guest has ended.
async fn receive(reader: &mut StreamReader<u8>, memory: Vec<u8>) -> Vec<u8> {
    reader.read(memory).await.1
}
