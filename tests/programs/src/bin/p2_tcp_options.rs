//! Options read back as they were set, in every state that has them, and an accepted socket inherits those of its
//! listener.

use xila_network_programs::p2::*;

/// A second in nanoseconds, the unit of the WIT package.
const SECOND: u64 = 1_000_000_000;

fn main() {
    each_family(read_back);
    each_family(zero);
    each_family(extremes);
    each_family(inherited);
    each_family(of_a_connection);
    each_family(closed);
}

/// All options of a socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Options {
    keep_alive: bool,
    idle: u64,
    interval: u64,
    count: u32,
    hop_limit: u8,
    receive_buffer: u64,
    send_buffer: u64,
}

const SET: Options = Options {
    keep_alive: true,
    idle: 61 * SECOND,
    interval: 7 * SECOND,
    count: 5,
    hop_limit: 33,
    receive_buffer: 100_000,
    send_buffer: 50_000,
};

impl Options {
    fn of(socket: &TcpSocket) -> Result<Self, ErrorCode> {
        Ok(Self {
            keep_alive: socket.keep_alive_enabled()?,
            idle: socket.keep_alive_idle_time()?,
            interval: socket.keep_alive_interval()?,
            count: socket.keep_alive_count()?,
            hop_limit: socket.hop_limit()?,
            receive_buffer: socket.receive_buffer_size()?,
            send_buffer: socket.send_buffer_size()?,
        })
    }

    fn set(&self, socket: &TcpSocket) {
        socket.set_keep_alive_enabled(self.keep_alive).expect("set");
        socket.set_keep_alive_idle_time(self.idle).expect("set");
        socket.set_keep_alive_interval(self.interval).expect("set");
        socket.set_keep_alive_count(self.count).expect("set");
        socket.set_hop_limit(self.hop_limit).expect("set");
        socket.set_receive_buffer_size(self.receive_buffer).expect("set");
        socket.set_send_buffer_size(self.send_buffer).expect("set");
    }
}

fn read_back(family: IpAddressFamily) {
    let socket = tcp_socket(family);
    let defaults = Options::of(&socket).expect("an open socket");
    assert!(!defaults.keep_alive, "nobody has asked for it");
    assert!(defaults.idle > 0 && defaults.interval > 0 && defaults.count > 0, "{defaults:?}");
    assert!(defaults.hop_limit > 0 && defaults.receive_buffer > 0 && defaults.send_buffer > 0, "{defaults:?}");

    SET.set(&socket);
    assert_eq!(Options::of(&socket), Ok(SET));
    // The parameters of keep-alive are kept while it is disabled.
    socket.set_keep_alive_enabled(false).expect("set");
    assert_eq!(Options::of(&socket), Ok(Options { keep_alive: false, ..SET }));
    socket.set_keep_alive_idle_time(9 * SECOND).expect("set");
    socket.set_keep_alive_enabled(true).expect("set");
    let set = Options { idle: 9 * SECOND, ..SET };
    assert_eq!(Options::of(&socket), Ok(set));

    bind(&socket, loopback(family, 0)).expect("a free port");
    assert_eq!(Options::of(&socket), Ok(set));
    listen(&socket).expect("a listener");
    assert_eq!(Options::of(&socket), Ok(set));
}

fn zero(family: IpAddressFamily) {
    let (unbound, (listening, _)) = (tcp_socket(family), listener(family));
    let (client, server) = connected(family);
    for socket in [&unbound, &listening, &client.socket, &server.socket] {
        let before = Options::of(socket);
        assert_error(socket.set_keep_alive_idle_time(0), ErrorCode::InvalidArgument);
        assert_error(socket.set_keep_alive_interval(0), ErrorCode::InvalidArgument);
        assert_error(socket.set_keep_alive_count(0), ErrorCode::InvalidArgument);
        assert_error(socket.set_hop_limit(0), ErrorCode::InvalidArgument);
        assert_error(socket.set_receive_buffer_size(0), ErrorCode::InvalidArgument);
        assert_error(socket.set_send_buffer_size(0), ErrorCode::InvalidArgument);
        assert_eq!(Options::of(socket), before);
    }
    for socket in [&unbound, &listening] {
        assert_error(socket.set_listen_backlog_size(0), ErrorCode::InvalidArgument);
    }
}

/// Any value but 0 is accepted and causes no failure.
fn extremes(family: IpAddressFamily) {
    for value in [1, u64::MAX] {
        let options = Options {
            keep_alive: true,
            idle: value,
            interval: value,
            count: u32::try_from(value).unwrap_or(u32::MAX),
            hop_limit: u8::try_from(value).unwrap_or(u8::MAX),
            receive_buffer: value,
            send_buffer: value,
        };
        let (listening, client) = (tcp_socket(family), tcp_socket(family));
        options.set(&listening);
        options.set(&client);
        listening.set_listen_backlog_size(value).expect("any size but 0");
        // Probes every nanosecond would correctly end the connection.
        for socket in [&listening, &client] {
            assert!(Options::of(socket).expect("an open socket").keep_alive);
            socket.set_keep_alive_enabled(value > 1).expect("set");
        }
        bind(&listening, loopback(family, 0)).expect("a free port");
        listen(&listening).expect("a listener");
        listening.set_listen_backlog_size(value).expect("any size but 0");
        let (input, _output) = connect(&client, local_address(&listening)).expect("a connection");
        let server = accept(&listening).expect("a connection");
        // Bytes are sent one by one, because a buffer of one byte holds no more.
        for byte in b"through it" {
            write_all(&server.output, &[*byte]);
            assert_eq!(read_exact(&input, 1), [*byte]);
        }
    }
}

fn inherited(family: IpAddressFamily) {
    let listening = tcp_socket(family);
    SET.set(&listening);
    bind(&listening, loopback(family, 0)).expect("a free port");
    listen(&listening).expect("a listener");
    let local = local_address(&listening);
    let first = client(local);
    let of_client = Options::of(&first.socket).expect("an open socket");
    assert_ne!(of_client.hop_limit, SET.hop_limit, "it has its own");
    let early = accept(&listening).expect("a connection");
    assert_eq!(early.socket.address_family(), family);
    assert_eq!(Options::of(&early.socket), Ok(SET));

    // Options that are set on a listener apply to connections accepted from then on.
    let later = Options { keep_alive: false, idle: 3 * SECOND, interval: 2 * SECOND, count: 2, hop_limit: 44, ..SET };
    later.set(&listening);
    assert_eq!(Options::of(&listening), Ok(later));
    let _second = client(local);
    let late = accept(&listening).expect("a connection");
    assert_eq!(Options::of(&late.socket), Ok(later));
    assert_eq!(Options::of(&early.socket), Ok(SET), "it has its own by now");

    // Options that are set on an accepted socket do not affect the listener.
    late.socket.set_hop_limit(55).expect("set");
    assert_eq!(late.socket.hop_limit(), Ok(55));
    assert_eq!(listening.hop_limit(), Ok(44));
}

fn of_a_connection(family: IpAddressFamily) {
    let (_listener, there) = listener(family);
    let socket = tcp_socket(family);
    SET.set(&socket);
    let _streams = connect(&socket, there).expect("a connection");
    assert_eq!(Options::of(&socket), Ok(SET));
    let changed = Options { keep_alive: false, idle: SECOND, interval: SECOND, count: 1, hop_limit: 255, ..SET };
    changed.set(&socket);
    assert_eq!(Options::of(&socket), Ok(changed));
    // Setting the buffer sizes of a closed socket has no effect, but is not an error.
    socket.set_receive_buffer_size(1 << 20).expect("taken");
    socket.set_send_buffer_size(1 << 20).expect("taken");
}

fn closed(family: IpAddressFamily) {
    let socket = refused(family);
    assert_error(socket.keep_alive_enabled(), ErrorCode::InvalidState);
    assert_error(socket.set_keep_alive_enabled(true), ErrorCode::InvalidState);
    assert_error(socket.keep_alive_idle_time(), ErrorCode::InvalidState);
    assert_error(socket.set_keep_alive_idle_time(1), ErrorCode::InvalidState);
    assert_error(socket.keep_alive_interval(), ErrorCode::InvalidState);
    assert_error(socket.set_keep_alive_interval(1), ErrorCode::InvalidState);
    assert_error(socket.keep_alive_count(), ErrorCode::InvalidState);
    assert_error(socket.set_keep_alive_count(1), ErrorCode::InvalidState);
    assert_error(socket.hop_limit(), ErrorCode::InvalidState);
    assert_error(socket.set_hop_limit(1), ErrorCode::InvalidState);
    assert_error(socket.receive_buffer_size(), ErrorCode::InvalidState);
    assert_error(socket.set_receive_buffer_size(1), ErrorCode::InvalidState);
    assert_error(socket.send_buffer_size(), ErrorCode::InvalidState);
    assert_error(socket.set_send_buffer_size(1), ErrorCode::InvalidState);
    assert_error(socket.set_listen_backlog_size(1), ErrorCode::InvalidState);
}
