//! Reads and writes of zero bytes work while the stream is open, and only then.

use xila_network_programs::p2::*;

fn main() {
    each_family(|family| {
        let (client, server) = connected(family);
        let nothing: &[u8] = b"";

        // This works with no bytes to read, and with bytes to read, which stay.
        assert_eq!(server.input.read(0).expect("an open stream"), nothing);
        assert_eq!(server.input.skip(0).expect("an open stream"), 0);
        write_all(&client.output, b"something");
        server.input.subscribe().block();
        assert_eq!(server.input.read(0).expect("an open stream"), nothing);
        assert_eq!(server.input.blocking_read(0).expect("an open stream"), nothing);
        assert_eq!(server.input.skip(0).expect("an open stream"), 0);
        assert_eq!(read_exact(&server.input, 9), b"something");

        // After a write of zero bytes there is nothing to read.
        assert_ne!(client.output.check_write().expect("an open stream"), 0);
        client.output.write(nothing).expect("an open stream");
        assert_ne!(client.output.check_write().expect("an open stream"), 0);
        client.output.write_zeroes(0).expect("an open stream");
        client.output.blocking_write_and_flush(nothing).expect("an open stream");
        write_all(&client.output, b"!");
        assert_eq!(read_exact(&server.input, 1), b"!");

        // The stream is closed on this side, though more bytes have arrived meanwhile.
        write_all(&client.output, b"more");
        server.input.subscribe().block();
        server.socket.shutdown(ShutdownType::Receive).expect("a connection");
        assert_closed(server.input.read(0));
        assert_closed(server.input.skip(0));

        // The stream is closed between permit and write.
        assert_ne!(server.output.check_write().expect("an open stream"), 0);
        server.socket.shutdown(ShutdownType::Send).expect("a connection");
        assert_closed(server.output.write(nothing));
        assert_closed(server.output.check_write());

        // The stream is closed by the peer.
        wait_closed(&client.input);
        assert_closed(client.input.read(0));
    });
}
