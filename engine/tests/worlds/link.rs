//! One direction of a link, which may lose, delay, duplicate, reorder, mark and damage packets.

use core::time::Duration;

use xila_network_engine::time::Instant;
use xila_network_engine::wire::Ecn;

use super::Dice;

/// What a direction does to packets. Probabilities are in ten thousandths.
#[derive(Clone, Debug, Default)]
pub(crate) struct Conditions {
    pub(crate) delay: Duration,
    /// The maximum random addition to the delay.
    pub(crate) jitter: Duration,
    /// Whether jitter lets packets overtake each other.
    pub(crate) reorders: bool,
    pub(crate) loss: u32,
    pub(crate) duplicates: u32,
    pub(crate) damages: u32,
    /// The rate in bytes per second, and the length of the queue in bytes.
    pub(crate) rate: Option<(u64, usize)>,
    /// Whether ECN-capable packets are marked instead of being dropped, and before the queue is full.
    pub(crate) marks: bool,
    /// Everything between the two instants is lost.
    pub(crate) blackout: Option<(Instant, Instant)>,
}

impl Conditions {
    /// Whether every packet arrives once, undamaged and in order.
    pub(crate) const fn is_faithful(&self) -> bool {
        !self.reorders
            && self.loss == 0
            && self.duplicates == 0
            && self.damages == 0
            && self.rate.is_none()
            && self.blackout.is_none()
    }
}

/// Counters of what has happened to packets.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Tally {
    pub(crate) packets: u64,
    pub(crate) bytes: u64,
    /// Packets that were lost or damaged.
    pub(crate) lost: u64,
    pub(crate) damaged: u64,
    /// The current and the longest run of consecutive losses.
    pub(crate) run: u64,
    pub(crate) longest_run: u64,
}

#[derive(Debug)]
pub(crate) struct Direction {
    pub(crate) conditions: Conditions,
    dice: Dice,
    /// When the last byte of the queue leaves.
    idle_at: Instant,
    latest: Instant,
    pub(crate) tally: Tally,
}

impl Direction {
    pub(crate) fn new(conditions: Conditions, dice: Dice) -> Self {
        let tally = Tally::default();
        Self { conditions, dice, idle_at: Instant::ORIGIN, latest: Instant::ORIGIN, tally }
    }

    /// Carries a packet. `arrives` is called for each arrival, which may be none or two.
    pub(crate) fn carry(&mut self, now: Instant, mut packet: Vec<u8>, mut arrives: impl FnMut(Instant, Vec<u8>)) {
        let Conditions { loss, duplicates, damages, rate, marks, blackout, .. } = self.conditions;
        self.tally.packets += 1;
        self.tally.bytes += packet.len() as u64;
        let dark = blackout.is_some_and(|(start, end)| now >= start && now < end);
        let mut leaves = now;
        let mut full = false;
        if let Some((rate, most)) = rate {
            let waiting = (self.idle_at - now).as_secs_f64() * rate as f64;
            if marks && waiting > most as f64 / 2.0 {
                mark(&mut packet);
            }
            full = waiting + packet.len() as f64 > most as f64;
            if !full && !dark {
                leaves = self.idle_at.max(now) + Duration::from_secs_f64(packet.len() as f64 / rate as f64);
                self.idle_at = leaves;
            }
        }
        if dark || full || self.dice.chance(loss) {
            self.tally.lost += 1;
            self.tally.run += 1;
            self.tally.longest_run = self.tally.longest_run.max(self.tally.run);
            return;
        }
        self.tally.run = 0;
        if self.dice.chance(duplicates) {
            let at = self.arrival(leaves);
            arrives(at, packet.clone());
        }
        if self.dice.chance(damages) {
            self.damage(&mut packet);
            self.tally.damaged += 1;
        }
        let at = self.arrival(leaves);
        arrives(at, packet);
    }

    fn arrival(&mut self, leaves: Instant) -> Instant {
        let jitter = Duration::from_nanos(self.dice.below(self.conditions.jitter.as_nanos() as u64 + 1));
        let at = leaves + self.conditions.delay + jitter;
        if self.conditions.reorders {
            return at;
        }
        self.latest = self.latest.max(at);
        self.latest
    }

    /// Flips one bit, which every checksum detects, or truncates the packet.
    fn damage(&mut self, packet: &mut Vec<u8>) {
        if self.dice.chance(1000) {
            packet.truncate(self.dice.below(packet.len() as u64) as usize);
            return;
        }
        let at = self.dice.below(packet.len() as u64) as usize;
        packet[at] ^= 1 << self.dice.below(8);
    }
}

/// Changes ECT to CE.
fn mark(packet: &mut [u8]) {
    if packet[0] >> 4 == 4 {
        if Ecn::from_bits(packet[1]) == Ecn::NotCapable {
            return;
        }
        packet[1] |= 0b11;
        packet[10..12].fill(0);
        let mut sum: u32 = packet[..20].chunks(2).map(|word| u32::from(u16::from_be_bytes([word[0], word[1]]))).sum();
        while sum >> 16 != 0 {
            sum = (sum & 0xffff) + (sum >> 16);
        }
        packet[10..12].copy_from_slice(&(!(sum as u16)).to_be_bytes());
    } else if Ecn::from_bits(packet[1] >> 4) != Ecn::NotCapable {
        packet[1] |= 0b11 << 4;
    }
}
