//! Packets that arrive, and packets that the engine must send.

use std::net::SocketAddr;

use super::checks::{self, Checks, seconds};
use super::options::TcpOptions;
use super::script::{Flags, Icmp, Micros, Packet, Segment, Start, When};
use super::sockets::Role;
use super::tolerances::Tolerance;
use super::wire::{self, LiveSegment};
use super::world::{Sent, Stop, Subject, World};

/// How long to wait for a packet that may come at any time.
const LONGEST_WAIT: Micros = 3_600_000_000;
/// The slop that FreeBSD adds to a timeout (`net.inet.tcp.rexmit_slop`).
const SLOP: Micros = 200_000;
/// The engine's delay of a delayed acknowledgement.
const DELAYED_ACK: Micros = 40_000;

impl World {
    pub(crate) fn inbound(&mut self, line: usize, segment: &Segment) -> Result<(), Stop> {
        if segment.options == TcpOptions::Any {
            return Err(Stop::Failed { line, message: "<...> is for outbound packets".to_owned() });
        }
        let Some(flow) = self.flow_of(segment, true) else {
            return Err(Stop::Failed { line, message: "there is no socket yet that a packet could be for".to_owned() });
        };
        self.subject = Subject::Flow(flow);
        let mut segment = segment.clone();
        self.move_edge(flow, &mut segment);
        self.has_syn_ack_arrived |= segment.flags == Flags(Flags::SYN.0 | Flags::ACK.0);
        self.log.push(format!("{} < {segment}", seconds(self.now)));
        let packet = self.flows[flow].inbound(&segment).emit();
        let now = self.now;
        self.kernel().receive(now, &packet);
        self.run_until_idle();
        Ok(())
    }

    /// The flow that a segment of the script belongs to.
    fn flow_of(&mut self, segment: &Segment, is_inbound: bool) -> Option<usize> {
        let local = match self.subject {
            Subject::Nothing => return None,
            Subject::Flow(flow) if segment.ports.is_none() => return Some(flow),
            Subject::Flow(flow) => self.flows[flow].local,
            Subject::Port(local) => local,
        };
        let mut remote = SocketAddr::new(self.configuration.remote, 0);
        let mut local = local;
        match (segment.ports, is_inbound) {
            (Some((source, destination)), true) => {
                remote.set_port(source);
                local.set_port(destination);
            }
            (Some((source, destination)), false) => {
                remote.set_port(destination);
                local.set_port(source);
            }
            (None, _) => remote.set_port(self.port()),
        }
        let flow = self.flow(local, remote);
        if !self.sockets.values().any(|socket| matches!(socket.role, Role::Listening(_, address) if address == local)) {
            self.flows[flow] = self.flows[flow].clone().for_nobody();
        }
        Some(flow)
    }

    /// See [`Tolerance::Edge`].
    fn move_edge(&mut self, flow: usize, segment: &mut Segment) {
        let (Start::Relative(start), Some((next, window))) = (segment.start, self.flows[flow].offered()) else {
            return;
        };
        let mss = self.flows[flow].mss(self.configuration.mtu);
        let mut buffer = self.host.socket.receive_buffer;
        if segment.length > 0 || !self.tolerances.is_foreign() {
            return;
        }
        self.round_buffer(&mut buffer, mss);
        let buffer = u32::try_from(buffer).unwrap_or(u32::MAX);
        let edge = next.wrapping_add(buffer);
        if buffer > window && (start == edge || start == edge.wrapping_sub(1)) && self.tolerances.allow(Tolerance::Edge)
        {
            segment.start = Start::Relative(start - (buffer - window));
        }
    }

    pub(crate) fn icmp(&mut self, line: usize, icmp: &Icmp) -> Result<(), Stop> {
        let Subject::Flow(flow) = self.subject else {
            return Err(Stop::Failed {
                line,
                message: "there is no connection that the ICMP error could be for".to_owned(),
            });
        };
        let is_v4 = self.configuration.local.is_ipv4();
        if !wire::is_icmp_error(icmp, is_v4) {
            return Err(Stop::Skipped(format!("the ICMP message {} {:?}", icmp.kind, icmp.code)));
        }
        let flow = &self.flows[flow];
        let quoted = LiveSegment {
            source: flow.local,
            destination: flow.remote,
            traffic_class: 0,
            hop_limit: 64,
            flags: Flags::ACK,
            sequence: flow.live_local(icmp.quoted),
            acknowledgement: 0,
            window: 0,
            urgent: 0,
            options: Vec::new(),
            payload: vec![0; icmp.quoted_length],
        };
        let now = self.now;
        self.kernel().receive_error(now, &quoted, icmp);
        self.run_until_idle();
        Ok(())
    }

    pub(crate) fn outbound(&mut self, line: usize, time: When, packet: &Packet) -> Result<(), Stop> {
        let Packet::Segment(expected) = packet else {
            return Err(Stop::Skipped("ICMP messages of ours are not the engine's".to_owned()));
        };
        let Some(flow) = self.flow_of(expected, false) else {
            return Err(Stop::Failed { line, message: "there is no socket yet that could send a packet".to_owned() });
        };
        let moments = checks::moments(time, self.now, self.configuration.tolerance);
        let until = moments.map_or(self.now + LONGEST_WAIT, |(_, last)| last);
        let failed = |message: String| Stop::Failed { line, message: format!("expected: > {expected}\n{message}") };
        let sent = loop {
            match self.sent.pop_front() {
                Some(sent) if self.is_reset_for_syn_ack(&sent, expected) || self.is_owed(&sent, flow, expected) => {}
                Some(sent) if self.is_of(&sent, flow) => break sent,
                Some(_) if self.tolerances.is_foreign() => {}
                Some(sent) => {
                    let got = self.show(&sent);
                    return Err(failed(format!("got, of another connection: {got}")));
                }
                None if self.step(until) => {}
                None if self.is_delayed(flow, expected) => return Ok(()),
                None => {
                    let state = self.describe();
                    return Err(failed(format!("nothing was sent until {} {state}", seconds(until))));
                }
            }
        };
        let live = LiveSegment::parse(&sent.packet).map_err(|wrong| failed(format!("got {wrong}")))?;
        let is_repeated = self.flows[flow].is_repeated(&live);
        let edge = self.flows[flow].edge();
        let wanted = match expected.start {
            Start::Relative(number) => Some(number),
            Start::Absolute(_) | Start::Any => None,
        };
        let got = self.flows[flow].outbound(&live, Some(expected));
        let is_held = edge.is_some() && self.flows[flow].edge() == edge;
        self.log.push(format!("{} > {got}", seconds(sent.at)));
        let mut checks = Checks {
            shift: if live.flags.has(Flags::SYN) { 0 } else { self.flows[flow].shift() },
            tick: self.configuration.tick,
            tolerance: self.configuration.tolerance,
            sent_fin: wanted.filter(|number| self.flows[flow].has_sent_fin(*number)),
            held: is_held.then(|| self.flows[flow].mss(self.configuration.mtu)).flatten(),
            tolerances: &mut self.tolerances,
        };
        let mut differences = checks::differences(expected, &got, &mut checks);
        differences.extend(self.flows[flow].wrong_payload(&live));
        if let Some((first, last)) = moments
            && !(first..=last).contains(&sent.at)
        {
            let early = is_repeated && sent.at < first && sent.at >= first - SLOP;
            if !early || !self.tolerances.allow(Tolerance::Slop) {
                let [from, to] =
                    [first + self.configuration.tolerance, last - self.configuration.tolerance].map(seconds);
                let wanted = if from == to { from } else { format!("{from}~{to}") };
                differences.push(format!("time: {} instead of {wanted}", seconds(sent.at)));
            }
        }
        if differences.is_empty() || self.configuration.packets_may_differ {
            return Ok(());
        }
        Err(failed(format!("got:      > {got}\ndifferent: {}", differences.join(", "))))
    }

    /// See [`Tolerance::ResetForSynAck`].
    fn is_reset_for_syn_ack(&mut self, sent: &Sent, expected: &Segment) -> bool {
        let is_reset = LiveSegment::parse(&sent.packet).is_ok_and(|live| live.flags == Flags::RST);
        let is_for_it = is_reset && self.has_syn_ack_arrived && !expected.flags.has(Flags::RST);
        is_for_it && self.tolerances.allow(Tolerance::ResetForSynAck)
    }

    /// See [`Tolerance::EverySecondSegment`].
    fn is_delayed(&mut self, flow: usize, expected: &Segment) -> bool {
        let is_bare = expected.flags == Flags::ACK && expected.length == 0;
        let is_due = self.next_timeout().is_some_and(|at| at <= self.now + DELAYED_ACK);
        // A segment that fills a hole is acknowledged at once (RFC 5681 section 4.2).
        let is_so =
            is_bare && is_due && !self.flows[flow].has_hole() && self.tolerances.allow(Tolerance::EverySecondSegment);
        if is_so {
            self.owed = Some((expected.acknowledgement, self.now + DELAYED_ACK));
        }
        is_so
    }

    /// Whether a sent packet is the acknowledgement that was missing before, and comes where the script expects another
    /// packet.
    fn is_owed(&mut self, sent: &Sent, flow: usize, expected: &Segment) -> bool {
        let (Some((number, until)), Ok(live)) = (self.owed, LiveSegment::parse(&sent.packet)) else { return false };
        let got = self.flows[flow].clone().outbound(&live, None);
        let is_it = got.flags == Flags::ACK && got.length == 0 && got.acknowledgement >= number && sent.at <= until;
        if is_it {
            self.owed = None;
        }
        is_it && got.acknowledgement != expected.acknowledgement
    }

    fn is_of(&self, sent: &Sent, flow: usize) -> bool {
        let flow = &self.flows[flow];
        // An unparsable packet counts, so that the comparison reports it.
        LiveSegment::parse(&sent.packet)
            .map_or(true, |live| live.source == flow.local && live.destination == flow.remote)
    }
}
