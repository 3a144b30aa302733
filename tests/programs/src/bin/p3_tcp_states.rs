//! Every operation of a TCP socket in every state: operations that are possible work, the others fail with
//! `invalid-state` and change nothing.

use xila_network_programs::p3::*;

xila_network::main!(run);

const INVALID: ErrorCode = ErrorCode::InvalidState;

async fn run() {
    for place in places() {
        unbound(place).await;
        bound(place).await;
        listens(place).await;
        connecting(place).await;
        is_connected(place).await;
        closed(place).await;
    }
}

async fn unbound(place: SocketAddr) {
    let socket = tcp(place);
    assert_eq!(socket.get_local_address(), Err(INVALID));
    assert_eq!(socket.get_remote_address(), Err(INVALID));
    assert!(!socket.get_is_listening());
    assert_eq!(socket.get_address_family(), family(place));
    has_no_halves(&socket).await;
    options(&socket);
    socket.set_listen_backlog_size(3).unwrap();
    socket.bind(wit(place)).expect("nothing of this has changed the state");
}

async fn bound(place: SocketAddr) {
    let socket = bound_tcp(place);
    let address = socket.get_local_address().unwrap();
    assert_eq!(std(address).ip(), place.ip());
    assert_ne!(std(address).port(), 0);
    assert_eq!(socket.bind(wit(place)), Err(INVALID));
    assert_eq!(socket.get_local_address(), Ok(address));
    assert_eq!(socket.get_remote_address(), Err(INVALID));
    assert!(!socket.get_is_listening());
    has_no_halves(&socket).await;
    options(&socket);
    socket.set_listen_backlog_size(3).unwrap();
    drop(socket.listen().expect("nothing of this has changed the state"));
}

async fn listens(place: SocketAddr) {
    let (socket, mut incoming, address) = listening(place);
    assert!(socket.get_is_listening());
    assert_eq!(socket.bind(wit(place)), Err(INVALID));
    assert_eq!(socket.connect(address).await, Err(INVALID));
    assert_eq!(socket.listen().err(), Some(INVALID));
    assert_eq!(socket.get_local_address(), Ok(address));
    assert_eq!(socket.get_remote_address(), Err(INVALID));
    assert_eq!(socket.get_address_family(), family(place));
    has_no_halves(&socket).await;
    options(&socket);
    socket.set_listen_backlog_size(3).unwrap();
    assert!(socket.get_is_listening());
    let (client, server) = connect_through(&mut incoming, place, address).await;
    talks(&client, &server).await;
}

async fn connecting(place: SocketAddr) {
    let (listener, mut incoming, address, _first) = full_listener(place).await;
    let socket = tcp(place);
    {
        let mut connect = Box::pin(socket.connect(address));
        assert!(poll_once(&mut connect).await.is_pending());
        assert_eq!(socket.bind(wit(place)), Err(INVALID));
        assert_eq!(socket.connect(address).await, Err(INVALID));
        assert_eq!(socket.listen().err(), Some(INVALID));
        assert_eq!(socket.set_listen_backlog_size(3), Err(INVALID));
        assert_ne!(std(socket.get_local_address().unwrap()).port(), 0, "it is bound");
        assert_eq!(socket.get_remote_address(), Err(INVALID));
        assert!(!socket.get_is_listening());
        has_no_halves(&socket).await;
        options(&socket);
        // None of these calls has affected the attempt, which succeeds when there is room.
        assert!(poll_once(&mut connect).await.is_pending());
        incoming.next().await.expect("the first");
        connect.await.unwrap();
    }
    let server = incoming.next().await.expect("the second");
    talks(&socket, &server).await;
    drop(listener);
}

async fn is_connected(place: SocketAddr) {
    let (client, server) = connected(place).await;
    let (near, far) = (client.get_local_address().unwrap(), client.get_remote_address().unwrap());
    assert_eq!((server.get_remote_address(), server.get_local_address()), (Ok(near), Ok(far)));
    for socket in [&client, &server] {
        assert_eq!(socket.bind(wit(place)), Err(INVALID));
        assert_eq!(socket.connect(far).await, Err(INVALID));
        assert_eq!(socket.listen().err(), Some(INVALID));
        assert_eq!(socket.set_listen_backlog_size(3), Err(INVALID));
        assert!(!socket.get_is_listening());
        assert_eq!(socket.get_address_family(), family(place));
        options(socket);
    }
    talks(&client, &server).await;
}

async fn closed(place: SocketAddr) {
    let socket = tcp(place);
    let nobody = nobody(place);
    assert_eq!(socket.connect(nobody).await, Err(ErrorCode::ConnectionRefused));
    assert_eq!(socket.bind(wit(place)), Err(INVALID));
    assert_eq!(socket.connect(nobody).await, Err(INVALID), "a socket connects once");
    assert_eq!(socket.listen().err(), Some(INVALID));
    assert_eq!(socket.set_listen_backlog_size(3), Err(INVALID));
    assert_eq!(socket.get_local_address(), Err(INVALID));
    assert_eq!(socket.get_remote_address(), Err(INVALID));
    assert!(!socket.get_is_listening());
    assert_eq!(socket.get_address_family(), family(place));
    has_no_halves(&socket).await;
    assert_eq!(socket.get_hop_limit(), Err(INVALID));
    assert_eq!(socket.set_hop_limit(9), Err(INVALID));
    assert_eq!(socket.get_keep_alive_enabled(), Err(INVALID));
    assert_eq!(socket.set_keep_alive_enabled(true), Err(INVALID));
    assert_eq!(socket.get_keep_alive_idle_time(), Err(INVALID));
    assert_eq!(socket.set_keep_alive_idle_time(9), Err(INVALID));
    assert_eq!(socket.get_keep_alive_interval(), Err(INVALID));
    assert_eq!(socket.set_keep_alive_interval(9), Err(INVALID));
    assert_eq!(socket.get_keep_alive_count(), Err(INVALID));
    assert_eq!(socket.set_keep_alive_count(9), Err(INVALID));
    assert_eq!(socket.get_receive_buffer_size(), Err(INVALID));
    assert_eq!(socket.set_receive_buffer_size(9), Err(INVALID));
    assert_eq!(socket.get_send_buffer_size(), Err(INVALID));
    assert_eq!(socket.set_send_buffer_size(9), Err(INVALID));
}

/// Options can be set in every state but the closed one.
fn options(socket: &TcpSocket) {
    socket.set_hop_limit(socket.get_hop_limit().unwrap()).unwrap();
    socket.set_keep_alive_enabled(socket.get_keep_alive_enabled().unwrap()).unwrap();
    socket.set_keep_alive_idle_time(socket.get_keep_alive_idle_time().unwrap()).unwrap();
    socket.set_keep_alive_interval(socket.get_keep_alive_interval().unwrap()).unwrap();
    socket.set_keep_alive_count(socket.get_keep_alive_count().unwrap()).unwrap();
    socket.set_receive_buffer_size(socket.get_receive_buffer_size().unwrap()).unwrap();
    socket.set_send_buffer_size(socket.get_send_buffer_size().unwrap()).unwrap();
}
