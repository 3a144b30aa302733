//! How connections through a gateway end. The outside is a socket of this process.

use core::net::SocketAddr;
use nix::sys::socket::getsockopt;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use super::*;
use crate::error::{ReadError, WriteError};
use crate::gateway::tests::leaping::{Leaping, leap_until};
use crate::gateway::{Gateway, GatewayOptions, Outside};
use crate::manager::Manager;
use crate::platform::Platform;
use crate::platform::tokio::platform;

type Stream = tokio::net::TcpStream;

/// A gateway, and a connection of an app to the host's loopback.
struct World {
    gateway: Gateway,
    _apps: Manager,
    app: TcpStream,
    outside: Stream,
}

impl World {
    async fn new(platform: &Platform) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a listener");
        let port = listener.local_addr().expect("an address").port();
        let outside = Outside { private: false, allowed: vec![port.to_string().parse().expect("a port")] };
        let gateway = Gateway::new(platform, GatewayOptions { outside, ..GatewayOptions::default() });
        let gateway = gateway.expect("a gateway");
        let apps = Manager::new(platform.clone());
        let configuration = gateway.configuration(0).expect("an address");
        apps.mount_interface("eth0", gateway.port(), configuration).expect("an interface");
        let server = SocketAddr::new(gateway.router().v4.address(), port);
        let app = TcpStream::connect(&apps.network(), server).await.expect("a connection");
        let (outside, _) = listener.accept().await.expect("a connection");
        Self { gateway, _apps: apps, app, outside }
    }

    /// Waits until the gateway has nothing left of the connection.
    async fn is_forgotten(&self) {
        while self.gateway.connections() > 0 {
            tokio::task::yield_now().await;
        }
    }

    /// The error that the app's connection ends with.
    async fn app_ends(&self) -> WriteError {
        poll_fn(|context| self.app.poll_failed(context, Direction::Read)).await
    }

    /// Ends the app's half, and waits until the outside has heard of it.
    async fn end_app_s_half(&mut self) {
        self.app.shutdown(Shutdown::Write).expect("a half to end");
        assert_eq!(self.outside.read(&mut [0; 16]).await.expect("an end"), 0);
    }

    /// Ends the half of the outside, and waits until the app has heard of it.
    async fn end_outside_s_half(&mut self) {
        self.outside.shutdown().await.expect("a half to end");
        assert_eq!(self.app.read(&mut [0; 16]).await, Ok(0));
    }
}

/// The error that a connection of the host ends with, after its data.
async fn ends(outside: &mut Stream) -> io::ErrorKind {
    let mut buffer = vec![0; 65536];
    loop {
        match outside.read(&mut buffer).await {
            Ok(0) => panic!("it ends as if the stream were whole"),
            Ok(_) => {}
            Err(error) => return error.kind(),
        }
    }
}

/// The error of a connection of the host whose peer has ended its half before: there is nothing more to read.
async fn fails(outside: &Stream) -> io::ErrorKind {
    outside.ready(Interest::ERROR).await.expect("a socket");
    outside.take_error().expect("a socket").expect("an error").kind()
}

/// Resets a connection of the host.
fn abort(outside: Stream) {
    outside.set_zero_linger().expect("a reset");
    drop(outside);
}

/// Writes until everything on the way is full.
macro_rules! fill {
    ($stream:expr) => {
        while tokio::time::timeout(Duration::from_millis(300), $stream.write(&[7; 65536])).await.is_ok() {}
    };
}

#[tokio::test]
async fn a_reset_of_the_app_is_noticed_while_only_the_outside_is_waited_for() {
    let mut world = World::new(&platform()).await;
    world.end_app_s_half().await;
    world.app.abort();
    assert_eq!(fails(&world.outside).await, io::ErrorKind::BrokenPipe);
    world.is_forgotten().await;

    let mut world = World::new(&platform()).await;
    fill!(world.app);
    world.app.abort();
    world.is_forgotten().await;
    assert_eq!(ends(&mut world.outside).await, io::ErrorKind::ConnectionReset);
}

#[tokio::test]
async fn a_reset_of_the_outside_is_noticed_while_only_the_app_is_waited_for() {
    let mut world = World::new(&platform()).await;
    world.end_outside_s_half().await;
    abort(core::mem::replace(&mut world.outside, unconnected().await));
    assert_eq!(world.app_ends().await, WriteError::ConnectionReset);
    world.is_forgotten().await;

    // An app that does not take what was sent before the reset hears of it later, but hears of it.
    let (platform, leaps) = Leaping::platform();
    let mut world = World::new(&platform).await;
    fill!(world.outside);
    abort(core::mem::replace(&mut world.outside, unconnected().await));
    let (error, seconds) = leap_until(&leaps, world.app_ends()).await;
    assert_eq!(error, WriteError::ConnectionReset);
    assert!((60..200).contains(&seconds), "{seconds}");
    leap_until(&leaps, world.is_forgotten()).await;
}

/// What an app reads until its connection fails, and the error.
async fn received(app: &TcpStream) -> (Vec<u8>, ReadError) {
    let (mut received, mut buffer) = (Vec::new(), vec![0; 65536]);
    loop {
        match app.read(&mut buffer).await {
            Ok(0) => panic!("it ends as if the stream were whole"),
            Ok(count) => received.extend_from_slice(&buffer[..count]),
            Err(error) => return (received, error),
        }
    }
}

/// Whether the host has still to send something on a connection, or waits for its acknowledgement.
fn is_sending(stream: &Stream) -> bool {
    let port = |end: io::Result<SocketAddr>| format!(":{:04X}", end.expect("an end").port());
    let (local, peer) = (port(stream.local_addr()), port(stream.peer_addr()));
    let connections = std::fs::read_to_string("/proc/self/net/tcp").expect("the connections of the host");
    let queues = connections.lines().find_map(|line| {
        // A number, both ends, the state, and the lengths of the two queues.
        let fields: Vec<&str> = line.split_whitespace().collect();
        let is_it = fields.get(1)?.ends_with(&local) && fields.get(2)?.ends_with(&peer);
        fields.get(4).copied().filter(|_| is_it)
    });
    queues.is_none_or(|queues| !queues.starts_with("00000000:"))
}

/// A server that answers after the first bytes of a request, and closes without reading the rest: the host sends a
/// reset then.
async fn answer_early(mut outside: Stream, answer: &[u8]) {
    outside.read_exact(&mut [0; 16]).await.expect("the first bytes");
    outside.write_all(answer).await.expect("room");
    let sent = async {
        while is_sending(&outside) {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    // What the host has not sent yet would be lost without a gateway, too.
    tokio::time::timeout(Duration::from_secs(20), sent).await.expect("the gateway takes it");
    drop(outside);
}

#[tokio::test]
async fn an_early_answer_reaches_an_app_that_writes_all_before_it_reads() {
    for length in [200, 300_000_u32] {
        let answer: Vec<u8> = (0..length).map(|at| (at % 251) as u8).collect();
        for _ in 0..20 {
            let World { gateway: _gateway, _apps, app, outside } = World::new(&platform()).await;
            let asking = async {
                let piece = vec![7; 65536];
                for _ in 0..100 {
                    if app.write_all(&piece).await.is_err() {
                        break;
                    }
                }
                received(&app).await
            };
            let ((), (received, error)) = tokio::join!(answer_early(outside, &answer), asking);
            assert!(received == answer, "{} of {length} bytes", received.len());
            assert_eq!(error, ReadError::ConnectionReset);
        }
    }
}

#[tokio::test]
async fn an_answer_before_a_reset_reaches_an_app_that_has_ended_its_half() {
    let answer = vec![7_u8; 300_000];
    let World { gateway: _gateway, _apps, app, outside } = World::new(&platform()).await;
    app.write_all(&[1; 65536]).await.expect("room");
    app.shutdown(Shutdown::Write).expect("a half to end");
    answer_early(outside, &answer).await;
    let (received, error) = received(&app).await;
    assert!(received == answer, "{} bytes", received.len());
    assert_eq!(error, ReadError::ConnectionReset);
}

/// A connection that stands for none.
async fn unconnected() -> Stream {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a listener");
    Stream::connect(listener.local_addr().expect("an address")).await.expect("a connection")
}

#[tokio::test]
async fn a_gateway_that_is_dropped_resets_what_it_carried() {
    let World { gateway, _apps, app: _app, mut outside } = World::new(&platform()).await;
    drop(gateway);
    assert_eq!(ends(&mut outside).await, io::ErrorKind::ConnectionReset);
}

#[tokio::test]
async fn a_connection_of_which_one_half_has_ended_ends_after_five_silent_minutes() {
    let (platform, leaps) = Leaping::platform();
    for is_app_first in [true, false] {
        let mut world = World::new(&platform).await;
        if is_app_first {
            world.end_app_s_half().await;
        } else {
            world.end_outside_s_half().await;
        }
        // What it carries keeps it.
        for number in 0..4 {
            let until = leaps.lock().ahead + Duration::from_secs(200);
            let not_yet = async {
                while leaps.lock().ahead < until {
                    tokio::task::yield_now().await;
                }
            };
            leap_until(&leaps, not_yet).await;
            let mut byte = [number];
            if is_app_first {
                world.outside.write_all(&byte).await.expect("the half is open");
                assert_eq!(world.app.read(&mut byte).await, Ok(1));
            } else {
                world.app.write_all(&byte).await.expect("the half is open");
                assert_eq!(world.outside.read(&mut byte).await.expect("a byte"), 1);
            }
        }
        let ended = async {
            if is_app_first {
                assert_eq!(fails(&world.outside).await, io::ErrorKind::BrokenPipe);
            } else {
                assert_eq!(ends(&mut world.outside).await, io::ErrorKind::ConnectionReset);
            }
        };
        let ((), seconds) = leap_until(&leaps, ended).await;
        assert!((300..1000).contains(&seconds), "{seconds}");
        leap_until(&leaps, world.is_forgotten()).await;
        assert_eq!(world.app_ends().await, WriteError::ConnectionReset);
    }
}

#[tokio::test]
async fn a_silent_peer_outside_is_checked() {
    let outside = unconnected().await;
    keep_alive(&outside).expect("options of a connection");
    assert!(getsockopt(&outside, sockopt::KeepAlive).expect("an option"));
    assert_eq!(getsockopt(&outside, sockopt::TcpKeepIdle).expect("an option"), KEEP_ALIVE_IDLE);
}
