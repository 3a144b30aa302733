//! Measures the network between two instances of this program: `throughput sink ADDRESS:PORT` and
//! `throughput source ADDRESS:PORT` measure bytes per second, `pong` and `ping` round trips, `accept` and `connect`
//! connections per second, `udp-pong` and `udp-ping` round trips of datagrams. The first of each pair is the server,
//! which ends when its peers have ended.

mod support;

use std::error::Error;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use xila_network::{Result, TcpListener, TcpStream, UdpSocket};

use support::{Arguments, rate};

const USAGE: &str = "throughput sink ADDRESS:PORT [--connections N]
       throughput source ADDRESS:PORT [--seconds S | --bytes N] [--chunk BYTES] [--wait SECONDS]
       throughput pong ADDRESS:PORT [--connections N]
       throughput ping ADDRESS:PORT COUNT [--size BYTES] [--wait SECONDS]
       throughput accept ADDRESS:PORT
       throughput connect ADDRESS:PORT [--seconds S] [--wait SECONDS]
       throughput udp-pong ADDRESS:PORT
       throughput udp-ping ADDRESS:PORT COUNT [--size BYTES] [--wait SECONDS]";

/// The byte of a one-byte connection or datagram that tells the server whether more follow, or whether it was the last.
const MORE: u8 = b'+';
const LAST: u8 = b'.';

xila_network::main!(run);

async fn run() -> Result<(), Box<dyn Error>> {
    let mut arguments = Arguments::parse(USAGE, &["connections", "seconds", "bytes", "chunk", "size", "wait"]);
    let mode: String = arguments.next("the mode");
    let address: SocketAddr = arguments.next("ADDRESS:PORT");
    let count: usize = if mode.ends_with("ping") { arguments.next("COUNT") } else { 0 };
    arguments.finish();
    let connections: usize = arguments.option("connections").unwrap_or(1);
    let wait: Option<f64> = arguments.option("wait");
    match mode.as_str() {
        "sink" => {
            let listener = TcpListener::bind(address)?;
            for _ in 0..connections {
                sink(listener.accept().await?.0).await?;
            }
        }
        "source" => {
            let seconds: Option<f64> = arguments.option("seconds");
            let bytes: Option<u64> = arguments.option("bytes");
            let limit = match (seconds, bytes) {
                (None, Some(bytes)) => Limit::Bytes(bytes),
                (seconds, None) => Limit::Time(Duration::from_secs_f64(seconds.unwrap_or(3.0).clamp(0.0, 1e6))),
                (Some(_), Some(_)) => arguments.fail("--seconds and --bytes exclude one another"),
            };
            let chunk: usize = arguments.option("chunk").unwrap_or(64 * 1024).max(1);
            source(support::connect(address, wait).await?, limit, chunk).await?;
        }
        "pong" => {
            let listener = TcpListener::bind(address)?;
            for _ in 0..connections {
                pong(listener.accept().await?.0).await?;
            }
        }
        "ping" => {
            let size: usize = arguments.option("size").unwrap_or(64).max(1);
            ping(support::connect(address, wait).await?, count, size).await?;
        }
        "accept" => accept(&TcpListener::bind(address)?).await?,
        "connect" => {
            let time = Duration::from_secs_f64(arguments.option("seconds").unwrap_or(3.0_f64).clamp(0.0, 1e6));
            use_up(support::connect(address, wait).await?, MORE).await?;
            connect(address, time).await?;
        }
        "udp-pong" => udp_pong(&UdpSocket::bind(address)?).await?,
        "udp-ping" => {
            let size: usize = arguments.option("size").unwrap_or(64).max(2);
            let socket = support::datagrams_to(address).await?;
            support::greet(&socket, &[MORE], wait).await?;
            udp_ping(&socket, count, size).await?;
        }
        other => arguments.fail(&format!("{other} is no mode")),
    }
    Ok(())
}

enum Limit {
    Bytes(u64),
    Time(Duration),
}

async fn source(mut stream: TcpStream, limit: Limit, chunk: usize) -> Result<()> {
    let mut buffer = Vec::with_capacity(chunk);
    let mut total = 0;
    let start = Instant::now();
    loop {
        let left = match limit {
            Limit::Bytes(bytes) => usize::try_from(bytes - total).unwrap_or(usize::MAX).min(chunk),
            Limit::Time(time) if start.elapsed() < time => chunk,
            Limit::Time(_) => 0,
        };
        if left == 0 {
            break;
        }
        buffer.resize(left, 0x5a);
        let result;
        (result, buffer) = stream.write_buf(buffer).await;
        result?;
        total += left as u64;
    }
    stream.acknowledged().await?;
    report("sent", total, start.elapsed());
    Ok(())
}

async fn sink(mut stream: TcpStream) -> Result<()> {
    let mut buffer = Vec::with_capacity(256 * 1024);
    let mut total = 0;
    // The time counts from the first byte on, so that the source's wait for the connection is not included.
    let mut start = None;
    loop {
        let result;
        (result, buffer) = stream.read_buf(buffer).await;
        let length = result?;
        let start = start.get_or_insert_with(Instant::now);
        if length == 0 {
            report("received", total, start.elapsed());
            return Ok(());
        }
        total += length as u64;
        buffer.clear();
    }
}

async fn ping(mut stream: TcpStream, count: usize, size: usize) -> Result<()> {
    stream.set_nodelay(true)?;
    let message = vec![0x5a; size];
    let mut answer = vec![0; size];
    let mut times = Vec::with_capacity(count);
    for _ in 0..count {
        let start = Instant::now();
        stream.write_all(&message).await?;
        stream.read_exact(&mut answer).await?;
        times.push(start.elapsed());
    }
    stream.shutdown().await?;
    report_times(&mut times, size);
    Ok(())
}

async fn pong(mut stream: TcpStream) -> Result<()> {
    stream.set_nodelay(true)?;
    let mut buffer = vec![0; 64 * 1024];
    loop {
        match stream.read(&mut buffer).await? {
            0 => return stream.shutdown().await,
            length => stream.write_all(&buffer[..length]).await?,
        }
    }
}

/// Answers one byte on each connection and closes it, until a byte says that its connection was the last.
async fn accept(listener: &TcpListener) -> Result<()> {
    let mut byte = [MORE];
    while byte[0] != LAST {
        let (mut stream, _) = listener.accept().await?;
        stream.read_exact(&mut byte).await?;
        stream.write_all(&byte).await?;
    }
    Ok(())
}

/// Makes connections one after another, each as soon as the previous one is closed.
async fn connect(address: SocketAddr, time: Duration) -> Result<()> {
    let mut count: usize = 0;
    let start = Instant::now();
    while start.elapsed() < time {
        use_up(TcpStream::connect(address).await?, MORE).await?;
        count += 1;
    }
    let seconds = start.elapsed().as_secs_f64();
    use_up(TcpStream::connect(address).await?, LAST).await?;
    println!("{count} connections in {seconds:.3} s: {:.0} per second", count as f64 / seconds);
    Ok(())
}

/// Sends a byte, receives a byte, and waits for the server's FIN.
async fn use_up(mut stream: TcpStream, byte: u8) -> Result<()> {
    stream.write_all(&[byte]).await?;
    stream.read_to_end(&mut Vec::with_capacity(1)).await?;
    Ok(())
}

/// Returns every datagram to its sender, up to the last one.
async fn udp_pong(socket: &UdpSocket) -> Result<()> {
    loop {
        let datagram = socket.recv_datagram().await?;
        socket.send_to(&datagram.data, datagram.remote).await?;
        if datagram.data == [LAST] {
            return Ok(());
        }
    }
}

async fn udp_ping(socket: &UdpSocket, count: usize, size: usize) -> Result<()> {
    let message = vec![0x5a; size];
    let mut times = Vec::with_capacity(count);
    for _ in 0..count {
        let start = Instant::now();
        socket.send(&message).await?;
        // A shorter datagram is the answer to a repeated greeting, and is skipped.
        while socket.recv_datagram().await?.data != message {}
        times.push(start.elapsed());
    }
    socket.send(&[LAST]).await?;
    while socket.recv_datagram().await?.data != [LAST] {}
    report_times(&mut times, size);
    Ok(())
}

fn report_times(times: &mut [Duration], size: usize) {
    times.sort();
    let quantile = |q: f64| times.get((times.len() as f64 * q) as usize).map_or(0.0, |time| time.as_secs_f64() * 1e6);
    let (p50, p99) = (quantile(0.5), quantile(0.99));
    println!("{} round trips of {size} bytes: p50 {p50:.1} us, p99 {p99:.1} us", times.len());
}

fn report(what: &str, bytes: u64, elapsed: Duration) {
    println!("{what} {bytes} bytes in {:.3} s: {}", elapsed.as_secs_f64(), rate(bytes, elapsed));
}
