//! UDP echo: `udp-echo serve ADDRESS:PORT [--count N]` returns every datagram to its sender, and
//! `udp-echo send ADDRESS:PORT [--count N] [--size BYTES] [--timeout SECONDS] [--wait SECONDS]` sends datagrams and
//! reports how many came back. With `--wait`, it waits for a server that has not started yet.

mod support;

use std::error::Error;
use std::future::poll_fn;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::process::exit;
use std::task::Poll;
use std::thread::sleep;
use std::time::{Duration, Instant};

use xila_network::{Datagram, OutgoingDatagram, UdpSocket};

use support::Arguments;

const USAGE: &str = "udp-echo serve ADDRESS:PORT [--count N]
       udp-echo send ADDRESS:PORT [--count N] [--size BYTES] [--timeout SECONDS] [--wait SECONDS]";

xila_network::main!(run);

async fn run() -> Result<(), Box<dyn Error>> {
    let mut arguments = Arguments::parse(USAGE, &["count", "size", "timeout", "wait"]);
    let mode: String = arguments.next("serve or send");
    let address: SocketAddr = arguments.next("ADDRESS:PORT");
    arguments.finish();
    let count: Option<usize> = arguments.option("count");
    match mode.as_str() {
        "serve" => serve(address, count).await,
        "send" => {
            let size: usize = arguments.option("size").unwrap_or(64);
            let timeout = seconds(arguments.option("timeout").unwrap_or(1.0));
            let patience = seconds(arguments.option("wait").unwrap_or(0.0));
            send(address, count.unwrap_or(10), size, timeout, patience).await
        }
        other => arguments.fail(&format!("{other} is neither serve nor send")),
    }
}

fn seconds(number: f64) -> Duration {
    Duration::from_secs_f64(number.clamp(0.0, 1e6))
}

async fn serve(address: SocketAddr, count: Option<usize>) -> Result<(), Box<dyn Error>> {
    let socket = UdpSocket::bind(address)?;
    println!("listening on {}", socket.local_addr());
    let mut served = 0;
    while count.is_none_or(|count| served < count) {
        let most = count.map_or(64, |count| (count - served).min(64));
        let mut answers: Vec<OutgoingDatagram> = socket
            .recv_many(most)
            .await?
            .into_iter()
            .map(|Datagram { data, remote }| OutgoingDatagram { data, remote: Some(remote) })
            .collect();
        served += answers.len();
        while !answers.is_empty() {
            match socket.send_many(answers.clone()).await {
                Ok(sent) => drop(answers.drain(..sent)),
                // A sender that cannot be answered must not end the service for the others.
                Err(error) => {
                    let unsent = answers.remove(0);
                    eprintln!("{}: {error}", unsent.remote.map(|remote| remote.to_string()).unwrap_or_default());
                }
            }
        }
    }
    Ok(())
}

async fn send(
    peer: SocketAddr,
    count: usize,
    size: usize,
    timeout: Duration,
    patience: Duration,
) -> Result<(), Box<dyn Error>> {
    let local = match peer {
        SocketAddr::V4(_) => SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0)),
        SocketAddr::V6(_) => SocketAddr::from((Ipv6Addr::UNSPECIFIED, 0)),
    };
    let socket = UdpSocket::bind(local)?;
    socket.connect(peer).await?;
    let deadline = Instant::now() + patience;
    let mut times = Vec::new();
    let mut number = 0;
    while number < count {
        let data: Vec<u8> = (0..size).map(|i| (i + number) as u8).collect();
        let start = Instant::now();
        match exchange(&socket, &data, start + timeout).await {
            Ok(true) => times.push(start.elapsed()),
            Ok(false) => eprintln!("datagram {number}: no answer within {} s", timeout.as_secs_f64()),
            Err(xila_network::Error::ConnectionRefused) if times.is_empty() && start < deadline => {
                sleep(Duration::from_millis(50));
                continue;
            }
            Err(error) => return Err(error.into()),
        }
        number += 1;
    }
    times.sort();
    println!("{} sent, {} came back", count, times.len());
    if let (Some(fastest), Some(slowest)) = (times.first(), times.last()) {
        let middle = times[times.len() / 2];
        println!("fastest {fastest:.1?}, middle {middle:.1?}, slowest {slowest:.1?}");
    }
    if times.len() < count {
        exit(1);
    }
    Ok(())
}

/// Sends `data` and waits until it comes back; returns false when the time is over. Late answers to an earlier datagram
/// are skipped.
async fn exchange(socket: &UdpSocket, data: &[u8], deadline: Instant) -> xila_network::Result<bool> {
    socket.send(data).await?;
    loop {
        let received = poll_fn(|cx| match socket.poll_recv(cx) {
            Poll::Ready(result) => Poll::Ready(Some(result)),
            Poll::Pending => Poll::Ready(None),
        });
        match received.await {
            Some(datagram) if datagram.as_ref().is_ok_and(|datagram| datagram.data == data) => return Ok(true),
            Some(Ok(_)) => {}
            Some(Err(error)) => return Err(error),
            None if Instant::now() >= deadline => return Ok(false),
            // The program has nothing else to do, so polling again and again is as good as a timer.
            None => xila_network::yield_now().await,
        }
    }
}
