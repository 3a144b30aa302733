//! Written bytes come back, using only streams, permits and pollables; both ends report each other's addresses.

use xila_network_programs::p2::*;

fn main() {
    each_family(|family| {
        let (listener, local) = listener(family);
        let client = client(local);
        let server = accept(&listener).expect("an accepted connection");
        assert_eq!(remote_address(&client.socket), local);
        assert_eq!(local_address(&server.socket), local);
        assert_eq!(remote_address(&server.socket), local_address(&client.socket));
        assert_eq!(server.socket.address_family(), family);

        let sent = pattern(1, 1 << 20);
        let mut echoed = Vec::new();
        for piece in sent.chunks(30_000) {
            write_all(&client.output, piece);
            let heard = read_exact(&server.input, piece.len());
            write_all(&server.output, &heard);
            echoed.extend(read_exact(&client.input, piece.len()));
        }
        assert_same(&echoed, &sent);

        client.socket.shutdown(ShutdownType::Send).expect("a connection");
        wait_closed(&server.input);
        write_all(&server.output, b"last words");
        server.socket.shutdown(ShutdownType::Send).expect("a connection");
        assert_eq!(read_to_end(&client.input), b"last words");
    });
}
