//! Changed copies of real frames, which are injected into the real traffic.

use std::net::Shutdown;
use std::time::Duration;

use futures_util::future;
use xila_network_host::Result;
use xila_network_host::device::Checksums;
use xila_network_host::socket::{KeepAlive, TcpStream};
use xila_network_tests::link::{self, Family, PORT};

use super::Victim;
use super::frames::ethernet;
use super::inject::Mangler;
use super::victim::segment;

/// Pseudo-random numbers from a seed (xorshift).
#[derive(Clone)]
pub(crate) struct Dice(u64);

impl Dice {
    pub(crate) const fn new(seed: u64) -> Self {
        Self(seed ^ 0x9e37_79b9_7f4a_7c15)
    }

    pub(crate) fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 16) as usize % limit.max(1)
    }
}

/// Makes one or three copies of every fourth frame: with changed bytes, truncated, or rebuilt with another sequence
/// number, other flags or another window, and then a correct checksum.
fn mangler(seed: u64) -> Mangler {
    let mut dice = Dice::new(seed);
    Box::new(move |frame| {
        if dice.below(4) != 0 {
            return Vec::new();
        }
        (0..=dice.below(3)).filter_map(|_| mangle(&mut dice, frame)).collect()
    })
}

fn mangle(dice: &mut Dice, frame: &[u8]) -> Option<Vec<u8>> {
    let mut copy = frame.to_vec();
    match dice.below(5) {
        0 => copy.truncate(dice.below(frame.len())),
        1 | 2 => {
            for _ in 0..=dice.below(4) {
                // The hardware addresses stay unchanged; otherwise the copies would not be received.
                let position = 12 + dice.below(frame.len() - 12);
                copy[position] = dice.below(256) as u8;
            }
        }
        _ => {
            let mut segment = segment(frame)?;
            match dice.below(6) {
                0 => segment.sequence = segment.sequence.wrapping_add(dice.below(400_000) as u32).wrapping_sub(200_000),
                1 => {
                    segment.acknowledgement =
                        segment.acknowledgement.wrapping_add(dice.below(400_000) as u32).wrapping_sub(200_000);
                }
                2 => segment.flags = dice.below(512) as u16,
                3 => segment.window = dice.below(65_536) as u16,
                4 => segment.options = (0..dice.below(40)).map(|_| dice.below(256) as u8).collect(),
                _ => segment.payload.truncate(dice.below(segment.payload.len() + 1)),
            }
            copy = ethernet(frame[..6].try_into().ok()?, frame[6..12].try_into().ok()?, &segment.packet());
        }
    }
    Some(copy)
}

const LENGTH: u64 = 1 << 20;

/// Both ends send to each other, then end the stream; returns the results of the two writes and the two reads.
async fn exchange(client: &TcpStream, server: &TcpStream, check: bool) -> [Result<()>; 4] {
    let send = async |stream: &TcpStream| {
        link::send(stream, 1, LENGTH).await?;
        Ok(stream.shutdown(Shutdown::Write)?)
    };
    let receive = async |stream: &TcpStream| {
        if check {
            assert_eq!(link::receive(stream, 1).await?, LENGTH);
            return Ok(());
        }
        let mut buffer = vec![0; 65_536];
        while stream.read(&mut buffer).await? > 0 {}
        Ok(())
    };
    let (one, two, three, four) = future::join4(send(client), receive(server), send(server), receive(client)).await;
    [one, two, three, four]
}

async fn connect(victim: &Victim, family: Family) -> (TcpStream, TcpStream) {
    let listener = &victim.listeners[usize::from(family == Family::V6)];
    let client = TcpStream::connect(&victim.link.client.network, victim.at(family, PORT)).await.unwrap();
    loop {
        let (server, peer) = listener.accept().await.unwrap();
        if peer == client.local_addr() {
            return (client, server);
        }
    }
}

#[test]
fn corrupt_copies_do_not_corrupt_or_end_a_connection() {
    for seed in 0..10 {
        let victim = Victim::new();
        let family = Family::BOTH[(seed % 2) as usize];
        victim.link.block_on(async {
            let (client, server) = connect(&victim, family).await;
            let mut dice = Dice::new(seed);
            victim.wire.mangle(Some(Box::new(move |frame| {
                // Damaged in transit: the checksums are wrong.
                let mut copy = frame.to_vec();
                match dice.below(2) {
                    0 => copy.truncate(dice.below(frame.len())),
                    _ => copy[14 + dice.below(frame.len() - 14)] ^= 1 << dice.below(8),
                }
                vec![copy]
            })));
            let transfer = exchange(&client, &server, true);
            let (outcome, _) = victim.link.within(Duration::from_secs(600), transfer).await;
            assert_eq!(outcome, [const { Ok(()) }; 4], "seed {seed}");
        });
        victim.wire.mangle(None);
        victim.assert_serves();
    }
}

#[test]
fn forged_copies_end_a_connection_cleanly_or_not_at_all() {
    let mut survived = 0;
    for seed in 0..60 {
        let checksums = [Checksums::Computed, Checksums::Omitted][(seed / 2 % 2) as usize];
        let victim = Victim::with(checksums);
        let family = Family::BOTH[(seed % 2) as usize];
        victim.link.block_on(async {
            let (client, server) = connect(&victim, family).await;
            victim.wire.mangle(Some(mangler(seed)));
            // An end that only waits learns that the other end was reset only by keep-alive probes.
            let keep_alive = KeepAlive { idle: Duration::from_secs(60), interval: Duration::from_secs(10), count: 5 };
            for stream in [&client, &server] {
                stream.set_keep_alive(Some(keep_alive)).unwrap();
            }
            let transfer = async {
                let outcome = exchange(&client, &server, false).await;
                drop((client, server));
                outcome
            };
            let (outcome, _) = victim.link.within(Duration::from_secs(3600), transfer).await;
            survived += usize::from(outcome.iter().all(Result::is_ok));
        });
        victim.wire.mangle(None);
        victim.advance(200_000);
        victim.assert_serves();
    }
    println!("{survived} of 60 connections survived");
}
