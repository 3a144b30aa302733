//! Measures sockets between two instances of this program, with the standard library alone, as an unmodified program
//! would use them. The example `throughput` of the guest crate does the same with that crate's sockets.
//!
//! The first mode of each pair is a server for one peer, and ends with it.

use std::env;
use std::error::Error;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{Ipv4Addr, Ipv6Addr, Shutdown, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::process::exit;
use std::thread::sleep;
use std::time::{Duration, Instant};

const USAGE: &str = "usage: std_throughput sink ADDRESS:PORT
       std_throughput source ADDRESS:PORT [--seconds S] [--chunk BYTES] [--wait SECONDS]
       std_throughput offer ADDRESS:PORT [--seconds S] [--chunk BYTES]
       std_throughput fetch ADDRESS:PORT [--wait SECONDS]
       std_throughput pong ADDRESS:PORT
       std_throughput ping ADDRESS:PORT COUNT [--size BYTES] [--wait SECONDS]
       std_throughput accept ADDRESS:PORT
       std_throughput connect ADDRESS:PORT [--seconds S] [--wait SECONDS]
       std_throughput udp-pong ADDRESS:PORT
       std_throughput udp-ping ADDRESS:PORT COUNT [--size BYTES] [--wait SECONDS]";

/// The number of bytes of one read.
const CHUNK: usize = 64 * 1024;
/// How long to wait before the next attempt to reach a server that does not listen yet.
const PAUSE: Duration = Duration::from_millis(20);
/// The byte of a one-byte connection or datagram: more follow, or it was the last.
const MORE: u8 = b'+';
const LAST: u8 = b'.';

fn main() {
    let words: Vec<String> = env::args().skip(1).collect();
    let Some(arguments) = Arguments::read(&words) else {
        eprintln!("{USAGE}");
        exit(2);
    };
    if let Err(error) = run(&arguments) {
        eprintln!("error: {}: {error}", arguments.mode);
        exit(1);
    }
}

/// The command line: the mode, its address and count, and the options.
struct Arguments {
    mode: String,
    address: SocketAddr,
    count: usize,
    seconds: Duration,
    wait: Duration,
    chunk: usize,
    size: usize,
}

impl Arguments {
    /// Parses the command line. `None` if an argument is missing, unknown or unexpected.
    fn read(words: &[String]) -> Option<Self> {
        let (mode, words) = words.split_first()?;
        let (address, mut words) = words.split_first()?;
        let mut arguments = Self {
            mode: mode.clone(),
            address: address.parse().ok()?,
            count: 0,
            seconds: Duration::from_secs(3),
            wait: Duration::ZERO,
            chunk: CHUNK,
            size: 64,
        };
        if mode.ends_with("ping") {
            let (count, rest) = words.split_first()?;
            (arguments.count, words) = (count.parse().ok()?, rest);
        }
        for pair in words.chunks(2) {
            let [name, value] = pair else { return None };
            match name.as_str() {
                "--seconds" => arguments.seconds = Duration::try_from_secs_f64(value.parse().ok()?).ok()?,
                "--wait" => arguments.wait = Duration::try_from_secs_f64(value.parse().ok()?).ok()?,
                "--chunk" => arguments.chunk = value.parse().ok()?,
                "--size" => arguments.size = value.parse().ok()?,
                _ => return None,
            }
        }
        (arguments.chunk > 0 && arguments.size > 0).then_some(arguments)
    }
}

fn run(arguments: &Arguments) -> Result<(), Box<dyn Error>> {
    let &Arguments { address, count, seconds, chunk, size, .. } = arguments;
    match arguments.mode.as_str() {
        "sink" => sink(&accept_one(address)?)?,
        "source" => source(&connect_patiently(arguments)?, seconds, chunk)?,
        "offer" => source(&accept_one(address)?, seconds, chunk)?,
        "fetch" => sink(&connect_patiently(arguments)?)?,
        "pong" => pong(&accept_one(address)?)?,
        "ping" => ping(&connect_patiently(arguments)?, count, size)?,
        "accept" => accept(address)?,
        "connect" => connect(arguments)?,
        "udp-pong" => udp_pong(address)?,
        "udp-ping" => udp_ping(arguments)?,
        _ => return Err(format!("there is no such mode\n{USAGE}").into()),
    }
    Ok(())
}

fn sink(mut stream: &TcpStream) -> io::Result<()> {
    let mut buffer = vec![0; CHUNK];
    let mut total = stream.read(&mut buffer)? as u64;
    // The time counts from the first bytes on, so that the source's wait for the connection is not included.
    let start = Instant::now();
    loop {
        match stream.read(&mut buffer)? {
            0 => break,
            length => total += length as u64,
        }
    }
    report_bytes("received", total, start.elapsed());
    Ok(())
}

fn source(mut stream: &TcpStream, time: Duration, chunk: usize) -> io::Result<()> {
    let data = vec![0x5a; chunk];
    let mut total = 0;
    let start = Instant::now();
    loop {
        stream.write_all(&data)?;
        total += chunk as u64;
        if start.elapsed() >= time {
            break;
        }
    }
    stream.shutdown(Shutdown::Write)?;
    // The peer's FIN shows that it has read everything.
    expect_end(stream)?;
    report_bytes("sent", total, start.elapsed());
    Ok(())
}

fn pong(mut stream: &TcpStream) -> io::Result<()> {
    let mut buffer = vec![0; CHUNK];
    loop {
        match stream.read(&mut buffer)? {
            0 => return Ok(()),
            length => stream.write_all(&buffer[..length])?,
        }
    }
}

fn ping(mut stream: &TcpStream, count: usize, size: usize) -> io::Result<()> {
    let message = vec![0x5a; size];
    let mut answer = vec![0; size];
    let mut times = Vec::with_capacity(count);
    for _ in 0..count {
        let start = Instant::now();
        stream.write_all(&message)?;
        stream.read_exact(&mut answer)?;
        times.push(start.elapsed());
    }
    stream.shutdown(Shutdown::Write)?;
    expect_end(stream)?;
    report_times(&mut times, size);
    Ok(())
}

/// Answers one byte on each connection and closes it, until a byte says that its connection was the last.
fn accept(address: SocketAddr) -> io::Result<()> {
    let listener = TcpListener::bind(address)?;
    let mut byte = [MORE];
    while byte[0] != LAST {
        let (mut stream, _) = listener.accept()?;
        stream.read_exact(&mut byte)?;
        stream.write_all(&byte)?;
    }
    Ok(())
}

/// Makes connections one after another; each sends a byte, receives a byte, and waits for the server's FIN.
fn connect(arguments: &Arguments) -> io::Result<()> {
    let use_up = |mut stream: &TcpStream, byte: u8| {
        stream.write_all(&[byte])?;
        stream.read_exact(&mut [0])?;
        expect_end(stream)
    };
    use_up(&connect_patiently(arguments)?, MORE)?;
    let mut count: usize = 0;
    let start = Instant::now();
    loop {
        use_up(&TcpStream::connect(arguments.address)?, MORE)?;
        count += 1;
        if start.elapsed() >= arguments.seconds {
            break;
        }
    }
    let seconds = start.elapsed().as_secs_f64();
    use_up(&TcpStream::connect(arguments.address)?, LAST)?;
    println!("{count} connections in {seconds:.3} s: {:.0} per second", count as f64 / seconds);
    Ok(())
}

/// Returns every datagram to its sender, up to the last one, which is the single byte `LAST`.
fn udp_pong(address: SocketAddr) -> io::Result<()> {
    let socket = UdpSocket::bind(address)?;
    let mut buffer = vec![0; CHUNK];
    loop {
        let (length, from) = socket.recv_from(&mut buffer)?;
        socket.send_to(&buffer[..length], from)?;
        if buffer[..length] == [LAST] {
            return Ok(());
        }
    }
}

fn udp_ping(arguments: &Arguments) -> io::Result<()> {
    let &Arguments { address, count, size, .. } = arguments;
    let any = match address {
        SocketAddr::V4(_) => SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0)),
        SocketAddr::V6(_) => SocketAddr::from((Ipv6Addr::UNSPECIFIED, 0)),
    };
    let socket = UdpSocket::bind(any)?;
    socket.connect(address)?;
    greet(&socket, arguments.wait)?;
    let message = vec![0x5a; size];
    let mut answer = vec![0; size];
    let mut times = Vec::with_capacity(count);
    for _ in 0..count {
        let start = Instant::now();
        socket.send(&message)?;
        // A late answer to a greeting is a single byte of another value, and is skipped.
        while socket.recv(&mut answer)? != size || answer[0] != message[0] {}
        times.push(start.elapsed());
    }
    socket.send(&[LAST])?;
    while socket.recv(&mut answer)? != 1 || answer[0] != LAST {}
    report_times(&mut times, size);
    Ok(())
}

/// Sends datagrams of one byte until one is answered.
fn greet(socket: &UdpSocket, patience: Duration) -> io::Result<()> {
    socket.set_nonblocking(true)?;
    let start = Instant::now();
    loop {
        // If the server does not listen yet, the send or the receive may report it.
        let answer = socket.send(&[MORE]).and_then(|_| {
            sleep(PAUSE);
            socket.recv(&mut [0])
        });
        match answer {
            Ok(_) => return socket.set_nonblocking(false),
            Err(error) if absent(&error) && start.elapsed() < patience => sleep(PAUSE),
            Err(error) => return Err(error),
        }
    }
}

/// Whether the error may only mean that the server does not listen yet.
fn absent(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::ConnectionRefused | ErrorKind::ConnectionReset | ErrorKind::WouldBlock)
}

fn connect_patiently(arguments: &Arguments) -> io::Result<TcpStream> {
    let start = Instant::now();
    loop {
        match TcpStream::connect(arguments.address) {
            Err(error) if absent(&error) && start.elapsed() < arguments.wait => sleep(PAUSE),
            result => return result.and_then(without_delay),
        }
    }
}

fn accept_one(address: SocketAddr) -> io::Result<TcpStream> {
    let (stream, _) = TcpListener::bind(address)?.accept()?;
    without_delay(stream)
}

fn without_delay(stream: TcpStream) -> io::Result<TcpStream> {
    stream.set_nodelay(true)?;
    Ok(stream)
}

fn expect_end(mut stream: &TcpStream) -> io::Result<()> {
    match stream.read(&mut [0])? {
        0 => Ok(()),
        _ => Err(io::Error::other("the peer has sent more than it was to")),
    }
}

fn report_bytes(what: &str, bytes: u64, elapsed: Duration) {
    let seconds = elapsed.as_secs_f64();
    println!("{what} {bytes} bytes in {seconds:.3} s: {:.2} Gb/s", bytes as f64 * 8.0 / 1e9 / seconds);
}

fn report_times(times: &mut [Duration], size: usize) {
    times.sort();
    let quantile = |q: f64| times.get((times.len() as f64 * q) as usize).map_or(0.0, |time| time.as_secs_f64() * 1e6);
    let (p50, p99) = (quantile(0.5), quantile(0.99));
    println!("{} round trips of {size} bytes: p50 {p50:.1} us, p99 {p99:.1} us", times.len());
}
