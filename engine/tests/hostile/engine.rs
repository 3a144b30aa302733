//! Two complete engines on one link, whose owners perform arbitrary operations, and an attacker that sends frames of
//! any kind. A string of bytes determines everything.

use core::net::Ipv4Addr;
use core::time::Duration;

use xila_network_engine::random::Random;
use xila_network_engine::time::Instant;

use super::bytes::Bytes;
use super::craft::{UDP, datagram, ethernet, packet, put_right};
use super::station::{NEAR, NEAR_V4, NEAR_V6, OWN, OWN_V4, OWN_V6, ROUTER_V4, Station};

/// The limit of consecutive frames between the two engines. Honest engines never send more without time passing.
const MOST_FRAMES: usize = 4000;

struct Pair {
    stations: [Station; 2],
    /// How many frames of each engine have been delivered.
    carried: [usize; 2],
    /// One of this many frames is lost; 0 for no loss.
    loss: u32,
    /// Decides which frames are lost, without a pattern: if all answers and no solicitations were lost, neighbours
    /// would be solicited for ever.
    chance: Random,
}

/// Runs the test that the bytes describe.
pub(crate) fn run(data: &[u8]) {
    let mut bytes = Bytes::new(data);
    let mut pair = Pair {
        stations: [
            Station::new(Some(OWN), 1500, [OWN_V4.into(), OWN_V6.into()]),
            Station::new(Some(NEAR), 1500, [NEAR_V4.into(), NEAR_V6.into()]),
        ],
        carried: [0; 2],
        loss: 0,
        chance: Random::new([5; 32]),
    };
    pair.carry();
    while !bytes.is_empty() {
        pair.act(&mut bytes);
        pair.carry();
    }
    pair.stations.iter_mut().for_each(|station| station.device.is_full = false);
    pair.loss = 0;
    pair.pass(Duration::from_secs(600));
    pair.stations.iter_mut().for_each(Station::rest);
}

impl Pair {
    fn act(&mut self, bytes: &mut Bytes<'_>) {
        let index = usize::from(bytes.byte() % 4 == 3);
        let station = &mut self.stations[index];
        match bytes.byte() % 16 {
            0..=5 => station.operate(bytes),
            6 => {
                let packet = station.strange_discovery(bytes);
                station.receive_packet(bytes, &packet);
            }
            7 => {
                let packet = station.strange_membership(bytes);
                station.receive_packet(bytes, &packet);
            }
            8 | 9 => {
                let packet = station.simple_lease(bytes);
                station.receive_packet(bytes, &packet);
            }
            10 => {
                // Replays a modified frame that was sent before.
                let start = self.stations[1 - index].left.clone();
                if start.is_empty() {
                    return;
                }
                let mut frame = start[bytes.below(start.len())].clone();
                for _ in 0..bytes.byte() % 4 {
                    let at = bytes.below(frame.len().min(100));
                    frame[at] = bytes.byte();
                }
                if bytes.byte() < 200 {
                    put_right(&mut frame[14..]);
                }
                self.stations[index].receive(&frame);
            }
            11 => {
                let length = bytes.below(200);
                let mut frame = bytes.take(length).to_vec();
                if bytes.flag() {
                    frame = ethernet(OWN, NEAR, &frame);
                }
                if frame.len() > 14 && bytes.flag() {
                    put_right(&mut frame[14..]);
                }
                station.receive(&frame);
            }
            12 => self.loss = bytes.pick(&[0, 2, 5, 20]),
            _ => {
                let time = Station::time(bytes);
                self.pass(time);
            }
        }
    }

    /// Delivers the frames that one engine has sent to the other.
    fn carry(&mut self) {
        let mut frames = 0_usize;
        loop {
            let mut is_quiet = true;
            for from in 0..2 {
                let new = self.stations[from].count - self.carried[from];
                self.carried[from] = self.stations[from].count;
                let left = &self.stations[from].left;
                let new = left[left.len() - new.min(left.len())..].to_vec();
                for frame in new {
                    is_quiet = false;
                    frames += 1;
                    if self.loss == 0 || self.chance.below(self.loss) > 0 {
                        self.stations[1 - from].receive(&frame);
                    }
                }
            }
            if is_quiet {
                break;
            }
            assert!(frames < MOST_FRAMES, "they never stop");
        }
    }

    fn pass(&mut self, time: Duration) {
        let end = self.stations[0].now + time;
        let mut steps = 0;
        self.carry();
        while let Some(next) = self.stations.iter().filter_map(|station| station.engine.next_timeout()).min()
            && next <= end
        {
            self.until(next);
            steps += 1;
            assert!(steps < 20_000, "timers that never rest");
        }
        self.until(end);
    }

    fn until(&mut self, next: Instant) {
        for station in &mut self.stations {
            station.pass(next - station.now);
        }
        self.carry();
    }
}

impl Station {
    /// The answer of a DHCP server to the last request (RFC 2131), correct most of the time.
    fn simple_lease(&self, bytes: &mut Bytes<'_>) -> Vec<u8> {
        let is_asked = |frame: &&Vec<u8>| frame.get(34..38) == Some(&[0, 68, 0, 67]);
        let asked = self.left.iter().rev().find(is_asked).map(|frame| frame[42..].to_vec());
        let asked = asked.unwrap_or_else(|| vec![0; 300]);
        let lent = Ipv4Addr::new(192, 0, 2, bytes.pick(&[77, 78, 2, 255, 0]));
        let mut reply = vec![0; 236];
        let head = asked.len().min(236);
        reply[..head].copy_from_slice(&asked[..head]);
        reply[0] = 2;
        reply[16..20].copy_from_slice(&lent.octets());
        reply[20..24].copy_from_slice(&ROUTER_V4.octets());
        let time = |bytes: &mut Bytes<'_>| bytes.pick(&[3600u32, 60, 0, 1, u32::MAX, 86_400]).to_be_bytes();
        reply.extend([99, 130, 83, 99, 53, 1, bytes.pick(&[2, 5, 2, 5, 6])]);
        reply.extend([&[54, 4][..], &ROUTER_V4.octets()].concat());
        reply.extend([&[51, 4][..], &time(bytes)].concat());
        for _ in 0..bytes.byte() % 6 {
            match bytes.byte() % 8 {
                0 => reply.extend([1, 4, 255, 255, 255, bytes.pick(&[0, 255, 128])]),
                1 => reply.extend([&[3, 4][..], &ROUTER_V4.octets()].concat()),
                2 => reply.extend([&[6, 4][..], &ROUTER_V4.octets()].concat()),
                3 => reply.extend([&[bytes.pick(&[58, 59]), 4][..], &time(bytes)].concat()),
                4 => reply.extend([121, 8, bytes.pick(&[24, 0, 33]), 10, 1, 2, 192, 0, 2, 254]),
                5 => reply.extend([26, 2, 5, bytes.byte()]),
                _ => {
                    let (code, length) = (bytes.byte(), bytes.byte() % 16);
                    reply.extend([code, length]);
                    reply.extend_from_slice(bytes.take(usize::from(length)));
                }
            }
        }
        reply.push(255);
        let to = if bytes.flag() { Ipv4Addr::BROADCAST } else { lent };
        packet(ROUTER_V4.into(), to.into(), UDP, 64, &datagram(67, 68, &reply))
    }
}
