//! System calls that transfer data, and those that ask how much data there is.

use std::time::Duration;

use super::kernel::Errno;
use super::script::{Call, Micros, Value};
use super::sockets::{Attempt, Pending};
use super::state::State;
use super::symbols;
use super::values::pattern;
use super::world::World;

impl World {
    pub(crate) fn read(&mut self, descriptor: i64, call: &Call) -> Attempt {
        let Some(connection) = self.sockets[&descriptor].connection() else {
            return Attempt::Failed(Errno("ENOTCONN"));
        };
        let flags = flags(call, 3);
        if symbols::has(&flags, "MSG_OOB") || symbols::has(&flags, "MSG_ERRQUEUE") {
            return Attempt::Unsupported("urgent data and error queues are not part of the engine".to_owned());
        }
        let Some(length) = length(call) else { return Attempt::Unsupported(format!("the buffer of {}", call.name)) };
        let peeks = symbols::has(&flags, "MSG_PEEK");
        let mut buffer = vec![0; length];
        let now = self.now;
        let result = self.kernel().read(now, connection, &mut buffer, peeks);
        let socket = self.sockets.get_mut(&descriptor).expect("known");
        let waits = !socket.non_blocking && !symbols::has(&flags, "MSG_DONTWAIT");
        match result {
            Err(Errno("EAGAIN")) if waits => Attempt::Blocks,
            Ok(length) => {
                let first = socket.read;
                if !peeks {
                    socket.read += u32::try_from(length).expect("a length");
                }
                // The first octet of the peer's stream follows its SYN.
                let is_wrong = |&(at, octet): &(usize, &u8)| *octet != pattern(first + 1 + at as u32);
                match buffer[..length].iter().enumerate().find(is_wrong) {
                    Some((at, _)) => {
                        Attempt::Wrong(format!("octet {} of the stream is not what arrived", first as usize + at))
                    }
                    None => Attempt::from(Ok(length)),
                }
            }
            Err(error) => Attempt::Failed(error),
        }
    }

    pub(crate) fn write(&mut self, descriptor: i64, pending: &mut Pending) -> Attempt {
        let call = &pending.call;
        let socket = &self.sockets[&descriptor];
        let (waits, flow) = (!socket.non_blocking, socket.flow);
        let Some(connection) = socket.connection() else { return Attempt::Failed(Errno("ENOTCONN")) };
        let flags = flags(call, 3);
        if ["MSG_OOB", "MSG_FASTOPEN", "MSG_ZEROCOPY", "MSG_EOF"].iter().any(|flag| symbols::has(&flags, flag)) {
            return Attempt::Unsupported(
                "urgent data, data in SYNs and zero-copy are not part of the engine".to_owned(),
            );
        }
        let waits = waits && !symbols::has(&flags, "MSG_DONTWAIT");
        let Some(length) = length(call) else { return Attempt::Unsupported(format!("the buffer of {}", call.name)) };
        if symbols::has(&flags, "MSG_MORE") {
            return Attempt::Unsupported(
                "the engine has no option for segments that wait for more (MSG_MORE)".to_owned(),
            );
        }
        let now = self.now;
        loop {
            let position = flow.map_or(0, |flow| self.flows[flow].written.len());
            let data: Vec<u8> = match call.arguments.get(1) {
                Some(Value::Text(text)) => {
                    text.bytes().chain(std::iter::repeat(0)).take(length).skip(pending.progress).collect()
                }
                _ => (pending.progress..length).map(|at| own_pattern(position + at - pending.progress)).collect(),
            };
            match self.kernel().write(now, connection, &data) {
                Ok(written) => {
                    if let Some(flow) = flow {
                        self.flows[flow].written.extend(&data[..written]);
                    }
                    pending.progress += written;
                    if pending.progress >= length || !waits {
                        break;
                    }
                    if written == 0 {
                        return Attempt::Blocks;
                    }
                }
                Err(Errno("EAGAIN")) if waits => return Attempt::Blocks,
                Err(_) if pending.progress > 0 => break,
                Err(error) => return Attempt::Failed(error),
            }
        }
        Attempt::from(Ok(pending.progress))
    }

    pub(crate) fn ioctl(&mut self, descriptor: i64, call: &Call) -> Attempt {
        let Some(connection) = self.sockets[&descriptor].connection() else { return Attempt::Failed(Errno("EINVAL")) };
        let facts = self.kernel().facts(connection);
        let Some(Value::Word(request)) = call.arguments.get(1) else {
            return Attempt::Unsupported("the request of ioctl".to_owned());
        };
        let value = match request.as_str() {
            "FIONREAD" | "SIOCINQ" => facts.readable,
            "SIOCOUTQ" | "FIONWRITE" | "TIOCOUTQ" => facts.unacknowledged,
            "SIOCOUTQNSD" => facts.unsent,
            "FIONSPACE" => facts.send_buffer.saturating_sub(facts.unacknowledged),
            _ => return Attempt::Unsupported(format!("ioctl's request {request}")),
        };
        match call.arguments.get(2).map(Value::inner) {
            Some(wanted) if symbols::number(wanted).is_some_and(|wanted| wanted != value as i64) => {
                Attempt::Wrong(format!("{request} is {value}"))
            }
            _ => Attempt::Done(0),
        }
    }

    /// `poll([{fd=4, events=POLLIN, revents=POLLIN}], 1, 100)`
    pub(crate) fn poll(&mut self, call: &Call, started: Micros) -> Attempt {
        let Some(Value::List(descriptors)) = call.arguments.first() else {
            return Attempt::Unsupported("the descriptors of poll".to_owned());
        };
        let timeout = call.arguments.get(2).and_then(symbols::number).unwrap_or_default();
        let mut ready = 0;
        let mut wrong = None;
        for descriptor in descriptors {
            let events = descriptor.field("events").and_then(symbols::number).unwrap_or_default();
            let wanted = descriptor.field("revents").and_then(symbols::number);
            let number = descriptor.field("fd").and_then(symbols::number).unwrap_or(-1);
            let returned = self.readiness(number) & (events | 0x38);
            ready += i64::from(returned != 0);
            if wanted.is_some_and(|wanted| wanted != returned) {
                wrong.get_or_insert(format!("revents of {number} is {returned:#x}"));
            }
        }
        let waited = Duration::from_micros(u64::try_from(self.now - started).unwrap_or_default());
        let is_over = timeout >= 0 && waited >= Duration::from_millis(timeout.unsigned_abs());
        match wrong {
            _ if ready == 0 && !is_over => Attempt::Blocks,
            Some(message) => Attempt::Wrong(message),
            None => Attempt::Done(ready),
        }
    }

    fn readiness(&mut self, descriptor: i64) -> i64 {
        let Some(socket) = self.sockets.get(&descriptor) else { return 0x20 };
        if let super::sockets::Role::Listening(listener, _) = socket.role {
            return i64::from(self.kernel().has_waiting(listener));
        }
        let Some(connection) = socket.connection() else { return 0x10 };
        let facts = self.kernel().facts(connection);
        let is_over = matches!(facts.state, State::Closed | State::TimeWait);
        let both_ended = is_over || matches!(facts.state, State::LastAck | State::Closing);
        let readable = facts.readable > 0 || facts.is_read_ended || is_over;
        let writable = facts.is_writable || is_over;
        let bits = [
            (readable, 0x41),
            (facts.is_read_ended, 0x2000),
            (writable, 0x104),
            (both_ended, 0x10),
            (facts.has_error, 0x8),
        ];
        bits.iter().filter(|(is_set, _)| *is_set).fold(0, |all, (_, bits)| all | bits)
    }
}

/// The octet at `position` of the data that this host writes.
pub(crate) const fn own_pattern(position: usize) -> u8 {
    (position % 253) as u8
}

fn flags(call: &Call, at: usize) -> Value {
    match call.name.as_str() {
        "send" | "recv" | "sendto" | "recvfrom" => call.arguments.get(at).cloned(),
        "sendmsg" | "recvmsg" => call.arguments.get(2).cloned(),
        _ => None,
    }
    .unwrap_or(Value::Number(0))
}

/// The total length of all buffers of a call.
fn length(call: &Call) -> Option<usize> {
    let vector = match call.name.as_str() {
        "readv" | "writev" => call.arguments.get(1),
        "sendmsg" | "recvmsg" => call.arguments.get(1)?.field("msg_iov"),
        _ => return call.arguments.get(2).and_then(symbols::number).and_then(|length| usize::try_from(length).ok()),
    };
    let Some(Value::List(parts)) = vector else { return None };
    parts.iter().try_fold(0, |total, part| {
        let Value::List(part) = part else { return None };
        Some(total + usize::try_from(symbols::number(part.last()?)?).ok()?)
    })
}
