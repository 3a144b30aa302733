//! `std::net`, a client that does not give up: `std_tcp_steadfast ADDRESS:PORT SECONDS PAUSE SEED` connects to an echo
//! server again and again for SECONDS seconds, with PAUSE milliseconds in between, whatever happens to the link and to
//! the server. A connection may fail, but the bytes that come back must be those that were sent, in order. It prints
//! how many exchanges were complete, and how many were broken off.

use std::io::{Error, ErrorKind, Read, Result, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};
use std::{env, thread};

use xila_network_programs::pattern;

/// The bytes that one exchange sends, and how many of them are sent before the client waits for the answer.
const LENGTH: usize = 20_000;
const PIECE: usize = 5000;

/// A connection is given up if the server is silent for this time.
const PATIENCE: Duration = Duration::from_secs(10);
const LOOK: Duration = Duration::from_millis(20);

fn main() {
    let mut arguments = env::args().skip(1);
    let address: SocketAddr = arguments.next().expect("ADDRESS:PORT").parse().expect("an address");
    let seconds: u64 = arguments.next().expect("SECONDS").parse().expect("a number");
    let pause = Duration::from_millis(arguments.next().expect("PAUSE").parse().expect("a number"));
    let mut seed: u64 = arguments.next().expect("SEED").parse().expect("a number");

    let end = Instant::now() + Duration::from_secs(seconds);
    let (mut whole, mut broken) = (0, 0);
    while Instant::now() < end {
        seed += 1;
        match exchange(address, &pattern(seed, LENGTH)) {
            Ok(()) => whole += 1,
            Err(_) => broken += 1,
        }
        thread::sleep(pause);
    }
    println!("{whole} whole, {broken} broken off");
}

fn exchange(address: SocketAddr, data: &[u8]) -> Result<()> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_nonblocking(true)?;
    let mut answer = vec![0; PIECE];
    for piece in data.chunks(PIECE) {
        let mut left = piece;
        while !left.is_empty() {
            left = &left[within(|| stream.write(left))?..];
        }
        let mut received = 0;
        while received < piece.len() {
            match within(|| stream.read(&mut answer[received..]))? {
                0 => return Err(ErrorKind::UnexpectedEof.into()),
                count => received += count,
            }
        }
        assert!(answer == piece, "other bytes came back");
    }
    Ok(())
}

/// Repeats an operation while it would block, until the patience is over.
fn within(mut attempt: impl FnMut() -> Result<usize>) -> Result<usize> {
    let end = Instant::now() + PATIENCE;
    loop {
        match attempt() {
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            result => return result,
        }
        if Instant::now() > end {
            return Err(Error::from(ErrorKind::TimedOut));
        }
        thread::sleep(LOOK);
    }
}
