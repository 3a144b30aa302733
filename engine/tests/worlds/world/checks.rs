//! The checks of a world.

use core::fmt::Write;
use core::time::Duration;

use xila_network_engine::tcp::Cause;

use super::{Outcome, World};
use crate::worlds::end::{End, Ending};
use crate::worlds::link::Conditions;
use crate::worlds::plan::{ConnectionPlan, Opening, PLENTY, Plan, Step};

impl World {
    /// How long a working connection may be without progress, depending on the link.
    pub(super) fn longest_gap(&self) -> Duration {
        let seconds = |time: Duration| time.as_secs_f64();
        let conditions = &self.plan.conditions;
        let worst = |part: fn(&Conditions) -> f64| conditions.iter().map(part).fold(0.0, f64::max);
        let loss = worst(|one| f64::from(one.loss + one.damages) / 10_000.0);
        let queue = worst(|one| one.rate.map_or(0.0, |(rate, most)| most as f64 / rate as f64));
        let dark = worst(|one| one.blackout.map_or(0.0, |(start, end)| (end - start).as_secs_f64()));
        let round: f64 = conditions.iter().map(|one| seconds(one.delay + one.jitter)).sum();
        let full = if self.plan.full > 0 { 1.0 } else { 0.0 };
        // A run of this many losses has a probability of 10^-9.
        let both = 1.0 - (1.0 - loss) * (1.0 - loss);
        let mut failures = if both > 0.0 { (1e-9f64.ln() / both.ln()).ceil() } else { 0.0 };
        if queue > 0.0 {
            failures += 5.0;
        }
        if self.plan.backlog < 128 {
            failures += 6.0;
        }
        if self.plan.most_bytes < PLENTY {
            failures += 6.0;
        }
        let timeout = 1.0 + 4.0 * (round + 2.0 * queue);
        let lost: f64 = (0..failures as i32).map(|tries| (timeout * 2f64.powi(tries)).min(65.0)).sum();
        let pauses = 6.0 + seconds(self.plan.accept_pause) * 2.0 + seconds(self.plan.unresolved) * 3.0;
        Duration::from_secs_f64(pauses + full + 4.0 * dark + lost + 10.0 * (round + queue))
    }

    pub(super) fn look_for_stalls(&mut self, gap: Duration) {
        let dead = self.next().is_none();
        if !dead && (!self.plan.orderly || self.plan.fragile) {
            return;
        }
        let begun = self.plan.connections.iter().map(|plan| plan.begins).max().unwrap_or_default();
        let latest = |index: usize| {
            let ends = self.ends.iter().filter(|(connection, ..)| *connection == index);
            ends.map(|(.., end)| end.progress).max().unwrap_or(begun).max(begun)
        };
        let stalled = self
            .ends
            .iter()
            .find(|(connection, _, end)| !end.released && (dead || self.now - latest(*connection) > gap))
            .map(|(connection, ..)| *connection);
        if let Some(connection) = stalled {
            // In a fragile world a connection may have ended at one end only.
            if dead && self.plan.fragile {
                for (.., end) in &mut self.ends {
                    if !end.released {
                        end.failed.get_or_insert(Cause::TimedOut);
                        end.release(&mut self.hosts[end.host].tcp, self.now);
                    }
                }
                return;
            }
            let what =
                format!("connection {connection} does nothing for {gap:?}{}", if dead { ", for ever" } else { "" });
            panic!("{}", self.describe(&what));
        }
    }

    /// The maximum duration of a world whose owners behave: their pauses, and for each connection the time for its
    /// bytes by the windows and the rate, with an allowance for losses.
    fn longest_life(&self) -> Duration {
        let conditions = &self.plan.conditions;
        let round: f64 = conditions.iter().map(|one| (one.delay + one.jitter).as_secs_f64()).sum();
        let queue =
            conditions.iter().filter_map(|one| one.rate).map(|(rate, most)| most as f64 / rate as f64).sum::<f64>();
        let lost: u64 = self.directions.iter().map(|direction| direction.tally.lost + direction.tally.damaged).sum();
        let mut seconds = 4.0 + self.plan.unresolved.as_secs_f64() * 2.0 + lost as f64;
        for plan in &self.plan.connections {
            let rounds = if let Opening::Again(_, rounds) = plan.opening { f64::from(rounds) } else { 1.0 };
            // Without timestamps, a pair of ends is not reused before half of TIME-WAIT is over.
            if rounds > 1.0 && plan.options.iter().any(|options| !options.timestamps) {
                seconds += 32.0 * rounds;
            }
            let mut one = 1.0 + 6.0 * round + 2.0 * self.plan.accept_pause.as_secs_f64();
            for (host, condition) in conditions.iter().enumerate() {
                let (sends, receives) = (&plan.scripts[host], &plan.scripts[1 - host]);
                let steps = || sends.writer.iter().chain(&receives.reader);
                let mut window = plan.options[host].send_buffer.min(plan.options[1 - host].receive_buffer).min(65_535);
                let (mut bytes, mut slow) = (0, false);
                for step in steps() {
                    match *step {
                        Step::Write(count, piece) => {
                            bytes += count;
                            window = window.min(piece.max(1));
                        }
                        Step::Pause(time) => one += time.as_secs_f64(),
                        Step::ReceiveBuffer(size) => {
                            // If the window is less than half of what it was, only the override timeout makes the
                            // sender use it.
                            slow |= size < plan.options[1 - host].receive_buffer;
                            window = window.min(size);
                        }
                        Step::SendBuffer(size) => window = window.min(size),
                        _ => {}
                    }
                }
                one += bytes as f64 / window as f64 * (round + queue + if slow { 0.3 } else { 0.045 });
                one += condition.rate.map_or(0.0, |(rate, _)| 4.0 * bytes as f64 / rate as f64);
            }
            seconds += one * rounds;
        }
        // Segments without memory are dropped, and sent again after about a second.
        Duration::from_secs_f64(if self.plan.most_bytes < PLENTY { seconds * 30.0 } else { seconds })
    }

    pub(super) fn look_at_memory(&self) {
        if !self.steps.is_multiple_of(256) {
            return;
        }
        for host in &self.hosts {
            // A ring of at most 1.5 times its limit, and the records of segments in flight.
            let limits: usize = host
                .tcp
                .connections()
                .filter_map(|(id, ..)| host.tcp.options(id))
                .map(|options| {
                    2 * options.receive_buffer.max(1 << 20) + 2 * options.send_buffer.max(1 << 20) + (1 << 20)
                })
                .sum();
            assert!(host.tcp.held() <= limits + (1 << 20), "{} bytes held", host.tcp.held());
            let budget = host.tcp.budget();
            assert!(budget.held() <= budget.limit(), "{} of {} bytes", budget.held(), budget.limit());
        }
    }

    pub(super) fn look_at_the_end(&mut self) {
        let orderly = self.plan.orderly && !self.plan.fragile;
        for host in &mut self.hosts {
            let tcp = &mut host.tcp;
            let left = (tcp.connection_count(), tcp.half_open_count(), tcp.time_wait_count());
            let timer = tcp.next_timeout();
            assert_eq!(tcp.budget().held(), 0, "{}", tcp.connection_count());
            if left != (0, 0, 0) || tcp.has_pending() || timer.is_some() {
                let what = format!("left over: {left:?}, next timeout {timer:?}");
                panic!("{}", self.describe(&what));
            }
        }
        for at in 0..self.ends.len() {
            let (connection, round, end) = &self.ends[at];
            let peer = self
                .ends
                .iter()
                .find(|(of, in_round, other)| of == connection && in_round == round && other.host != end.host);
            let sent = peer.map_or(0, |(.., peer)| peer.written);
            let clean = end.ending == Some(Ending::Clean);
            let finished = peer.is_some_and(|(.., peer)| peer.finished || peer.ending == Some(Ending::Own));
            let whole = end.read == sent && finished;
            if end.read > sent || (clean && !whole) || (orderly && (!clean || end.failed.is_some())) {
                let what =
                    format!("read {} of {sent} bytes, ended {:?}, failed {:?}", end.read, end.ending, end.failed);
                panic!("{}", self.describe(&what));
            }
        }
        self.look_at_counters();
        if orderly {
            let life = self.ends.iter().map(|(.., end)| end.progress).max().unwrap_or_default().since_origin();
            let longest = self.longest_life();
            assert!(
                life <= longest * 2,
                "{}",
                self.describe(&format!("it took {life:?}, where {longest:?} had been enough"))
            );
        }
    }

    fn look_at_counters(&self) {
        let packets: u64 = self.directions.iter().map(|direction| direction.tally.packets).sum();
        let damaged: u64 = self.directions.iter().map(|direction| direction.tally.damaged).sum();
        let malformed: u64 = self.hosts.iter().map(|host| host.tcp.counters().malformed).sum();
        let retransmitted: u64 = self.hosts.iter().map(|host| host.tcp.counters().retransmitted).sum();
        assert!(malformed <= damaged, "{malformed} malformed packets of {damaged} that were damaged");
        let what = format!("{} timeouts, {} of them for nothing, {packets} packets", self.timeouts, self.idle_timeouts);
        assert!(self.idle_timeouts <= packets + 300, "{}", self.describe(&what));
        assert!(retransmitted <= packets);
        let honest = self.plan.conditions.iter().all(Conditions::is_faithful) && self.plan.full == 0;
        let quick = self.plan.unresolved.is_zero() && self.plan.narrows.is_none() && self.plan.backlog > 4;
        // Without timestamps, a SYN for a pair of ends that the peer remembers may look like an old one.
        let renews = |plan: &ConnectionPlan| {
            matches!(plan.opening, Opening::Again(..)) && plan.options.iter().any(|options| !options.timestamps)
        };
        // While a window probe is under way, the peer may have accepted its octet already, and acknowledgements that do
        // not include it yet arrive too late.
        let quick = quick && !self.shut && !self.plan.connections.iter().any(renews);
        let quick = quick && self.plan.most_bytes == PLENTY;
        if honest && quick && self.plan.orderly && self.plan.conditions.iter().all(|one| one.jitter.is_zero()) {
            assert_eq!(retransmitted, 0, "{}", self.describe("nothing was lost, and something was sent again"));
        }
    }

    pub(super) fn outcomes(&self) -> Vec<Outcome> {
        let outcome = |(connection, round, end): &(usize, u32, End)| Outcome {
            connection: *connection,
            round: *round,
            host: end.host,
            written: end.written,
            read: end.read,
            clean: end.ending == Some(Ending::Clean) && end.failed.is_none(),
        };
        let mut outcomes: Vec<Outcome> = self.ends.iter().map(outcome).collect();
        outcomes.sort_unstable();
        outcomes
    }

    /// The description of a world in which a check failed.
    pub(super) fn describe(&self, what: &str) -> String {
        let mut text = format!("seed {} at {:?}: {what}\n", self.plan.seed, self.now.since_origin());
        let plan = Plan { connections: Vec::new(), ..self.plan.clone() };
        let _ = writeln!(text, "{plan:?}");
        let tallies: Vec<_> = self.directions.iter().map(|direction| direction.tally).collect();
        let _ = writeln!(text, "{tallies:?}");
        for (connection, round, end) in &self.ends {
            let tcp = &self.hosts[end.host].tcp;
            let _ = writeln!(text, "-- connection {connection}, round {round}: {end:?}\n{:?}", tcp.info(end.id));
            let _ = writeln!(text, "{:?}", tcp.options(end.id));
        }
        for host in &self.hosts {
            let left: Vec<_> = host.tcp.connections().map(|(id, tuple, state)| (id, *tuple, state)).collect();
            let _ = writeln!(text, "{:?} {left:?}", host.tcp.counters());
        }
        text
    }
}
