//! Timeouts: peers that are gone, and peers that are only silent or have a closed window.

use std::time::Duration;

use futures_util::future::join;
use xila_network_host::device::Link as Carrier;
use xila_network_host::device::hub::HubOptions;
use xila_network_host::socket::{ConnectOptions, KeepAlive, ListenOptions, TcpOptions, TcpState};
use xila_network_host::{ReadError, WriteError};
use xila_network_tests::link::{Bytes, Family, INTERFACE, Link, receive, receive_next, send};
use xila_network_tests::probe::Probe;

const SECOND: Duration = Duration::from_secs(1);
const KEEP: KeepAlive = KeepAlive { idle: Duration::from_secs(30), interval: Duration::from_secs(5), count: 3 };

fn connect(tcp: TcpOptions) -> ConnectOptions {
    ConnectOptions { tcp, ..ConnectOptions::default() }
}

#[test]
fn keep_alive_detects_a_dead_peer_after_the_idle_time_and_all_probes() {
    for family in Family::BOTH {
        let link = Link::plain(1);
        link.block_on(async {
            let tcp = TcpOptions { keep_alive: Some(KEEP), ..TcpOptions::default() };
            let (client, _server) = link.pair_with(family, connect(tcp), ListenOptions::default()).await;
            link.sleep(SECOND).await;
            link.server.cable.set_link(Carrier::Down);
            let (read, took) = link.within(SECOND * 100, client.read(&mut [0; 8])).await;
            assert_eq!(read, Err(ReadError::TimedOut));
            assert!((SECOND * 43..=SECOND * 45).contains(&took), "30 s + 3 * 5 s of silence, not {took:?}");
            assert_eq!(client.write(b"late").await, Err(WriteError::TimedOut));
            assert_eq!(link.client.interface().statistics().tcp_timeouts, 1);
        });
    }
}

#[test]
fn keep_alive_sends_each_probe_at_its_time() {
    let link = Link::plain(2);
    let config = link.client.config();
    link.client.manager.unmount_interface(INTERFACE).expect("it is mounted");
    let (device, monitor) = Probe::new(link.hub.port(), false);
    link.client.manager.mount_interface(INTERFACE, device, config).expect("its name is free");
    link.block_on(async {
        let tcp = TcpOptions { keep_alive: Some(KEEP), ..TcpOptions::default() };
        let (_client, _server) = link.pair_with(Family::V4, connect(tcp), ListenOptions::default()).await;
        link.sleep(SECOND).await;
        link.server.cable.set_link(Carrier::Down);
        let mut probes = 0;
        let mut counts = Vec::new();
        monitor.sent();
        for _ in 0..5 {
            // Only probes are counted, not the ARP requests for the neighbour, which no longer answers.
            probes += monitor.sent().iter().filter(|seen| seen.bytes[12..14] == [8, 0]).count();
            counts.push(probes);
            link.sleep(if counts.len() == 1 { SECOND * 30 } else { SECOND * 5 }).await;
        }
        // After 1 s, 31 s, 36 s and 41 s of silence. Then the neighbour entry has been removed, and nothing can be
        // sent.
        assert_eq!(counts, [0, 1, 2, 3, 3]);
    });
}

#[test]
fn keep_alive_does_not_end_a_connection_to_a_live_idle_peer() {
    for family in Family::BOTH {
        let link = Link::plain(3);
        link.block_on(async {
            let tcp = TcpOptions { keep_alive: Some(KEEP), ..TcpOptions::default() };
            let (client, server) = link.pair_with(family, connect(tcp), ListenOptions::default()).await;
            let before = link.client.interface().statistics().sent.packets;
            link.sleep(SECOND * 3600).await;
            let probes = link.client.interface().statistics().sent.packets - before;
            assert!((100..=240).contains(&probes), "about one probe in 30 s: {probes}");
            assert_eq!((client.state(), server.state()), (TcpState::Established, TcpState::Established));
            send(&client, 1, 1000).await.expect("it is sent");
            drop(client);
            assert_eq!(receive(&server, 1).await, Ok(1000), "the probes are no data");
        });
        link.assert_empty();
    }
}

#[test]
fn keep_alive_can_begin_and_end_while_the_connection_lives() {
    let link = Link::plain(4);
    link.block_on(async {
        let (client, server) = link.pair(Family::V4).await;
        link.server.cable.set_link(Carrier::Down);
        link.sleep(SECOND * 600).await;
        client.set_keep_alive(Some(KEEP)).expect("settable");
        link.sleep(SECOND * 40).await;
        client.set_keep_alive(None).expect("settable");
        link.sleep(SECOND * 600).await;
        assert_eq!(client.state(), TcpState::Established);
        client.set_keep_alive(Some(KEEP)).expect("settable");
        let (read, took) = link.within(SECOND * 100, client.read(&mut [0; 8])).await;
        assert_eq!(read, Err(ReadError::TimedOut));
        assert_eq!(took, SECOND * 45);
        link.server.cable.set_link(Carrier::Up);
        drop(server);
    });
}

#[test]
fn an_idle_connection_survives_an_hour_of_silence() {
    for family in Family::BOTH {
        let link = Link::plain(5);
        link.block_on(async {
            let (client, server) = link.pair(family).await;
            let before = link.client.interface().statistics().sent.packets;
            link.sleep(SECOND * 3600).await;
            assert_eq!(link.client.interface().statistics().sent.packets, before, "nothing is sent");
            assert_eq!((client.state(), server.state()), (TcpState::Established, TcpState::Established));
            let sending = async {
                send(&client, 2, 1 << 20).await.expect("it is sent");
                drop(client);
            };
            assert_eq!(join(sending, receive(&server, 2)).await.1, Ok(1 << 20));
        });
        link.assert_empty();
    }
}

#[test]
fn a_connection_outlives_a_dead_link_while_it_has_nothing_to_send() {
    let link = Link::plain(6);
    link.block_on(async {
        let (client, server) = link.pair(Family::V6).await;
        link.server.cable.set_link(Carrier::Down);
        link.sleep(SECOND * 3600).await;
        link.server.cable.set_link(Carrier::Up);
        send(&client, 3, 1000).await.expect("it is sent");
        drop(client);
        assert_eq!(receive(&server, 3).await, Ok(1000));
    });
    link.assert_empty();
}

#[test]
fn unacknowledged_data_ends_the_connection_after_the_user_timeout() {
    for family in Family::BOTH {
        for limit in [SECOND * 10, SECOND * 120] {
            let link = Link::plain(7);
            link.block_on(async {
                let tcp = TcpOptions { user_timeout: Some(limit), ..TcpOptions::default() };
                let (client, server) = link.pair_with(family, connect(tcp), ListenOptions::default()).await;
                link.sleep(SECOND * 500).await;
                link.server.cable.set_link(Carrier::Down);
                send(&client, 4, 1000).await.expect("it fits the buffer");
                let (read, took) = link.within(SECOND * 600, client.read(&mut [0; 8])).await;
                assert_eq!(read, Err(ReadError::TimedOut));
                assert!((limit..=limit + SECOND * 2).contains(&took), "{took:?}");
                assert_eq!(client.write(b"late").await, Err(WriteError::TimedOut));
                drop(client);
                link.sleep(SECOND).await;
                assert_eq!(link.client.flows(), 0);
                drop(server);
            });
            link.simulation.advance(SECOND * 200);
            link.assert_empty();
        }
    }
}

#[test]
fn without_user_timeout_data_is_repeated_until_the_peer_is_back() {
    let link = Link::plain(8);
    link.block_on(async {
        let tcp = TcpOptions { user_timeout: None, ..TcpOptions::default() };
        let (client, server) = link.pair_with(Family::V4, connect(tcp), ListenOptions::default()).await;
        link.server.cable.set_link(Carrier::Down);
        send(&client, 5, 1000).await.expect("it fits the buffer");
        link.sleep(SECOND * 3600).await;
        assert_eq!(client.state(), TcpState::Established);
        link.server.cable.set_link(Carrier::Up);
        let (arrived, took) = link.within(SECOND * 200, receive_next(&server, &mut Bytes::new(5), 1000)).await;
        arrived.expect("it arrives");
        println!("repeated after {took:?}");
        drop(client);
        assert_eq!(receive(&server, 0).await, Ok(0));
    });
    link.assert_empty();
}

#[test]
fn a_peer_that_does_not_read_for_minutes_gets_all_when_it_does() {
    for family in Family::BOTH {
        for (loss, silence) in [(0.0, 300), (0.0, 3), (0.05, 300)] {
            let link = Link::new(9, HubOptions { latency: SECOND / 1000, loss, ..HubOptions::default() });
            link.block_on(async {
                let (client, server) = link.pair(family).await;
                let sending = async {
                    send(&client, 6, 2 << 20).await.expect("a live peer may take its time");
                    drop(client);
                };
                let reading = async {
                    link.sleep(SECOND * silence).await;
                    link.within(SECOND * 300, receive(&server, 6)).await
                };
                let ((), (received, took)) = join(sending, reading).await;
                assert_eq!(received, Ok(2 << 20));
                if loss == 0.0 {
                    assert!(took < SECOND, "{took:?}");
                }
            });
            link.simulation.advance(SECOND * 300);
            link.assert_empty();
        }
    }
}

#[test]
fn a_live_peer_with_a_closed_window_is_not_timed_out() {
    let link = Link::plain(10);
    link.block_on(async {
        let tcp = TcpOptions { user_timeout: Some(SECOND * 20), ..TcpOptions::default() };
        let (client, server) = link.pair_with(Family::V4, connect(tcp), ListenOptions::default()).await;
        let sending = async {
            send(&client, 7, 1 << 20).await.expect("the peer answers every probe");
            drop(client);
        };
        let reading = async {
            link.sleep(SECOND * 900).await;
            receive(&server, 7).await
        };
        assert_eq!(join(sending, reading).await.1, Ok(1 << 20));
    });
    link.assert_empty();
}

#[test]
fn a_peer_that_dies_with_a_closed_window_is_timed_out() {
    let link = Link::plain(11);
    link.block_on(async {
        let (client, _server) = link.pair(Family::V4).await;
        let dying = async {
            link.sleep(SECOND * 10).await;
            link.server.cable.set_link(Carrier::Down);
        };
        let sending = link.within(SECOND * 400, send(&client, 8, 1 << 30));
        let ((sent, took), ()) = join(sending, dying).await;
        assert_eq!(sent, Err(WriteError::TimedOut));
        assert!(took > SECOND * 120, "{took:?}");
    });
}
