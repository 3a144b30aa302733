//! Options read back as they were set, on the connecting and on the accepting side.

use std::time::Duration;

use xila_network_programs::*;

xila_network::main!(run);

async fn run() {
    for place in places() {
        let options = TcpOptions {
            receive_buffer: Some(100_000),
            send_buffer: Some(65_536),
            no_delay: Some(true),
            keep_alive: Some(KeepAlive { idle: Duration::from_secs(60), interval: Duration::from_secs(5), count: 4 }),
            hop_limit: Some(33),
            user_timeout: Some(Duration::from_secs(20)),
            linger: Some(Duration::from_secs(7)),
            congestion: Some(CongestionControl::Cubic),
        };
        let connect = ConnectOptions { tcp: options.clone(), ..ConnectOptions::default() };
        let listen = ListenOptions { backlog: Some(5), tcp: options.clone(), ..ListenOptions::default() };
        assert_eq!(TcpListener::bind_with(place, &listen).unwrap().backlog(), 5);

        let (client, server) = connected_with(place, &connect, &listen).await;
        for stream in [&client, &server] {
            assert_eq!(stream.receive_buffer(), 100_000);
            assert_eq!(stream.send_buffer(), 65_536);
            assert!(stream.nodelay());
            assert_eq!(stream.keep_alive(), options.keep_alive);
            assert_eq!(stream.hop_limit(), 33);
            assert_eq!(stream.user_timeout(), options.user_timeout);
            assert_eq!(stream.linger(), Duration::from_secs(7));
            // The default on the loopback, which loses nothing, would be none.
            assert_eq!(stream.congestion(), CongestionControl::Cubic);

            stream.set_nodelay(false).unwrap();
            stream.set_keep_alive(None).unwrap();
            stream.set_hop_limit(255).unwrap();
            stream.set_user_timeout(None).unwrap();
            stream.set_linger(Duration::ZERO).unwrap();
            assert!(!stream.nodelay());
            assert_eq!(stream.keep_alive(), None);
            assert_eq!(stream.hop_limit(), 255);
            assert_eq!(stream.user_timeout(), None);
            assert_eq!(stream.linger(), Duration::ZERO);
        }

        // The connecting side also has the requested options.
        let local = unused_port(place);
        let connect = ConnectOptions { local: Some(local), ..ConnectOptions::default() };
        let (client, server) =
            connected_with(SocketAddr::new(place.ip(), 0), &connect, &ListenOptions::default()).await;
        assert_eq!((client.local_addr(), server.peer_addr()), (local, local));
    }
}
