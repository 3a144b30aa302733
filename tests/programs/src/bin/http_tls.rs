//! Speaks TLS by `wasi:tls` over a connection of `wasi:sockets`, `ADDRESS:PORT NAME`, and prints what the server says.

use xila_network_programs::http::tls::wasi::tls::types::{ClientConnection, ClientHandshake};
use xila_network_programs::p2::{self, InputStream, IpAddressFamily, OutputStream};

fn main() {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let [address, name] = &words[..] else { panic!("ADDRESS:PORT NAME") };
    let socket = p2::tcp_socket(IpAddressFamily::Ipv4);
    let (input, output) = p2::connect(&socket, address.parse().expect("an address")).expect("a connection");
    match handshake(name, input, output) {
        Err(problem) => println!("no TLS: {problem}"),
        Ok((connection, input, output)) => {
            p2::write_all(&output, b"GET /hello HTTP/1.0\r\nhost: localhost\r\n\r\n");
            let heard = String::from_utf8(p2::read_to_end(&input)).expect("text");
            println!("{}", heard.lines().next().expect("a line"));
            drop((input, output));
            drop(connection);
        }
    }
    drop(socket);
}

fn handshake(
    name: &str,
    input: InputStream,
    output: OutputStream,
) -> Result<(ClientConnection, InputStream, OutputStream), String> {
    let streams = ClientHandshake::finish(ClientHandshake::new(name, input, output));
    let pollable = streams.subscribe();
    loop {
        match streams.get() {
            Some(made) => return made.expect("it is taken once").map_err(|error| error.to_debug_string()),
            None => pollable.block(),
        }
    }
}
