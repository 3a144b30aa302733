//! A link that is slower than its senders is shared fairly: no sender waits for ever, and no guest gets more of it than
//! another.

use std::cell::Cell;
use std::time::Duration;

use futures_util::future;
use xila_network_host::device::hub::HubOptions;
use xila_network_host::socket::{
    ConnectOptions, ListenOptions, Network, Resolver, ResolverOptions, TcpListener, TcpOptions, TcpStream, UdpSocket,
};
use xila_network_tests::link::{Family, Link, PORT};

/// A link with 10 Mbit/s and a queue of this many frames.
fn narrow(queue: usize) -> Link {
    let latency = Duration::from_millis(1);
    Link::new(1, HubOptions { rate: Some(10_000_000), queue, latency, ..HubOptions::default() })
}

/// Connects from `network`, on the client, to a listener; returns both ends.
async fn connect(link: &Link, network: &Network, listener: &TcpListener, tcp: &TcpOptions) -> (TcpStream, TcpStream) {
    let options = ConnectOptions { tcp: tcp.clone(), ..ConnectOptions::default() };
    let client = TcpStream::connect_with(network, link.server.at(Family::V4, PORT), options).await.unwrap();
    (client, listener.accept().await.unwrap().0)
}

/// Writes as fast as the connection takes the bytes, and counts those that arrive.
async fn upload((client, server): &(TcpStream, TcpStream), arrived: &Cell<usize>) {
    let chunk = vec![0; 64 << 10];
    let writing = async {
        loop {
            client.write_all(&chunk).await.unwrap();
        }
    };
    let reading = async {
        let mut buffer = vec![0; 64 << 10];
        loop {
            let count = server.read(&mut buffer).await.unwrap();
            arrived.set(arrived.get() + count);
        }
    };
    future::join(writing, reading).await;
}

/// The result of `future`, while the uploads continue.
async fn beside<T>(uploads: &[(TcpStream, TcpStream)], future: impl Future<Output = T>) -> T {
    let arrived = Cell::new(0);
    let uploads = future::join_all(uploads.iter().map(|pair| upload(pair, &arrived)));
    match future::select(std::pin::pin!(uploads), std::pin::pin!(future)).await {
        future::Either::Right((result, _)) => result,
        future::Either::Left(_) => unreachable!("uploads do not end"),
    }
}

#[test]
fn an_upload_keeps_neither_datagrams_nor_names_nor_connections_waiting() {
    for (queue, flows, buffer) in
        [(16, 1, 128 << 10), (64, 1, 128 << 10), (512, 1, 1 << 20), (512, 1, 4 << 20), (512, 8, 128 << 10)]
    {
        let link = narrow(queue);
        // The time for the frames in the queue, and for a turn of each flow.
        let patience = Duration::from_micros((queue as u64 * 1514 + (flows + 1) * (20 << 10)) * 8 / 10)
            + Duration::from_millis(50);
        let case = format!("{queue} frames, {flows} flows of {buffer} bytes");
        link.block_on(async {
            let tcp = TcpOptions { send_buffer: buffer, receive_buffer: buffer, ..TcpOptions::default() };
            let options = ListenOptions { tcp: tcp.clone(), ..ListenOptions::default() };
            let listener = link.server.listen(Family::V4, PORT, options).unwrap();
            let other_listener = link.server.listen(Family::V4, PORT + 1, ListenOptions::default()).unwrap();
            let network = &link.client.network;
            let mut uploads = Vec::new();
            for _ in 0..flows {
                uploads.push(connect(&link, network, &listener, &tcp).await);
            }
            let socket = UdpSocket::bind(network, link.client.at(Family::V4, 0)).unwrap();
            let sink = UdpSocket::bind(&link.server.network, link.server.at(Family::V4, PORT)).unwrap();
            let names = UdpSocket::bind(&link.server.network, link.server.at(Family::V4, 53)).unwrap();
            link.client.interface().add_dns_server(link.server.address(Family::V4)).unwrap();
            beside(&uploads, async {
                link.sleep(Duration::from_secs(3)).await;
                let begin = link.simulation.now();
                for _ in 0..3 {
                    socket.send_to(b"hello", sink.local_addr()).await.unwrap();
                    let arrived = link.at_most(patience, sink.recv_datagram()).await;
                    assert!(arrived.is_some(), "{case}: no datagram within {patience:?}, since {begin:?}");
                }
                let connecting = TcpStream::connect(network, link.server.at(Family::V4, PORT + 1));
                let connected = link.at_most(patience, connecting).await;
                assert!(connected.is_some_and(|connected| connected.is_ok()), "{case}: no connection");
                let resolver = Resolver::new(network.clone(), ResolverOptions::default());
                let asking = std::pin::pin!(resolver.resolve("example.test", None));
                let asked = std::pin::pin!(link.at_most(patience, names.recv_datagram()));
                let asked = future::select(asking, asked).await;
                let asked = matches!(asked, future::Either::Right((Some(Ok(_)), _)));
                assert!(asked, "{case}: no name query");
            })
            .await;
            drop(other_listener);
        });
    }
}

#[test]
fn guests_share_a_link_evenly_however_many_connections_each_has() {
    let link = narrow(16);
    link.block_on(async {
        let listener = link.server.listen(Family::V4, PORT, ListenOptions::default()).unwrap();
        let [one, many] = [1, 8].map(|count| (link.client.network.for_guest(), count));
        let mut uploads = Vec::new();
        for (network, count) in [&one, &many] {
            let mut of_guest = Vec::new();
            for _ in 0..*count {
                of_guest.push(connect(&link, network, &listener, &TcpOptions::default()).await);
            }
            uploads.push((of_guest, Cell::new(0)));
        }
        let all = future::join_all(
            uploads.iter().flat_map(|(of_guest, arrived)| of_guest.iter().map(|pair| upload(pair, arrived))),
        );
        assert!(link.at_most(Duration::from_secs(20), all).await.is_none());
        let [one, many] = [0, 1].map(|guest: usize| uploads[guest].1.get());
        // 10 Mbit/s for 20 s is 25 MB.
        assert!(one + many > 20_000_000, "the link is used: {one} and {many}");
        assert!(one.abs_diff(many) < (one + many) / 10, "one connection got {one} bytes, eight got {many}");
    });
}

#[test]
fn a_flood_of_datagrams_leaves_another_guest_its_share() {
    let link = narrow(16);
    link.block_on(async {
        let listener = link.server.listen(Family::V4, PORT, ListenOptions::default()).unwrap();
        let [flooding, writing] = [(); 2].map(|()| link.client.network.for_guest());
        let pair = connect(&link, &writing, &listener, &TcpOptions::default()).await;
        let sink = UdpSocket::bind(&link.server.network, link.server.at(Family::V4, PORT)).unwrap();
        let sockets: Vec<UdpSocket> =
            (0..8).map(|_| UdpSocket::bind(&flooding, link.client.at(Family::V4, 0)).unwrap()).collect();
        let floods = future::join_all(sockets.iter().map(async |socket| {
            loop {
                socket.send_to(&[0; 1400], sink.local_addr()).await.unwrap();
            }
        }));
        let (written, flooded) = (Cell::new(0), Cell::new(0));
        let counting = async {
            loop {
                flooded.set(flooded.get() + sink.recv_datagram().await.unwrap().data.len());
            }
        };
        let all = future::join3(floods, upload(&pair, &written), counting);
        assert!(link.at_most(Duration::from_secs(20), all).await.is_none());
        let (written, flooded) = (written.get(), flooded.get());
        assert!(written + flooded > 20_000_000, "the link is used: {written} and {flooded}");
        assert!(written.abs_diff(flooded) < (written + flooded) / 10, "{written} written, {flooded} in datagrams");
        let per_socket: Vec<u64> = sockets.iter().map(|socket| socket.statistics().sent).collect();
        let (least, most) = (per_socket.iter().min().unwrap(), per_socket.iter().max().unwrap());
        assert!(most - least < most / 10, "every socket has its turn: {per_socket:?}");
    });
}
