//! Invalid arguments are errors; they cause no traps and leave nothing behind.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use xila_network_programs::*;

xila_network::main!(run);

async fn run() {
    for place in places() {
        let listener = TcpListener::bind((place.ip(), 0)).unwrap();
        let address = listener.local_addr();
        bad_remotes(place).await;
        bad_options(place, address).await;
        bad_listeners(place);
        // After all of this, the listener and the ports still work.
        let (client, accepted) = join(TcpStream::connect(address), listener.accept()).await;
        assert_eq!(accepted.unwrap().1, client.unwrap().local_addr());
    }
}

async fn bad_remotes(place: SocketAddr) {
    let (unspecified, multicast): (IpAddr, IpAddr) = match place {
        SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED.into(), Ipv4Addr::new(224, 0, 0, 1).into()),
        SocketAddr::V6(_) => (Ipv6Addr::UNSPECIFIED.into(), "ff02::1".parse().unwrap()),
    };
    let mapped: IpAddr = "::ffff:127.0.0.1".parse().unwrap();
    for remote in [
        SocketAddr::new(place.ip(), 0),
        SocketAddr::new(unspecified, 80),
        SocketAddr::new(multicast, 80),
        SocketAddr::new(mapped, 80),
    ] {
        let error = TcpStream::connect(remote).await.expect_err("connected to a place that cannot be");
        assert_eq!(error, Error::InvalidArgument, "{remote}");
    }
}

async fn bad_options(place: SocketAddr, address: SocketAddr) {
    let other_family = if place.is_ipv4() { ipv6_loopback(0) } else { ipv4_loopback(0) };
    let zero = Some(Duration::ZERO);
    let keep_alive = |idle, interval, count| {
        let (idle, interval) = (Duration::from_secs(idle), Duration::from_secs(interval));
        TcpOptions { keep_alive: Some(KeepAlive { idle, interval, count }), ..TcpOptions::default() }
    };
    let mut bad = vec![
        ConnectOptions { local: Some(other_family), ..ConnectOptions::default() },
        ConnectOptions { timeout: zero, ..ConnectOptions::default() },
    ];
    for tcp in [
        TcpOptions { hop_limit: Some(0), ..TcpOptions::default() },
        TcpOptions { receive_buffer: Some(0), ..TcpOptions::default() },
        TcpOptions { send_buffer: Some(0), ..TcpOptions::default() },
        TcpOptions { user_timeout: zero, ..TcpOptions::default() },
        keep_alive(0, 1, 1),
        keep_alive(1, 0, 1),
        keep_alive(1, 1, 0),
    ] {
        let listen = ListenOptions { tcp: tcp.clone(), ..ListenOptions::default() };
        let result = TcpListener::bind_with((place.ip(), 0), &listen);
        assert_eq!(result.err(), Some(Error::InvalidArgument), "{tcp:?}");
        bad.push(ConnectOptions { tcp, ..ConnectOptions::default() });
    }
    for options in bad {
        let result = TcpStream::connect_with(address, &options).await;
        assert_eq!(result.err(), Some(Error::InvalidArgument), "{options:?}");
    }

    let nowhere = ConnectOptions { interface: Some("no such interface".into()), ..ConnectOptions::default() };
    assert_eq!(TcpStream::connect_with(address, &nowhere).await.unwrap_err(), Error::NotFound);

    // Sizes larger than any memory are reduced or refused, without further harm.
    let huge = Some(u64::MAX);
    let tcp = TcpOptions { receive_buffer: huge, send_buffer: huge, ..TcpOptions::default() };
    // A separate listener: if the connection is established, it waits there to be accepted.
    let listener = TcpListener::bind((place.ip(), 0)).unwrap();
    match TcpStream::connect_with(listener.local_addr(), &ConnectOptions { tcp, ..ConnectOptions::default() }).await {
        Ok(stream) => assert_eq!(stream.receive_buffer(), u64::MAX),
        Err(error) => assert_eq!(error, Error::LimitReached),
    }
}

fn bad_listeners(place: SocketAddr) {
    let backlog = |backlog| ListenOptions { backlog: Some(backlog), ..ListenOptions::default() };
    let local = SocketAddr::new(place.ip(), 0);
    assert_eq!(TcpListener::bind_with(local, &backlog(0)).unwrap_err(), Error::InvalidArgument);
    assert!(TcpListener::bind_with(local, &backlog(u32::MAX)).unwrap().backlog() > 0);

    let foreign: SocketAddr = if place.is_ipv4() { "198.51.100.7:0" } else { "[2001:db8::7]:0" }.parse().unwrap();
    assert_eq!(TcpListener::bind(foreign).unwrap_err(), Error::AddressNotAvailable);
    let multicast: SocketAddr = if place.is_ipv4() { "224.0.0.1:80" } else { "[ff02::1]:80" }.parse().unwrap();
    assert_eq!(TcpListener::bind(multicast).unwrap_err(), Error::InvalidArgument);
    let nowhere = ListenOptions { interface: Some(String::new()), ..ListenOptions::default() };
    assert_eq!(TcpListener::bind_with(local, &nowhere).unwrap_err(), Error::NotFound);
}
