//! The effect of dropping the handles of a connection, one by one and all together.

use xila_network_programs::p2::*;

fn main() {
    each_family(the_output);
    each_family(the_input);
    each_family(the_socket);
    each_family(both_streams);
    each_family(everything);
}

/// The peer reads all written bytes, and the end when the socket is dropped too; the other direction stays open.
fn the_output(family: IpAddressFamily) {
    let (client, server) = connected(family);
    write_all(&client.output, b"the last");
    drop(client.output);
    assert_eq!(read_exact(&server.input, 8), b"the last");
    assert!(!server.input.subscribe().ready(), "the socket could still be shut down in good order");
    drop(client.socket);
    wait_closed(&server.input);
    write_all(&server.output, b"an answer");
    assert_eq!(read_exact(&client.input, 9), b"an answer");
}

/// Dropping the input stream does not affect the peer.
fn the_input(family: IpAddressFamily) {
    let (client, server) = connected(family);
    drop(client.input);
    write_all(&client.output, b"the first");
    assert_eq!(read_exact(&server.input, 9), b"the first");
    write_all(&server.output, b"to nobody");
    write_all(&client.output, b"the second");
    assert_eq!(read_exact(&server.input, 10), b"the second");
}

/// The streams work without the socket. (Unlike pollables, they are not child resources that must be dropped first.)
fn the_socket(family: IpAddressFamily) {
    let (client, server) = connected(family);
    drop(client.socket);
    drop(server.socket);
    assert!(!server.input.subscribe().ready(), "nothing has ended");
    for round in 0..3 {
        let sent = pattern(round, 100_000);
        for (from, to) in [(&client.output, &server.input), (&server.output, &client.input)] {
            for piece in sent.chunks(20_000) {
                write_all(from, piece);
                assert_same(&read_exact(to, piece.len()), piece);
            }
        }
    }
    drop(client.output);
    wait_closed(&server.input);
    drop(server.output);
    wait_closed(&client.input);
}

/// After both streams are dropped, the socket is still connected.
fn both_streams(family: IpAddressFamily) {
    let (client, server) = connected(family);
    drop(client.output);
    drop(client.input);
    assert_eq!(remote_address(&client.socket), local_address(&server.socket));
    assert_error(client.socket.finish_connect(), ErrorCode::NotInProgress);
    assert!(!server.input.subscribe().ready(), "nothing has ended");
    client.socket.shutdown(ShutdownType::Send).expect("connected");
    wait_closed(&server.input);
}

/// Makes and drops many more connections, one after another, than the program may have at once.
fn everything(family: IpAddressFamily) {
    let (listener, local) = listener(family);
    for round in 0..50 {
        let client = client(local);
        let server = accept(&listener).expect("a connection");
        let End { input, output, socket } = client;
        match round % 3 {
            0 => drop((socket, output, input)),
            1 => drop((input, output, socket)),
            _ => drop((output, socket, input)),
        }
        wait_closed(&server.input);
        // Sockets that are not connected can be dropped too.
        drop(tcp_socket(family));
        drop(bound_tcp(family));
        let half_way = tcp_socket(family);
        half_way.start_bind(&instance_network(), to_wit(loopback(family, 0))).expect("a start");
        drop(half_way);
        let connecting = tcp_socket(family);
        connecting.start_connect(&instance_network(), to_wit(local)).expect("a start");
        drop(connecting);
        // The client may have ended its attempt before the connection was made; otherwise the connection is in the
        // backlog.
        while listener.accept().is_ok() {}
    }
}
