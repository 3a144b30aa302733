//! Several segments that leave as one frame, of which the link loses some after it has segmented the frame.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use etherparse::{SlicedPacket, TransportSlice};
use futures_util::future::join;
use proptest::prelude::*;
use xila_network_host::device::hub::{Hub, HubOptions};
use xila_network_host::platform::simulated::Simulation;
use xila_network_host::socket::{ListenOptions, TcpListener, TcpStream};
use xila_network_host::{InterfaceConfig, Manager};
use xila_network_tests::link::{Bytes, Family, PORT, receive_next, send};
use xila_network_tests::probe::{Monitor, Probe};

/// The number of segments in one frame.
const PIECES: usize = 20;
/// The bytes that are sent first, so that a quarter of the congestion window is this number of segments.
const BEFORE: u64 = 1 << 20;
/// Longer than any recovery takes, even by a retransmission timer that has backed off.
const PATIENCE: Duration = Duration::from_secs(60);

/// A sender on a port that accepts large segments, and a receiver on a port that does not: the hub segments the frames.
struct World {
    simulation: Simulation,
    client: Manager,
    server: Manager,
    sent: Monitor,
    arriving: Monitor,
}

impl World {
    fn new() -> Self {
        let simulation = Simulation::new(1);
        let hub = Hub::new(&simulation.platform(), HubOptions::default());
        let mount = |number: u8, offloads: bool| {
            let (device, monitor) = Probe::new(hub.port(), offloads);
            let addresses = vec![
                format!("{}/24", Family::V4.host(number)).parse().expect("an address"),
                format!("{}/64", Family::V6.host(number)).parse().expect("an address"),
            ];
            let manager = Manager::new(simulation.platform());
            let config = InterfaceConfig { addresses, link_local: false, ..InterfaceConfig::default() };
            manager.mount_interface("eth0", device, config).expect("a fresh host");
            (manager, monitor)
        };
        let ((client, sent), (server, arriving)) = (mount(1, true), mount(2, false));
        Self { simulation, client, server, sent, arriving }
    }
}

/// The position in the stream, relative to an arbitrary origin, and the length of the data in a frame for the server.
fn data_of(frame: &[u8]) -> Option<(u32, usize)> {
    let TransportSlice::Tcp(tcp) = SlicedPacket::from_ethernet(frame).ok()?.transport? else { return None };
    let is_data = tcp.destination_port() == PORT && !tcp.payload().is_empty();
    is_data.then(|| (tcp.sequence_number(), tcp.payload().len()))
}

/// The pieces of the large segment that have reached the end of the link: those that arrived the first time, and those
/// that arrived again.
#[derive(Debug, Default)]
struct Arrivals {
    begin: Option<u32>,
    first: BTreeSet<usize>,
    again: Vec<usize>,
}

/// Sends [`PIECES`] segments as one frame, and drops those in `lost` when they arrive the first time.
fn lose(family: Family, lost: &BTreeSet<usize>) {
    let world = World::new();
    let length = world.simulation.block_on(async {
        let remote = std::net::SocketAddr::new(family.host(2), PORT);
        let listener =
            TcpListener::bind(&world.server.network(), remote, ListenOptions::default()).expect("a free port");
        let (client, accepted) = join(TcpStream::connect(&world.client.network(), remote), listener.accept()).await;
        let (client, (server, _)) = (client.expect("it listens"), accepted.expect("a connection"));
        let mut bytes = Bytes::new(1);
        let opening = usize::try_from(BEFORE).expect("a small number");
        let (sent, read) = join(send(&client, 1, BEFORE), receive_next(&server, &mut bytes, opening)).await;
        assert_eq!((sent, read, client.flush().await), (Ok(()), Ok(()), Ok(())));

        let before = client.statistics();
        let segment = before.segment_size;
        let arrivals = Arc::new(Mutex::new(Arrivals::default()));
        world.sent.sent();
        world.arriving.lose(Box::new({
            let (arrivals, lost) = (arrivals.clone(), lost.clone());
            move |frame| {
                let Some((sequence, length)) = data_of(frame) else { return false };
                let mut arrivals = arrivals.lock().expect("nobody has panicked");
                let begin = *arrivals.begin.get_or_insert(sequence);
                let offset = sequence.wrapping_sub(begin) as usize;
                assert_eq!((offset % segment, length), (0, segment), "the pieces are whole segments");
                let piece = offset / segment;
                let is_first = arrivals.first.insert(piece);
                if !is_first {
                    arrivals.again.push(piece);
                }
                is_first && lost.contains(&piece)
            }
        }));
        let mut content = vec![0; PIECES * segment];
        let mut source = bytes.clone();
        source.fill(&mut content);
        assert_eq!(client.try_write(&content), Ok(content.len()));
        let (reading, flushed) = join(receive_next(&server, &mut bytes, content.len()), client.flush()).await;
        assert_eq!((reading, flushed), (Ok(()), Ok(())));

        // The first transmission is one frame, and the retransmissions are the lost pieces, each once.
        let left: Vec<_> = world.sent.sent().into_iter().filter(|frame| data_of(&frame.bytes).is_some()).collect();
        let big = left.first().expect("something was sent");
        assert_eq!((big.segment, data_of(&big.bytes).map(|data| data.1)), (Some(segment), Some(content.len())));
        let mut arrivals = std::mem::take(&mut *arrivals.lock().expect("nobody has panicked"));
        assert_eq!(arrivals.first.len(), PIECES);
        arrivals.again.sort_unstable();
        assert_eq!(arrivals.again, lost.iter().copied().collect::<Vec<_>>());
        assert_eq!(left[1..].iter().filter_map(|frame| data_of(&frame.bytes)).count(), lost.len());
        let after = client.statistics();
        assert_eq!(after.retransmitted - before.retransmitted, lost.len() as u64);
        content.len()
    });
    assert!(length > 20_000 && world.simulation.now().since_origin() < PATIENCE);
}

#[test]
fn if_one_piece_of_a_large_segment_is_lost_only_this_piece_is_retransmitted() {
    for family in Family::BOTH {
        for piece in 0..PIECES {
            lose(family, &[piece].into());
        }
    }
}

#[test]
fn the_first_and_the_last_piece_of_a_large_segment_may_be_lost() {
    for family in Family::BOTH {
        lose(family, &[0, PIECES - 1].into());
    }
}

#[test]
fn all_pieces_of_a_large_segment_may_be_lost() {
    for family in Family::BOTH {
        lose(family, &(0..PIECES).collect());
    }
}

#[test]
fn without_loss_no_piece_of_a_large_segment_is_retransmitted() {
    for family in Family::BOTH {
        lose(family, &BTreeSet::new());
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(64) })]

    #[test]
    fn any_pieces_of_a_big_segment_may_be_lost_and_are_all_that_is_sent_again(
        lost in prop::collection::vec(any::<bool>(), PIECES),
        family in prop::sample::select(Family::BOTH.to_vec()),
    ) {
        lose(family, &(0..PIECES).filter(|piece| lost[*piece]).collect());
    }
}
