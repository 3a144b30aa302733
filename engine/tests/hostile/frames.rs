//! Arbitrary packets for an engine with a connection in every state. A string of bytes determines them.
//!
//! Nothing panics, memory stays within its limits, sent packets are well-formed, a bystander on the same engine is
//! always served, and at the end nothing is left.

use core::time::Duration;

use xila_network_engine::ip::output::Blocked;
use xila_network_engine::tcp::TcpState;
use xila_network_engine::tcp::options::LONGEST_LINGER;

use super::bytes::Bytes;
use super::peer::{ACK, FIN, PSH, RST, Raw, SYN, ip};
use super::scene::{HERE_V6, Scene, THERE_V6};
use super::victim::{HERE, THERE, millis};

/// Runs the test that the bytes describe.
pub(crate) fn run(data: &[u8]) {
    let mut bytes = Bytes::new(data);
    let mut scene = Scene::new(bytes.byte());
    while !bytes.is_empty() {
        scene.act(&mut bytes);
        scene.check();
    }
    scene.end();
}

impl Scene {
    fn act(&mut self, bytes: &mut Bytes<'_>) {
        match bytes.byte() % 16 {
            0..=9 => self.strange(bytes),
            10 => {
                let (length, v6) = (bytes.below(80), bytes.flag());
                let payload = bytes.take(length);
                let (source, destination) = if v6 { (THERE_V6, HERE_V6) } else { (THERE, HERE) };
                let packet = if bytes.flag() { ip(source, destination, 6, payload) } else { payload.to_vec() };
                self.receive(&packet);
            }
            11 => self.pass(Duration::from_millis(bytes.pick(&[0, 1, 40, 200, 1000, 10_000, 61_000, 400_000]))),
            12 => self.ask(bytes),
            13 => self.serve(),
            14 => {
                let known = self.targets[bytes.below(self.targets.len())];
                let right = Raw {
                    sequence: known.next,
                    acknowledgement: known.expected,
                    flags: ACK | PSH,
                    payload: vec![1; 20],
                    ..Raw::new(known.peer, known.local)
                };
                let mut packet = right.packet();
                let at = bytes.below(packet.len());
                packet[at] ^= 1 << (bytes.byte() % 8);
                self.receive(&packet);
            }
            _ => {
                self.victim.out.blocked = bytes.pick(&[
                    None,
                    None,
                    Some(Blocked::Full),
                    Some(Blocked::Unresolved),
                    Some(Blocked::Unreachable),
                ]);
            }
        }
        self.accept();
    }

    /// An almost correct segment.
    fn strange(&mut self, bytes: &mut Bytes<'_>) {
        const NEAR: [u32; 12] = [0, 0, 0, 1, u32::MAX, 5, 1000, 65_534, 65_535, 131_072, 1 << 31, (1 << 31) - 1];
        const OPTIONS: [&[u8]; 10] = [
            &[],
            &[2, 4, 0, 1],
            &[2, 4, 255, 255],
            &[3, 3, 14],
            &[3, 3, 255, 4, 2],
            &[9, 0, 1, 1],
            &[8, 10, 0, 0, 16, 2, 0, 0, 0, 0],
            &[8, 10, 255, 255, 255, 255, 255, 255, 255, 255],
            &[5, 10, 0, 0, 0, 0, 255, 255, 255, 255],
            &[5, 34],
        ];
        let target = bytes.below(self.targets.len());
        let known = self.targets[target];
        let flags = if bytes.flag() { ACK | bytes.byte() & (FIN | PSH) } else { bytes.byte() };
        let ahead = bytes.pick(&NEAR);
        let from = if bytes.flag() { known.unacknowledged } else { known.expected };
        let acknowledgement = from.wrapping_add(bytes.pick(&NEAR));
        let window = bytes.pick(&[65_535, 65_535, 0, 1, 500, 30_000]);
        let mut options = bytes.pick(&OPTIONS).to_vec();
        if options.first() == Some(&5) {
            // SACK blocks near the outstanding data.
            let (start, length) = (bytes.word(), bytes.word());
            let start = known.unacknowledged.wrapping_add(u32::from(start));
            options =
                [&[5, 10][..], &start.to_be_bytes(), &start.wrapping_add(u32::from(length)).to_be_bytes()].concat();
        }
        if let Some(stamp) = known.stamp.filter(|_| bytes.flag()) {
            options.extend([8, 10]);
            options.extend(stamp.wrapping_add(u32::from(bytes.byte())).to_be_bytes());
            options.extend([0; 4]);
        }
        let payload = vec![bytes.byte(); bytes.pick(&[0, 0, 0, 1, 10, 536, 1448, 1460, 9000])];
        let raw = Raw {
            sequence: known.next.wrapping_add(ahead),
            acknowledgement,
            flags,
            window,
            options,
            payload,
            ..Raw::new(known.peer, known.local)
        };
        if ahead == 0 && flags & (SYN | RST) == 0 {
            self.targets[target].next = known.next.wrapping_add(raw.payload.len() as u32 + u32::from(flags & FIN));
        }
        self.receive(&raw.packet());
    }

    /// An owner performs an operation.
    fn ask(&mut self, bytes: &mut Bytes<'_>) {
        if self.held.is_empty() {
            return;
        }
        let at = bytes.below(self.held.len());
        let (id, now) = (self.held[at], self.victim.now);
        let tcp = &mut self.victim.tcp;
        match bytes.byte() % 8 {
            0 => drop(tcp.read(id, &mut [0; 3000], now)),
            1 => drop(tcp.write(id, &[9; 4000], now)),
            2 => drop(tcp.shutdown_write(id, now)),
            3 => tcp.shutdown_read(id, now),
            4 => {
                tcp.release(id, now);
                self.held.swap_remove(at);
            }
            5 => drop(tcp.read(id, &mut [0; 1], now)),
            6 => {
                let size = usize::from(bytes.word()) + 1;
                tcp.configure(id, |options| options.receive_buffer = size, now).expect("it makes sense");
            }
            _ => tcp.resume(id),
        }
        self.exchange();
    }

    fn pass(&mut self, time: Duration) {
        // A bystander whose packets cannot leave for minutes would be right to give up.
        self.victim.out.blocked = None;
        let end = self.victim.now + time;
        let mut steps = 0;
        self.exchange();
        while let Some(due) =
            [self.victim.tcp.next_timeout(), self.friend.tcp.next_timeout()].into_iter().flatten().min()
            && due <= end
        {
            self.victim.now = self.victim.now.max(due);
            self.victim.tcp.handle_timeout(self.victim.now);
            self.friend.tcp.handle_timeout(self.victim.now);
            self.exchange();
            steps += 1;
            assert!(steps < 200_000, "timers that never rest");
        }
        self.victim.now = end;
    }

    /// Checks that the bystander's bytes arrive.
    fn serve(&mut self) {
        self.victim.out.blocked = None;
        self.exchange();
        let [ours, theirs] = self.bystander;
        self.written = self.written.wrapping_add(1);
        let text = [self.written; 100];
        assert_eq!(self.friend.tcp.write(ours, &text, self.victim.now), Ok(100));
        self.exchange();
        self.pass(millis(500));
        let mut read = [0; 200];
        assert_eq!(self.victim.tcp.read(theirs, &mut read, self.victim.now), Ok(100), "a bystander is not served");
        assert_eq!(read[..100], text);
    }

    fn check(&mut self) {
        let tcp = &self.victim.tcp;
        let count = tcp.connection_count();
        assert!(tcp.half_open_count() <= 64 && tcp.time_wait_count() <= 64);
        assert!(tcp.held() <= (count + 1) * 700_000, "{} bytes of {count} connections", tcp.held());
        assert_eq!(tcp.state(self.bystander[1]), TcpState::Established);
    }

    fn end(&mut self) {
        self.serve();
        for id in self.held.drain(..) {
            self.victim.tcp.release(id, self.victim.now);
        }
        for listener in self.listeners {
            self.victim.tcp.unbind(listener, self.victim.now, &mut self.victim.out);
        }
        let [ours, theirs] = self.bystander;
        self.friend.tcp.release(ours, self.victim.now);
        self.exchange();
        self.victim.tcp.release(theirs, self.victim.now);
        self.pass(LONGEST_LINGER + Duration::from_secs(200));
        for tcp in [&mut self.victim.tcp, &mut self.friend.tcp] {
            let left = (tcp.connection_count(), tcp.half_open_count(), tcp.time_wait_count());
            assert_eq!(left, (0, 0, 0), "connections, handshakes, records");
            assert!(!tcp.has_pending());
            assert_eq!(tcp.next_timeout(), None);
        }
    }
}
