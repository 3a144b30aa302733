//! `std::net`, the server of a large transfer: `std_tcp_server ADDRESS:PORT BYTES [CONNECTIONS]` receives BYTES bytes
//! on each connection, answers with their sum, and sends the same number of bytes back.

use std::env;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};

use xila_network_programs::std_net::bytes_at;

fn main() {
    let mut arguments = env::args().skip(1);
    let address: SocketAddr = arguments.next().expect("ADDRESS:PORT").parse().expect("an address");
    let length: u64 = arguments.next().expect("BYTES").parse().expect("a number");
    let connections: u64 = arguments.next().map_or(1, |number| number.parse().expect("a number"));

    let listener = TcpListener::bind(address).expect("a listener");
    let mut buffer = vec![0; 1 << 16];
    for _ in 0..connections {
        let (mut stream, peer) = listener.accept().expect("a connection");
        let (mut received, mut sum) = (0_u64, 0_u64);
        loop {
            let count = stream.read(&mut buffer).expect("data");
            if count == 0 {
                break;
            }
            received += count as u64;
            sum = buffer[..count].iter().fold(sum, |sum, byte| sum.rotate_left(1) ^ u64::from(*byte));
        }
        assert_eq!(received, length);
        stream.write_all(&sum.to_le_bytes()).expect("written");

        let mut sent = 0;
        while sent < length {
            let chunk = bytes_at(sent, buffer.len().min((length - sent) as usize));
            stream.write_all(&chunk).expect("written");
            sent += chunk.len() as u64;
        }
        println!("{received} bytes of {peer} and back");
    }
}
