//! The options of a TCP socket read back as they were set, before and after it is connected; 0 is refused; accepted
//! connections inherit them.

use xila_network_programs::p3::*;

xila_network::main!(run);

const SECOND: u64 = 1_000_000_000;

/// All options of a socket.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Options {
    keep_alive: bool,
    idle: u64,
    interval: u64,
    count: u32,
    hop_limit: u8,
    receive_buffer: u64,
    send_buffer: u64,
}

const ONE: Options = Options {
    keep_alive: true,
    idle: 30 * SECOND,
    interval: 5 * SECOND,
    count: 4,
    hop_limit: 17,
    receive_buffer: 300_000,
    send_buffer: 200_000,
};

const OTHER: Options =
    Options { keep_alive: false, idle: 31 * SECOND, interval: 6 * SECOND, count: 5, hop_limit: 255, ..ONE };

async fn run() {
    for place in places() {
        let socket = tcp(place);
        let defaults = of(&socket);
        assert!(!defaults.keep_alive, "{defaults:?}");
        assert_eq!((defaults.idle, defaults.interval, defaults.count), (7200 * SECOND, 75 * SECOND, 9));
        assert!(defaults.hop_limit > 0 && defaults.receive_buffer > 0 && defaults.send_buffer > 0, "{defaults:?}");
        refuses_zero(&socket);
        assert_eq!(of(&socket), defaults, "what was refused has changed nothing");
        set(&socket, ONE);
        assert_eq!(of(&socket), ONE);
        socket.bind(wit(place)).unwrap();
        assert_eq!(of(&socket), ONE);
        set(&socket, Options { keep_alive: false, ..ONE });
        assert_eq!(of(&socket), Options { keep_alive: false, ..ONE }, "kept while it is off");
        set(&socket, ONE);

        let mut incoming = socket.listen().unwrap();
        assert_eq!(of(&socket), ONE);
        let address = socket.get_local_address().unwrap();
        let client = tcp(place);
        set(&client, OTHER);
        client.connect(address).await.unwrap();
        let server = incoming.next().await.unwrap();
        assert_eq!(of(&client), OTHER, "nothing of the peer's");
        assert_eq!(of(&server), ONE, "inherited");

        // From now on this socket has its own options.
        set(&socket, OTHER);
        assert_eq!((of(&socket), of(&server)), (OTHER, ONE));
        let (_client, late) = connect_through(&mut incoming, place, address).await;
        assert_eq!(of(&late), OTHER);
        set(&server, OTHER);
        assert_eq!(of(&server), OTHER);
        refuses_zero(&server);
        assert_eq!(of(&server), OTHER);
        talks(&client, &server).await;

        // After a connection has ended, its options can still be set and read, but have no effect.
        set(&client, Options { receive_buffer: OTHER.receive_buffer, send_buffer: OTHER.send_buffer, ..ONE });
        assert_eq!(of(&client), ONE);

        // The largest values are accepted.
        let socket = tcp(place);
        socket.set_keep_alive_idle_time(u64::MAX).unwrap();
        socket.set_keep_alive_interval(u64::MAX).unwrap();
        socket.set_keep_alive_count(u32::MAX).unwrap();
        socket.set_keep_alive_enabled(true).unwrap();
        socket.connect(address).await.unwrap();
        let server = incoming.next().await.unwrap();
        talks(&socket, &server).await;
    }
}

fn of(socket: &TcpSocket) -> Options {
    Options {
        keep_alive: socket.get_keep_alive_enabled().unwrap(),
        idle: socket.get_keep_alive_idle_time().unwrap(),
        interval: socket.get_keep_alive_interval().unwrap(),
        count: socket.get_keep_alive_count().unwrap(),
        hop_limit: socket.get_hop_limit().unwrap(),
        receive_buffer: socket.get_receive_buffer_size().unwrap(),
        send_buffer: socket.get_send_buffer_size().unwrap(),
    }
}

fn set(socket: &TcpSocket, options: Options) {
    socket.set_keep_alive_enabled(options.keep_alive).unwrap();
    socket.set_keep_alive_idle_time(options.idle).unwrap();
    socket.set_keep_alive_interval(options.interval).unwrap();
    socket.set_keep_alive_count(options.count).unwrap();
    socket.set_hop_limit(options.hop_limit).unwrap();
    socket.set_receive_buffer_size(options.receive_buffer).unwrap();
    socket.set_send_buffer_size(options.send_buffer).unwrap();
}

fn refuses_zero(socket: &TcpSocket) {
    const INVALID: Result<(), ErrorCode> = Err(ErrorCode::InvalidArgument);
    assert_eq!(socket.set_keep_alive_idle_time(0), INVALID);
    assert_eq!(socket.set_keep_alive_interval(0), INVALID);
    assert_eq!(socket.set_keep_alive_count(0), INVALID);
    assert_eq!(socket.set_hop_limit(0), INVALID);
    assert_eq!(socket.set_receive_buffer_size(0), INVALID);
    assert_eq!(socket.set_send_buffer_size(0), INVALID);
}
