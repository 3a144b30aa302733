//! `std::net`, the client of a large transfer: `std_tcp_client ADDRESS:PORT BYTES` waits until the server listens,
//! sends BYTES bytes, compares their sum with the server's answer, and receives the same number of bytes.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::time::Duration;
use std::{env, thread};

use xila_network_programs::std_net::{bytes_at, expect_end};

fn main() {
    let mut arguments = env::args().skip(1);
    let address: SocketAddr = arguments.next().expect("ADDRESS:PORT").parse().expect("an address");
    let length: u64 = arguments.next().expect("BYTES").parse().expect("a number");

    let mut stream = loop {
        match TcpStream::connect(address) {
            Ok(stream) => break stream,
            Err(error) => assert_eq!(error.kind(), ErrorKind::ConnectionRefused, "{error}"),
        }
        thread::sleep(Duration::from_millis(10));
    };

    let mut buffer = vec![0; 1 << 16];
    let (mut sent, mut sum) = (0, 0_u64);
    while sent < length {
        let chunk = bytes_at(sent, buffer.len().min((length - sent) as usize));
        stream.write_all(&chunk).expect("written");
        sum = chunk.iter().fold(sum, |sum, byte| sum.rotate_left(1) ^ u64::from(*byte));
        sent += chunk.len() as u64;
    }
    stream.shutdown(Shutdown::Write).expect("shut down");

    let mut answer = [0; 8];
    stream.read_exact(&mut answer).expect("an answer");
    assert_eq!(u64::from_le_bytes(answer), sum);
    let mut received = 0;
    while received < length {
        let count = stream.read(&mut buffer).expect("data");
        assert_ne!(count, 0, "it ended after {received} bytes of {length}");
        assert!(buffer[..count] == bytes_at(received, count), "other bytes after {received}");
        received += count as u64;
    }
    expect_end(&stream);
    println!("{sent} bytes to {address} and back");
}
