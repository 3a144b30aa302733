//! An end with the kernel's TCP and the chosen congestion control, whatever the machine's default is.

use core::net::IpAddr;
use core::time::Duration;
use std::ffi::OsString;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::os::fd::{AsFd, AsRawFd};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Instant;

use nix::sys::socket::sockopt::TcpCongestion;
use nix::sys::socket::{AddressFamily, SockFlag, SockType, SockaddrStorage, connect, setsockopt, socket};

use super::{CHUNK, Congestion, LISTENING, Role, print_received, until_reset};
use crate::apps::Result;

pub(super) fn run(address: IpAddr, congestion: Congestion, role: Role) -> Result<()> {
    let listen = |port| {
        let listener = TcpListener::bind((address, port))?;
        // Accepted connections inherit the listener's algorithm.
        use_congestion(&listener, congestion)?;
        println!("{LISTENING}");
        Ok::<_, io::Error>(listener)
    };
    match role {
        Role::Sink { port, time } => sink(&listen(port)?, time),
        Role::Source { to } => {
            let stream = connected(to, congestion)?;
            Ok(until_reset(send(&stream, u64::MAX))?)
        }
        Role::Serve { port } => {
            let listener = listen(port)?;
            loop {
                let (stream, _) = listener.accept()?;
                thread::spawn(move || {
                    if let Err(error) = serve(&stream) {
                        eprintln!("kernel, serving: {error}");
                    }
                });
            }
        }
        Role::Fetch { from, bytes, count, at_once, limit } => {
            // After this, both ends have resolved their neighbours.
            fetch(from, 1)?;
            Fetches { from, bytes, count, next: AtomicUsize::new(0), under_way: Mutex::default() }.run(at_once, limit);
            Ok(())
        }
    }
}

/// Connects. The algorithm is set before the connection is made: if BBR were the default, its pacing would stay in
/// force.
fn connected(to: SocketAddr, congestion: Congestion) -> io::Result<TcpStream> {
    let socket = socket(AddressFamily::Inet, SockType::Stream, SockFlag::SOCK_CLOEXEC, None)?;
    use_congestion(&socket, congestion)?;
    connect(socket.as_raw_fd(), &SockaddrStorage::from(to))?;
    let stream = TcpStream::from(socket);
    stream.set_nodelay(true)?;
    Ok(stream)
}

fn use_congestion(socket: &impl AsFd, congestion: Congestion) -> io::Result<()> {
    setsockopt(socket, TcpCongestion, &OsString::from(congestion.name()))
        .map_err(|error| io::Error::other(format!("this kernel has no {}: {error}", congestion.name())))
}

fn sink(listener: &TcpListener, time: Duration) -> Result<()> {
    /// How often to check whether the time is over while nothing arrives.
    const LOOK: Duration = Duration::from_millis(50);
    let (mut stream, _) = listener.accept()?;
    let mut buffer = vec![0; CHUNK];
    let mut bytes = stream.read(&mut buffer)? as u64;
    let start = Instant::now();
    stream.set_read_timeout(Some(LOOK))?;
    while start.elapsed() < time {
        match stream.read(&mut buffer) {
            Ok(0) => return Err("the connection ended early".into()),
            Ok(length) => bytes += length as u64,
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            Err(error) => return Err(error.into()),
        }
    }
    print_received(bytes, start.elapsed());
    Ok(())
}

fn send(mut stream: &TcpStream, mut bytes: u64) -> io::Result<()> {
    let data = vec![0x5a; CHUNK];
    while bytes > 0 {
        let length = usize::try_from(bytes).map_or(CHUNK, |bytes| bytes.min(CHUNK));
        bytes -= stream.write(&data[..length])? as u64;
    }
    Ok(())
}

fn serve(mut stream: &TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut request = [0; 8];
    stream.read_exact(&mut request)?;
    send(stream, u64::from_be_bytes(request))?;
    stream.shutdown(Shutdown::Write)?;
    while stream.read(&mut request)? > 0 {}
    Ok(())
}

/// Fetches one body; returns how long that took.
fn fetch(from: SocketAddr, bytes: u64) -> io::Result<Duration> {
    let start = Instant::now();
    let mut stream = connected(from, Congestion::Cubic)?;
    stream.write_all(&bytes.to_be_bytes())?;
    let mut buffer = vec![0; CHUNK];
    let mut came = 0;
    loop {
        match stream.read(&mut buffer)? {
            0 if came == bytes => return Ok(start.elapsed()),
            0 => return Err(io::Error::other(format!("{came} bytes came of {bytes}"))),
            length => came += length as u64,
        }
    }
}

/// Many fetches, several of them at the same time.
struct Fetches {
    from: SocketAddr,
    bytes: u64,
    count: usize,
    next: AtomicUsize,
    /// When the current fetch of each thread began.
    under_way: Mutex<Vec<Option<Instant>>>,
}

impl Fetches {
    fn run(&self, at_once: usize, limit: Duration) {
        let begin = Instant::now();
        self.starts().resize(at_once, None);
        thread::scope(|scope| {
            let fetching: Vec<_> = (0..at_once).map(|slot| scope.spawn(move || self.fetch_in(slot))).collect();
            while fetching.iter().any(|thread| !thread.is_finished()) {
                if begin.elapsed() >= limit {
                    let starts = self.starts();
                    starts.iter().flatten().for_each(|start| println!("unfinished {}", milliseconds(start.elapsed())));
                    std::process::exit(0);
                }
                thread::sleep(Duration::from_millis(20));
            }
        });
    }

    fn fetch_in(&self, slot: usize) {
        while self.next.fetch_add(1, Ordering::Relaxed) < self.count {
            self.starts()[slot] = Some(Instant::now());
            match fetch(self.from, self.bytes) {
                Ok(time) => println!("{}", milliseconds(time)),
                Err(error) => println!("failed: {error}"),
            }
            self.starts()[slot] = None;
        }
    }

    fn starts(&self) -> std::sync::MutexGuard<'_, Vec<Option<Instant>>> {
        self.under_way.lock().expect("no thread panics with the lock")
    }
}

fn milliseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}
