//! Runs a script: its events in order, each at its time.

use super::checks::seconds;
use super::code;
use super::commands::{self, Effect};
use super::script::{Action, Event, Packet, Script, When};
use super::sockets::Role;
use super::state::State;
use super::tolerances::Tolerance;
use super::wire::LiveSegment;
use super::world::{Configuration, Sent, Stop, Subject, World};

/// The result of a script.
#[derive(Clone, Debug)]
pub(crate) struct Outcome {
    pub(crate) stop: Option<Stop>,
    pub(crate) tolerances: Vec<Tolerance>,
    /// The packets on the wire, in the script's notation.
    pub(crate) wire: Vec<String>,
}

impl Outcome {
    /// The result of a script that could not start.
    pub(crate) const fn of(stop: Stop) -> Self {
        Self { stop: Some(stop), tolerances: Vec::new(), wire: Vec::new() }
    }
}

/// Runs `script`. A foreign script gets the [tolerances](super::tolerances) and FreeBSD's defaults.
pub(crate) fn run(script: &Script, is_foreign: bool) -> Outcome {
    let mut world = match Configuration::new(script) {
        Ok(configuration) => World::new(configuration, is_foreign),
        Err(stop) => return Outcome::of(stop),
    };
    let stop = world.play(script).err();
    Outcome { stop, tolerances: world.tolerances.used().collect(), wire: world.log }
}

impl World {
    fn play(&mut self, script: &Script) -> Result<(), Stop> {
        // Commands after all other events restore the host.
        let is_command = |event: &Event| matches!(event.action, Action::Command(_));
        let epilogue = script.events.iter().rposition(|event| !is_command(event)).map_or(0, |last| last + 1);
        for (index, event) in script.events.iter().enumerate() {
            let result = match self.event(event) {
                Err(Stop::Skipped(_)) if index >= epilogue => Ok(()),
                result => result,
            };
            // An error of a call that ended meanwhile is probably the cause of later errors.
            if let Some(late) = self.late.take() {
                return Err(late);
            }
            result?;
        }
        while let Some(end) = self.pending.iter().filter_map(|pending| pending.end).max() {
            let last = end + self.configuration.tolerance;
            if !self.step(last) {
                break;
            }
        }
        if let Some(late) = self.late.take() {
            return Err(late);
        }
        if let Some(pending) = self.pending.first() {
            let message = format!("{} still waits at the end of the script", pending.call.name);
            return Err(Stop::Failed { line: pending.line, message });
        }
        // The original ignores packets that are left over. Our own scripts must contain every packet that is sent.
        let line = script.events.last().map_or(1, |event| event.line);
        match self.sent.pop_front() {
            Some(sent) if !self.tolerances.is_foreign() => {
                let got = self.show(&sent);
                Err(Stop::Failed { line, message: format!("the script ends, but there is also: {got}") })
            }
            _ => Ok(()),
        }
    }

    fn event(&mut self, event: &Event) -> Result<(), Stop> {
        let Event { line, time, action } = event;
        let before = self.now;
        if let Action::Outbound(packet) = action {
            return self.outbound(*line, *time, packet);
        }
        let at = match time {
            When::Absolute(at) => *at,
            When::Relative(after) => before + after,
            When::AbsoluteRange(..) | When::RelativeRange(..) | When::Any => before,
        };
        if at + self.configuration.tolerance < before {
            let message = format!("it has to happen at {}, but it is {} already", seconds(at), seconds(before));
            return Err(Stop::Failed { line: *line, message });
        }
        if self.has_begun() {
            self.advance(at)?;
        }
        self.now = self.now.max(at);
        match action {
            Action::Inbound(Packet::Segment(segment)) => self.inbound(*line, segment),
            Action::Inbound(Packet::Icmp(icmp)) => self.icmp(*line, icmp),
            Action::Call(call) => self.call(*line, call, *time, before),
            Action::Command(command) => self.command(*line, command),
            Action::Code(code) => self.code(*line, code),
            Action::Outbound(_) => unreachable!("was dealt with"),
        }
    }

    /// A packet with its time, in the script's notation.
    pub(crate) fn show(&mut self, sent: &Sent) -> String {
        let at = seconds(sent.at);
        match LiveSegment::parse(&sent.packet) {
            Ok(live) => {
                let known =
                    self.flows.iter().position(|flow| flow.local == live.source && flow.remote == live.destination);
                match known {
                    Some(flow) => format!("{at} > {}", self.flows[flow].outbound(&live, None)),
                    None => format!("{at} > {} to {}", live.flags.text(), live.destination),
                }
            }
            Err(wrong) => format!("{at}: {wrong}"),
        }
    }

    /// The states of the sockets, for messages.
    pub(crate) fn describe(&mut self) -> String {
        let sockets: Vec<_> = self.sockets.iter().map(|(number, socket)| (*number, socket.clone())).collect();
        let states: Vec<String> =
            sockets.iter().map(|(number, socket)| format!("{number} is {:?}", socket.state(self.kernel()))).collect();
        format!("({})", states.join(", "))
    }

    fn command(&mut self, line: usize, command: &str) -> Result<(), Stop> {
        for effect in commands::run(command, &mut self.host) {
            match effect {
                Effect::Nothing => {}
                Effect::Unsupported(reason) => return Err(Stop::Skipped(reason)),
                Effect::Drop { state } => self.drop_connections(&state),
                Effect::Count { state, number, in_process } => {
                    let counted = self.count(&state, in_process);
                    if counted != number {
                        let message = format!("{counted} connections are in {state}, not {number} {}", self.describe());
                        return Err(Stop::Failed { line, message });
                    }
                }
            }
        }
        if self.has_begun() {
            let host = self.host.clone();
            self.kernel().set_host(&host);
        }
        Ok(())
    }

    fn count(&mut self, state: &str, in_process: bool) -> usize {
        let sockets: Vec<_> = self.sockets.values().cloned().collect();
        let of_sockets = sockets
            .iter()
            .filter(|socket| !matches!(socket.role, Role::Fresh | Role::Bound(_)))
            .filter(|socket| socket.state(self.kernel()).name() == state)
            .count();
        if state == State::SynReceived.name() && !in_process {
            of_sockets + self.kernel().half_open()
        } else {
            of_sockets
        }
    }

    fn drop_connections(&mut self, state: &str) {
        let now = self.now;
        let sockets: Vec<_> = self.sockets.values().cloned().collect();
        for socket in sockets {
            if let Some(connection) = socket.connection()
                && socket.state(self.kernel()).name() == state
            {
                self.kernel().abort(now, connection);
            }
        }
    }

    fn code(&mut self, line: usize, code: &str) -> Result<(), Stop> {
        let connection = self.subject_connection();
        let options = match self.subject {
            Subject::Flow(flow) => self.flows[flow].negotiated(),
            Subject::Nothing | Subject::Port(_) => 0,
        };
        let counts_segments = !self.tolerances.is_foreign();
        let kernel = std::cell::RefCell::new(self.kernel());
        let look_up = |name: &str| match name {
            "tcpi_options" => Some(f64::from(options)),
            _ => State::by_tcpi_name(name)
                .map(|state| f64::from(state as u8))
                .or_else(|| super::state::option_bit(name))
                .or_else(|| kernel.borrow_mut().statistic(connection?, name, counts_segments)),
        };
        code::run(code, &look_up).map_err(|failure| match failure {
            code::Failure::Assertion(message) => Stop::Failed { line, message },
            code::Failure::Unsupported(what) => Stop::Skipped(what),
        })
    }
}
