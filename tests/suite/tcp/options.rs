//! Valid and invalid options.

use std::time::Duration;

use xila_network_host::socket::{
    ConnectOptions, HopLimit, KeepAlive, ListenOptions, TcpListener, TcpOptions, TcpStream,
};
use xila_network_host::{BindError, ConnectError, InvalidOption};
use xila_network_tests::link::{Family, Link, PORT};

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn bad_arguments_are_errors_and_leave_nothing() {
    let link = Link::plain(13);
    let network = &link.client.network;
    let remotes = [
        "10.0.0.2:0",
        "[fd00::2]:0",
        "0.0.0.0:80",
        "[::]:80",
        "224.0.0.1:80",
        "[ff02::1]:80",
        "255.255.255.255:80",
        "10.0.0.255:80",
        "[::ffff:10.0.0.2]:80",
    ];
    let keep = KeepAlive::default();
    let tcp = TcpOptions::default();
    let bad_options = [
        TcpOptions { receive_buffer: 0, ..tcp.clone() },
        TcpOptions { send_buffer: 0, ..tcp.clone() },
        TcpOptions { keep_alive: Some(KeepAlive { idle: Duration::ZERO, ..keep }), ..tcp.clone() },
        TcpOptions { keep_alive: Some(KeepAlive { interval: Duration::ZERO, ..keep }), ..tcp.clone() },
        TcpOptions { keep_alive: Some(KeepAlive { count: 0, ..keep }), ..tcp },
    ];
    link.block_on(async {
        for remote in remotes {
            let result = TcpStream::connect(network, remote.parse().expect(remote)).await;
            assert_eq!(result.expect_err(remote), ConnectError::InvalidArgument, "{remote}");
        }
        for tcp in bad_options {
            let connect = ConnectOptions { tcp: tcp.clone(), ..ConnectOptions::default() };
            let result = TcpStream::connect_with(network, link.server.at(Family::V4, PORT), connect).await;
            assert_eq!(result.expect_err("bad options"), ConnectError::InvalidArgument, "{tcp:?}");
            let listen = ListenOptions { tcp: tcp.clone(), ..ListenOptions::default() };
            let result = link.client.listen(Family::V4, PORT, listen);
            assert_eq!(result.expect_err("bad options"), BindError::InvalidArgument, "{tcp:?}");
        }
        for local in ["[fd00::1]:0", "[::ffff:10.0.0.1]:0", "[::]:0"] {
            let options = ConnectOptions { local: Some(local.parse().expect(local)), ..ConnectOptions::default() };
            let result = TcpStream::connect_with(network, link.server.at(Family::V4, PORT), options).await;
            assert_eq!(result.expect_err(local), ConnectError::InvalidArgument, "{local}");
        }
        for local in ["224.0.0.1:80", "[ff02::1]:80", "255.255.255.255:80", "[::ffff:10.0.0.1]:80"] {
            let local = local.parse().expect(local);
            let result = TcpListener::bind(network, local, ListenOptions::default());
            assert_eq!(result.expect_err("not a local address"), BindError::InvalidArgument, "{local}");
        }
        let nothing = ListenOptions { backlog: 0, ..ListenOptions::default() };
        let result = link.client.listen(Family::V4, PORT, nothing);
        assert_eq!(result.expect_err("a backlog of 0"), BindError::InvalidArgument);
    });
    link.client.assert_empty();
}

#[test]
fn options_read_back_as_they_were_set() {
    let asked = TcpOptions {
        receive_buffer: 100_001,
        send_buffer: 70_003,
        no_delay: false,
        keep_alive: Some(KeepAlive { idle: SECOND * 9, interval: SECOND * 2, count: 4 }),
        hop_limit: HopLimit::new(17).expect("not 0"),
        traffic_class: 0xb8,
        user_timeout: Some(SECOND * 41),
        linger: SECOND * 3,
        ..TcpOptions::default()
    };
    let link = Link::plain(18);
    link.block_on(async {
        let connect = ConnectOptions { tcp: asked.clone(), ..ConnectOptions::default() };
        let listen = ListenOptions { backlog: 3, tcp: asked.clone() };
        let (client, server) = link.pair_with(Family::V4, connect, listen).await;
        for stream in [&client, &server] {
            assert_eq!(stream.options(), asked);
            assert_eq!((stream.receive_buffer(), stream.send_buffer()), (100_001, 70_003));
            stream.set_no_delay(true);
            stream.set_keep_alive(None).expect("settable");
            stream.set_hop_limit(HopLimit::MAX);
            stream.set_traffic_class(0x20);
            stream.set_user_timeout(None).expect("settable");
            stream.set_linger(SECOND);
            let bad = Some(KeepAlive { count: 0, ..KeepAlive::default() });
            assert_eq!(stream.set_keep_alive(bad), Err(InvalidOption));
            assert!(stream.no_delay());
            assert_eq!((stream.keep_alive(), stream.hop_limit(), stream.traffic_class()), (None, HopLimit::MAX, 0x20));
            assert_eq!((stream.user_timeout(), stream.linger()), (None, SECOND));
        }
    });
    link.assert_empty();
}
