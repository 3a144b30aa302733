//! If the peer resets the connection, reads and writes fail with the cause.
//!
//! Arguments: addresses of servers that read one byte and reset the connection.

use xila_network_programs::p2::*;

fn main() {
    let peers: Vec<SocketAddr> = std::env::args().skip(1).map(|word| word.parse().expect("an address")).collect();
    assert!(!peers.is_empty(), "nobody to be reset by");
    for peer in peers {
        while_reading(peer);
        while_writing(peer);
    }
    each_family(dropped_with_bytes_unread);
}

fn while_reading(peer: SocketAddr) {
    let End { input, output, socket } = client(peer);
    let pollable = input.subscribe();
    assert!(!pollable.ready());
    write_all(&output, b"!");
    pollable.block();
    let error = assert_failed(input.read(10));
    assert_eq!(network_error_code(&error), Some(ErrorCode::ConnectionReset));
    assert!(!error.to_debug_string().is_empty());
    // The error is reported once; then the stream is closed.
    assert_closed(input.read(10));
    assert_closed(input.read(0));
    assert!(pollable.ready());

    assert!(output.subscribe().ready(), "it will not get better");
    let error = assert_failed(output.check_write());
    assert_eq!(network_error_code(&error), Some(ErrorCode::ConnectionReset));
    assert_closed(output.check_write());
    assert_closed(output.flush());
    // The socket may still count as connected or as closed: both results are correct, and neither is a trap.
    let shut = socket.shutdown(ShutdownType::Both);
    assert!(matches!(shut, Ok(()) | Err(ErrorCode::InvalidState)), "{shut:?}");
    assert!(socket.subscribe().ready());
}

/// After a reset, a write fails even if it was permitted before.
fn while_writing(peer: SocketAddr) {
    let End { input, output, socket: _socket } = client(peer);
    write_all(&output, b"!");
    let permit = output.check_write();
    input.subscribe().block();
    match permit {
        Ok(permit) => {
            assert_ne!(permit, 0);
            let error = assert_failed(output.write(b"more"));
            assert_eq!(network_error_code(&error), Some(ErrorCode::ConnectionReset));
        }
        // The reset arrived before the check.
        Err(_) => assert_closed(output.check_write()),
    }
    assert_closed(output.check_write());
    assert_failed(input.read(1));
}

/// If a socket is dropped with unread bytes, the peer gets a reset.
fn dropped_with_bytes_unread(family: IpAddressFamily) {
    let (client, server) = connected(family);
    write_all(&client.output, b"unread");
    server.input.subscribe().block();
    drop(server);
    let pollable = client.output.subscribe();
    let error = loop {
        match client.output.check_write() {
            Ok(0) => pollable.block(),
            Ok(_) => match client.output.write(b"more") {
                Ok(()) => {}
                Err(error) => break error,
            },
            Err(error) => break error,
        }
    };
    let error = assert_failed::<()>(Err(error));
    assert_eq!(network_error_code(&error), Some(ErrorCode::ConnectionReset));
}
