//! A connection reports its statistics, and uses the congestion control that was chosen for it.

use std::time::Duration;

use xila_network_programs::*;

xila_network::main!(run);

/// A window larger than any peer's, which does not limit the data in flight.
const UNLIMITED: u64 = 1 << 30;

/// More than one window, so that acknowledgements are needed.
const BYTES: usize = 3 << 20;

async fn run() {
    for place in places() {
        let all = [CongestionControl::None, CongestionControl::Cubic, CongestionControl::Bbr];
        for congestion in all.map(Some).into_iter().chain([None]) {
            carry(place, congestion).await;
        }
    }
}

async fn carry(place: SocketAddr, congestion: Option<CongestionControl>) {
    let tcp = TcpOptions { congestion, ..TcpOptions::default() };
    let connect = ConnectOptions { tcp: tcp.clone(), ..ConnectOptions::default() };
    let listen = ListenOptions { tcp, ..ListenOptions::default() };
    let (mut client, mut server) = connected_with(place, &connect, &listen).await;
    for fresh in [client.statistics(), server.statistics()] {
        assert_eq!((fresh.bytes_sent, fresh.bytes_received, fresh.in_flight), (0, 0, 0));
        assert!(fresh.send_window > 0 && fresh.receive_window > 0, "{fresh:?}");
    }

    let sent = pattern(1, BYTES);
    let mut received = Vec::new();
    let send = async {
        client.write_all(&sent).await.unwrap();
        client.acknowledged().await.unwrap();
    };
    let (read, ()) = join(server.read_to_end(&mut received), send).await;
    read.unwrap();
    assert_same(&received, &sent);

    let sender = client.statistics();
    assert_eq!((sender.bytes_sent, sender.bytes_received), (BYTES as u64, 0));
    let round_trip = sender.round_trip_time.expect("data was acknowledged");
    assert!(round_trip < Duration::from_secs(10), "{sender:?}");
    assert!(sender.round_trip_variation.expect("measured with it") < Duration::from_secs(10), "{sender:?}");
    assert!(sender.minimum_round_trip_time.expect("measured with it") < Duration::from_secs(10), "{sender:?}");
    assert!(sender.retransmission_timeout >= round_trip, "{sender:?}");
    assert!((500..=65_535).contains(&sender.segment_size), "{sender:?}");
    assert_eq!((sender.in_flight, sender.recovery), (0, RecoveryState::Open), "all was acknowledged");
    // A loopback loses nothing.
    assert_eq!((sender.retransmitted, sender.lost), (0, 0));

    let expected = congestion.unwrap_or(CongestionControl::None);
    assert_eq!((sender.congestion, client.congestion(), server.congestion()), (expected, expected, expected));
    match expected {
        CongestionControl::None => {
            assert_eq!((sender.congestion_window, sender.slow_start_threshold), (UNLIMITED, UNLIMITED));
        }
        CongestionControl::Cubic | CongestionControl::Bbr => {
            assert!((2 * sender.segment_size..UNLIMITED).contains(&sender.congestion_window), "{sender:?}");
        }
    }
    let receiver = server.statistics();
    assert_eq!((receiver.bytes_sent, receiver.bytes_received), (0, BYTES as u64));

    // The totals remain after the end of the connection.
    client.abort();
    assert_eq!(client.state(), TcpState::Closed);
    let ended = client.statistics();
    assert_eq!((ended.bytes_sent, ended.in_flight, ended.recovery), (BYTES as u64, 0, RecoveryState::Open));
}
