//! Streams, listeners and sockets outlive an interface that is down, as on Linux: reads and accepts wait, and what is
//! written is sent when the interface is up again.
//!
//! The host must keep the loopback down as long as port 9 of 127.0.0.1 is taken for UDP.

use xila_network_programs::p3::*;

xila_network::main!(run);

async fn run() {
    for place in places() {
        connection(place).await;
        listener(place).await;
        datagrams(place).await;
    }
}

/// The loopback is down while this exists.
struct Outage(UdpSocket);

impl Outage {
    async fn begin() -> Self {
        let (place, sign) = (at("127.0.0.1:9"), udp("127.0.0.1:9".parse().expect("an address")));
        // The host takes the port for a moment when it looks whether this program has it.
        while sign.bind(place).is_err() {
            yield_now().await;
        }
        while !is_down().await {
            yield_now().await;
        }
        Self(sign)
    }

    async fn end(self) {
        drop(self.0);
        while is_down().await {
            yield_now().await;
        }
    }
}

async fn is_down() -> bool {
    let (socket, address) = bound_udp("127.0.0.1:0".parse().expect("an address"));
    socket.send(b"probe".to_vec(), Some(address)).await == Err(ErrorCode::RemoteUnreachable)
}

async fn connection(place: SocketAddr) {
    let (client, server) = connected(place).await;
    let (mut writer, sent) = sending(&client);
    let (mut reader, received) = server.receive();
    // Both wait before the interface goes down: the read for data, and the write for room.
    let data = pattern(2, 8 << 20);
    let mut reading = Box::pin(reader.read(Vec::with_capacity(100)));
    assert!(poll_once(&mut reading).await.is_pending());
    let outage = Outage::begin().await;
    let mut writing = Box::pin(writer.write_all(data.clone()));
    assert!(poll_once(&mut writing).await.is_pending(), "more than the queue takes");
    for _ in 0..10 {
        yield_now().await;
    }
    assert!(poll_once(&mut reading).await.is_pending());
    assert!(poll_once(&mut writing).await.is_pending());
    outage.end().await;
    let (first, mut bytes) = reading.await;
    assert!(matches!(first, StreamResult::Complete(1..)), "{first:?}");
    let (rest, unsent) = join(read_exactly(&mut reader, data.len() - bytes.len()), writing).await;
    assert!(unsent.is_empty());
    bytes.extend(rest);
    assert_same(&bytes, &data);

    // The end of the stream, and the result of sending it, come when the interface is up again.
    let outage = Outage::begin().await;
    assert!(writer.write_all(b"last".to_vec()).await.is_empty());
    drop(writer);
    let mut sent = Box::pin(sent.into_future());
    assert!(poll_once(&mut sent).await.is_pending());
    outage.end().await;
    assert_eq!(join(read_exactly(&mut reader, 4), sent).await, (b"last".to_vec(), Ok(())));
    assert_eq!(reader.next().await, None);
    assert_eq!(received.await, Ok(()));
}

async fn listener(place: SocketAddr) {
    let (_listener, mut incoming, address) = listening(place);
    let outage = Outage::begin().await;
    let mut next = Box::pin(incoming.next());
    assert!(poll_once(&mut next).await.is_pending());
    assert_eq!(tcp(place).connect(address).await, Err(ErrorCode::RemoteUnreachable));
    outage.end().await;
    let client = tcp(place);
    let (connected, server) = join(client.connect(address), next).await;
    connected.expect("a connection");
    talks(&client, &server.expect("the stream goes on")).await;
}

async fn datagrams(place: SocketAddr) {
    let (socket, address) = bound_udp(place);
    let outage = Outage::begin().await;
    let mut receiving = Box::pin(socket.receive());
    assert!(poll_once(&mut receiving).await.is_pending());
    assert_eq!(socket.send(b"lost".to_vec(), Some(address)).await, Err(ErrorCode::RemoteUnreachable));
    assert!(poll_once(&mut receiving).await.is_pending());
    outage.end().await;
    socket.send(b"here".to_vec(), Some(address)).await.expect("sent");
    assert_eq!(receiving.await, Ok((b"here".to_vec(), address)));
}
