//! A million operations on nothing: no bytes, no datagrams, no name.

use xila_network_programs::dns::{ResolveError, resolve};
use xila_network_programs::matrix::keep;
use xila_network_programs::*;
use xila_network_programs::{p2, p3};

xila_network::main!(run);

const MANY: usize = 100_000;

async fn run() {
    let before = pages();
    wasi_2();
    wasi_3().await;
    xila().await;
    let grown = pages() - before;
    assert!(grown < 64, "the program's memory has grown by {grown} pages");
    keep("over");
}

/// The pages of the program's memory. A program that is compiled for another target is only checked, and never runs.
fn pages() -> usize {
    #[cfg(target_arch = "wasm32")]
    let pages = core::arch::wasm32::memory_size::<0>();
    #[cfg(not(target_arch = "wasm32"))]
    let pages = 0;
    pages
}

/// Five kinds of operations.
fn wasi_2() {
    let (client, server) = p2::connected(p2::IpAddressFamily::Ipv4);
    p2::write_all(&client.output, b"unread");
    server.input.subscribe().block();
    let (socket, here) = p2::bound_udp(p2::IpAddressFamily::Ipv4);
    let streams = p2::stream(&socket, None).expect("streams");
    for _ in 0..MANY {
        assert!(server.input.read(0).expect("an open stream").is_empty());
        client.output.write(&[]).expect("an open stream");
        assert_eq!(streams.outgoing.send(&[]), Ok(0));
        assert!(streams.incoming.receive(0).expect("an open stream").is_empty());
        let named = p2::resolve_addresses(&p2::instance_network(), "");
        p2::assert_error(named, p2::ErrorCode::InvalidArgument);
    }
    // A datagram without bytes is a datagram.
    p2::send_one(&streams.outgoing, b"", Some(here)).expect("sent");
    assert_eq!(p2::await_datagrams(&streams.incoming, 1), Ok(vec![(Vec::new(), here)]));
    assert_eq!(p2::read_exact(&server.input, 6), b"unread");
}

/// Three kinds of operations.
async fn wasi_3() {
    let place: SocketAddr = ipv4_loopback(0);
    let (client, server) = p3::connected(place).await;
    let (mut writer, sent) = p3::sending(&client);
    let (mut received, end) = server.receive();
    assert!(writer.write_all(b"unread".to_vec()).await.is_empty());
    assert_eq!(received.read(Vec::new()).await.0, p3::StreamResult::Complete(0));
    for _ in 0..MANY {
        assert_eq!(writer.write(Vec::new()).await.0, p3::StreamResult::Complete(0));
        assert_eq!(received.read(Vec::new()).await.0, p3::StreamResult::Complete(0));
        let named = p3::ip_name_lookup::resolve_addresses(String::new()).await;
        assert_eq!(named, Err(p3::ip_name_lookup::ErrorCode::InvalidArgument));
    }
    drop(writer);
    assert_eq!(received.collect().await, b"unread");
    assert_eq!((sent.await, end.await), (Ok(()), Ok(())));
}

/// Two kinds of operations, and datagrams without bytes.
async fn xila() {
    let (socket, other) = socket_pair(ipv4_loopback(0));
    for _ in 0..MANY {
        assert_eq!(socket.send_many(Vec::new()).await, Ok(0));
        assert_eq!(resolve("").await, Err(ResolveError::InvalidName));
    }
    for _ in 0..MANY / 10 {
        socket.send_to(b"", other.local_addr()).await.expect("sent");
    }
    // The queue holds what its size allows, and counts the rest.
    let statistics = other.statistics();
    assert_eq!(statistics.received + statistics.dropped, (MANY / 10) as u64);
    assert!(statistics.dropped > 0, "{statistics:?}");
}
