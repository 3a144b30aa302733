//! A cancelled operation has no effect: no byte and no connection is lost or duplicated, and an attempt to connect is
//! given up.

use xila_network_programs::p3::*;

xila_network::main!(run);

async fn run() {
    for place in places() {
        reads_and_writes(place).await;
        full_buffers(place).await;
        connects(place).await;
        accepts(place).await;
    }
}

async fn reads_and_writes(place: SocketAddr) {
    let data = pattern(21, 300_000);
    let (client, server) = connected(place).await;
    let send = async {
        let (mut writer, sent) = sending(&client);
        let (mut done, mut number) = (0, 0);
        while done < data.len() {
            let piece = data[done..].iter().copied().take(1_009 + number % 5_000).collect();
            done += write_for(&mut writer, piece, number % 3).await;
            number += 1;
        }
        drop(writer);
        sent.await
    };
    let receive = async {
        let (mut stream, end) = server.receive();
        let mut received = Vec::new();
        for number in 0.. {
            match read_for(&mut stream, number % 4).await {
                (_, StreamResult::Dropped, bytes) => {
                    received.extend(bytes);
                    break;
                }
                (cancelled, _, bytes) => {
                    received.extend(bytes);
                    if cancelled {
                        yield_now().await;
                    }
                }
            }
        }
        assert_eq!(end.await, Ok(()));
        received
    };
    let (sent, received) = join(send, receive).await;
    assert_eq!(sent, Ok(()));
    assert_same(&received, &data);
}

/// Writes for some turns, then cancels; returns how many bytes were taken.
async fn write_for(stream: &mut StreamWriter<u8>, bytes: Vec<u8>, turns: usize) -> usize {
    let length = bytes.len();
    let mut write = Box::pin(stream.write(bytes));
    for _ in 0..=turns {
        if let std::task::Poll::Ready((result, rest)) = poll_once(&mut write).await {
            assert_eq!(result, StreamResult::Complete(length - rest.remaining()));
            return length - rest.remaining();
        }
        yield_now().await;
    }
    let (result, rest) = write.as_mut().cancel();
    assert_ne!(result, StreamResult::Dropped);
    length - rest.remaining()
}

/// Reads for some turns, then cancels; returns whether it was cancelled, and the result.
async fn read_for(stream: &mut StreamReader<u8>, turns: usize) -> (bool, StreamResult, Vec<u8>) {
    let mut read = Box::pin(stream.read(Vec::with_capacity(701)));
    for _ in 0..=turns {
        if let std::task::Poll::Ready((result, bytes)) = poll_once(&mut read).await {
            return (false, result, bytes);
        }
        yield_now().await;
    }
    let (result, bytes) = read.as_mut().cancel();
    (true, result, bytes)
}

async fn full_buffers(place: SocketAddr) {
    let (client, server) = connected(place).await;
    let (mut writer, sent) = sending(&client);
    let (mut received, end) = server.receive();
    assert!(cancelled_read(&mut received).await, "there is nothing to read");
    let mut queued = 0;
    while let Some(length) = write_at_once(&mut writer, 50_000).await {
        queued += length;
    }
    assert!(queued > 0);
    assert_eq!(write_at_once(&mut writer, 1).await, None, "the cancelled write made no room");
    assert_eq!(read_exactly(&mut received, queued).await.len(), queued);
    assert!(cancelled_read(&mut received).await, "what was cancelled was not sent");
    drop(writer);
    assert_eq!(received.collect().await, b"");
    assert_eq!((sent.await, end.await), (Ok(()), Ok(())));
}

async fn connects(place: SocketAddr) {
    let (_listener, mut incoming, address, _first) = full_listener(place).await;
    let local = SocketAddr::new(place.ip(), 0);

    // The address is the socket's while it attempts to connect, ...
    let socket = bound_tcp(local);
    let near = std(socket.get_local_address().unwrap());
    {
        let mut connect = Box::pin(socket.connect(address));
        assert!(poll_once(&mut connect).await.is_pending());
        assert_eq!(tcp(place).bind(wit(near)), Err(ErrorCode::AddressInUse));
        assert!(poll_once(&mut connect).await.is_pending());
    }
    // ... and free as soon as the attempt is cancelled, while the closed socket still exists.
    let again = bound_tcp(near);
    {
        let mut connect = Box::pin(again.connect(address));
        assert!(poll_once(&mut connect).await.is_pending(), "not in use");
    }
    for socket in [&socket, &again] {
        assert_eq!(socket.connect(address).await, Err(ErrorCode::InvalidState));
        assert_eq!(socket.get_local_address(), Err(ErrorCode::InvalidState));
        assert_eq!(socket.get_hop_limit(), Err(ErrorCode::InvalidState));
        has_no_halves(socket).await;
    }

    // None of these attempts reaches the listener.
    incoming.next().await.expect("the first");
    let (client, server) = connect_through(&mut incoming, place, address).await;
    assert_eq!(server.get_remote_address(), client.get_local_address());

    // Attempts that are cancelled at any moment.
    for turns in 0..10 {
        let socket = tcp(place);
        match start_and_cancel(socket.connect(address), turns).await {
            Some(result) => {
                result.unwrap();
                let server = incoming.next().await.unwrap();
                talks(&socket, &server).await;
            }
            // The connection was established while the attempt was being cancelled.
            None if socket.get_remote_address().is_ok() => drop(incoming.next().await.unwrap()),
            None => assert_eq!(socket.get_local_address(), Err(ErrorCode::InvalidState), "closed"),
        }
    }
}

async fn accepts(place: SocketAddr) {
    let (_listener, mut incoming, address) = listening(place);
    assert!(accept_for(&mut incoming, 3).await.is_none(), "nobody has connected");
    for turns in 0..20 {
        let client = tcp(place);
        let (early, connected) = join(accept_for(&mut incoming, turns), client.connect(address)).await;
        connected.unwrap();
        let server = match early {
            Some(server) => server,
            None => incoming.next().await.unwrap(),
        };
        assert_eq!(server.get_remote_address(), client.get_local_address());
        talks(&client, &server).await;
    }
}

/// Accepts for some turns, then cancels, which may be too late.
async fn accept_for(incoming: &mut StreamReader<TcpSocket>, turns: usize) -> Option<TcpSocket> {
    let mut read = Box::pin(incoming.read(Vec::with_capacity(1)));
    for _ in 0..turns {
        if let std::task::Poll::Ready((_, mut accepted)) = poll_once(&mut read).await {
            return accepted.pop();
        }
        yield_now().await;
    }
    read.as_mut().cancel().1.pop()
}
