//! A stream whose connection has no memory left is not ready, and a write waits until the peer reads.
//!
//! Argument: a peer that accepts two connections, reads a byte from the second, and then the first to its end. The
//! limit of memory must be smaller than a send buffer.

use xila_network_programs::p2::*;

fn main() {
    let peer: SocketAddr = std::env::args().nth(1).expect("a peer").parse().expect("an address");
    let data = client(peer);
    let signal = client(peer);
    let written = fill(&data.output, |permit| pattern(1, permit));
    let buffer = data.socket.send_buffer_size().expect("a connection");
    assert!((written as u64) < 2 * buffer, "{written} bytes: the memory was to run out");
    let writable = data.output.subscribe();
    assert!(!writable.ready() && data.output.check_write().expect("an open stream") == 0);

    write_all(&signal.output, b"!");
    for _ in 0..100 {
        data.output.blocking_write_and_flush(&[7; 4096]).expect("the peer reads");
    }
    data.socket.shutdown(ShutdownType::Send).expect("a connection");
    assert_eq!(read_to_end(&data.input), (written + 100 * 4096).to_string().as_bytes(), "what the peer has read");
}
