//! The stream of received bytes of one connection can be given to another connection to send, without passing through
//! the program. The connections continue to exist in their streams when their handles are dropped.
//!
//! `TcpStream` keeps its streams to itself, so this program uses the WIT package directly.

use xila_network_programs::raw::{connected, wit_stream};
use xila_network_programs::{assert_same, join, pattern, places};

xila_network::main!(run);

const LENGTH: usize = 3 * 1024 * 1024;

async fn run() {
    for place in places() {
        let ((source, from), (to, sink)) = (connected(place).await, connected(place).await);
        let (mut writer, reader) = wit_stream::new();
        let sent = source.send(reader);
        let (passing, from_end) = from.receive();
        let passed = to.send(passing);
        let (received, sink_end) = sink.receive();
        drop((source, from, to, sink));

        let data = pattern(9, LENGTH);
        let write = async {
            assert!(writer.write_all(data.clone()).await.is_empty());
            drop(writer);
        };
        let ((), bytes) = join(write, received.collect()).await;
        assert_same(&bytes, &data);
        assert_eq!((sent.await, from_end.await), (Ok(()), Ok(())));
        assert_eq!((passed.await, sink_end.await), (Ok(()), Ok(())));
    }
}
