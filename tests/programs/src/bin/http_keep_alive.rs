//! Sends several requests over one connection of `std::net`, `ADDRESS:PORT PATH COUNT`, each after the response to the
//! one before, and prints the first line of each response.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::time::{Duration, Instant};

fn main() {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let [address, path, count] = &words[..] else { panic!("ADDRESS:PORT PATH COUNT") };
    let mut stream = BufReader::new(connect(address));
    for _ in 0..count.parse().expect("a number") {
        let request = format!("GET {path} HTTP/1.1\r\nhost: {address}\r\n\r\n");
        stream.get_mut().write_all(request.as_bytes()).expect("a connection");
        let mut lines = Vec::new();
        loop {
            let mut line = String::new();
            assert_ne!(stream.read_line(&mut line).expect("a connection"), 0, "the connection has ended: {lines:?}");
            if line.trim_end().is_empty() {
                break;
            }
            lines.push(line.trim_end().to_ascii_lowercase());
        }
        println!("{}", lines[0]);
        if let Some(length) = lines.iter().find_map(|line| line.strip_prefix("content-length: ")) {
            let mut body = vec![0; length.parse().expect("a length")];
            stream.read_exact(&mut body).expect("a body");
        } else {
            read_chunks(&mut stream);
        }
    }
}

/// The server is started at the same time as this program.
fn connect(address: &str) -> TcpStream {
    let end = Instant::now() + Duration::from_secs(30);
    loop {
        match TcpStream::connect(address) {
            Ok(stream) => return stream,
            Err(error) => assert!(Instant::now() < end, "{error}"),
        }
    }
}

/// Reads a body of unknown length (RFC 9112 section 7.1).
fn read_chunks(stream: &mut BufReader<TcpStream>) {
    loop {
        let mut line = String::new();
        stream.read_line(&mut line).expect("the length of a chunk");
        let length = usize::from_str_radix(line.trim_end(), 16).expect("a length");
        let mut chunk = vec![0; length + 2];
        stream.read_exact(&mut chunk).expect("a chunk");
        if length == 0 {
            return;
        }
    }
}
