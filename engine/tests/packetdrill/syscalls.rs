//! System calls: which are supported, when they block, and whether their results match the script.

use std::net::SocketAddr;

use super::checks::seconds;
use super::kernel::Errno;
use super::script::{Call, Micros, Value, When};
use super::sockets::{Attempt, Pending, Role, Socket};
use super::symbols::{self, is_same_error};
use super::tolerances::Tolerance;
use super::world::{Stop, Subject, World};

impl World {
    /// Starts a call, and waits for its end unless the script gives it another end. `before` is when the previous event
    /// ended.
    pub(crate) fn call(&mut self, line: usize, call: &Call, time: When, before: Micros) -> Result<(), Stop> {
        let mut pending = Pending::new(line, call, time, before, self.now);
        let attempt = self.attempt(&mut pending);
        if attempt != Attempt::Blocks {
            self.run_until_idle();
            return self.judge(&pending, &attempt);
        }
        let waits = pending.end.is_none();
        self.pending.push(pending);
        self.run_until_idle();
        while waits && self.pending.iter().any(|pending| pending.line == line) {
            if !self.step(self.now + 3_600_000_000) {
                return Err(Stop::Failed { line, message: format!("{} would wait for ever", call.name) });
            }
        }
        Ok(())
    }

    /// Tries the blocked calls again. Returns whether one of them has finished.
    pub(crate) fn resume(&mut self) -> bool {
        let mut moved = false;
        for mut pending in std::mem::take(&mut self.pending) {
            let progress = pending.progress;
            let attempt = self.attempt(&mut pending);
            moved |= pending.progress != progress;
            if attempt == Attempt::Blocks {
                self.pending.push(pending);
                continue;
            }
            moved = true;
            if let Err(stop) = self.judge(&pending, &attempt) {
                self.late.get_or_insert(stop);
            }
        }
        moved
    }

    /// Compares a finished call with the script.
    fn judge(&mut self, pending: &Pending, attempt: &Attempt) -> Result<(), Stop> {
        let Pending { line, call, end, started, .. } = pending;
        let failed = |message: String| Stop::Failed { line: *line, message: format!("{}: {message}", call.name) };
        let tolerance = self.configuration.tolerance;
        let wanted = symbols::number(&call.result);
        let outcome = match attempt {
            Attempt::Unsupported(reason) => return Err(Stop::Skipped(reason.clone())),
            Attempt::Wrong(message) => Err(message.clone()),
            Attempt::Done(number) if call.result == Value::Any || wanted == Some(*number) => Ok(()),
            Attempt::Done(number) => Err(format!("{number} where the script has {}", expectation(call))),
            Attempt::Failed(Errno(error)) => match &call.error {
                Some(expected) if is_same_error(expected, error) => Ok(()),
                None if call.result == Value::Any => Ok(()),
                _ => Err(format!("-1 {error} where the script has {}", expectation(call))),
            },
            Attempt::Blocks => Err("still waits".to_owned()),
        };
        if self.configuration.calls_may_differ {
            return Ok(());
        }
        outcome.map_err(failed)?;
        match end {
            Some(end) if (self.now - end).abs() > tolerance => {
                let [started, end, now] = [*started, *end, self.now].map(seconds);
                Err(failed(format!("begun at {started}, it ends at {now} instead of {end}")))
            }
            _ => Ok(()),
        }
    }

    /// Advances a call as far as possible.
    fn attempt(&mut self, pending: &mut Pending) -> Attempt {
        let call = pending.call.clone();
        match call.name.as_str() {
            "socket" => return self.socket(&call),
            "poll" => return self.poll(&call, pending.started),
            _ => {}
        }
        let Some(descriptor) = call.arguments.first().and_then(symbols::number) else {
            return Attempt::Unsupported(format!("the system call {}", call.name));
        };
        if !self.sockets.contains_key(&descriptor) {
            return Attempt::Failed(Errno("EBADF"));
        }
        match call.name.as_str() {
            "bind" => self.bind(descriptor, &call),
            "listen" => self.listen(descriptor, &call),
            "accept" | "accept4" => self.accept(descriptor, &call),
            "connect" => self.connect(descriptor, &call),
            "close" => self.close(descriptor),
            "shutdown" => self.shutdown(descriptor, &call),
            "fcntl" => self.fcntl(descriptor, &call),
            "ioctl" => self.ioctl(descriptor, &call),
            "setsockopt" => self.set_option(descriptor, &call),
            "getsockopt" => self.option(descriptor, &call),
            "read" | "recv" | "recvfrom" | "readv" | "recvmsg" => self.read(descriptor, &call),
            "write" | "send" | "sendto" | "writev" | "sendmsg" => self.write(descriptor, pending),
            name => Attempt::Unsupported(format!("the system call {name}")),
        }
    }

    fn socket(&mut self, call: &Call) -> Attempt {
        let is_stream = call.arguments.get(1).is_some_and(|kind| *kind == Value::Word("SOCK_STREAM".to_owned()));
        if !is_stream {
            return Attempt::Unsupported("the engine speaks TCP alone".to_owned());
        }
        let Some(descriptor) = symbols::number(&call.result).filter(|number| *number >= 0) else {
            return Attempt::Wrong("a new descriptor".to_owned());
        };
        self.sockets.insert(descriptor, Socket::new(self.host.socket.clone()));
        Attempt::Done(descriptor)
    }

    fn bind(&mut self, descriptor: i64, call: &Call) -> Attempt {
        let port = port(call).unwrap_or(self.configuration.bind_port);
        let local = SocketAddr::new(self.configuration.local, port);
        let is_taken = self.sockets.values().any(|socket| match socket.role {
            Role::Bound(address) | Role::Listening(_, address) => address == local,
            _ => false,
        });
        if is_taken {
            return Attempt::Failed(Errno("EADDRINUSE"));
        }
        let socket = self.sockets.get_mut(&descriptor).expect("known");
        let Role::Fresh = socket.role else { return Attempt::Failed(Errno("EINVAL")) };
        socket.role = Role::Bound(local);
        self.subject = Subject::Port(local);
        Attempt::Done(0)
    }

    fn listen(&mut self, descriptor: i64, call: &Call) -> Attempt {
        let backlog = call.arguments.get(1).and_then(symbols::number).unwrap_or(1);
        let socket = self.sockets[&descriptor].clone();
        let local = match socket.role {
            Role::Bound(local) => local,
            Role::Fresh => SocketAddr::new(self.configuration.local, self.port()),
            Role::Listening(..) => return Attempt::Done(0),
            _ => return Attempt::Failed(Errno("EINVAL")),
        };
        let mut settings = socket.settings;
        self.round_buffer(&mut settings.receive_buffer, None);
        let backlog = usize::try_from(backlog).unwrap_or(0);
        match self.kernel().listen(local, backlog, &settings) {
            Ok(listener) => {
                self.sockets.get_mut(&descriptor).expect("known").role = Role::Listening(listener, local);
                self.subject = Subject::Port(local);
                Attempt::Done(0)
            }
            Err(error) => Attempt::Failed(error),
        }
    }

    fn accept(&mut self, descriptor: i64, call: &Call) -> Attempt {
        let socket = self.sockets[&descriptor].clone();
        let Role::Listening(listener, local) = socket.role else { return Attempt::Failed(Errno("EINVAL")) };
        let Some((connection, remote)) = self.kernel().accept(listener) else {
            return if socket.non_blocking { Attempt::Failed(Errno("EAGAIN")) } else { Attempt::Blocks };
        };
        let flow = self.flow(local, remote);
        let mut accepted = Socket::new(socket.settings);
        accepted.role = Role::Connected(connection);
        accepted.flow = Some(flow);
        let flags = call.arguments.get(3);
        accepted.non_blocking = flags.is_some_and(|flags| *flags == Value::Word("SOCK_NONBLOCK".to_owned()));
        self.enlarge(&mut accepted);
        let expected = symbols::number(&call.result).unwrap_or_default();
        self.sockets.insert(expected, accepted);
        Attempt::Done(expected)
    }

    fn connect(&mut self, descriptor: i64, call: &Call) -> Attempt {
        let socket = self.sockets[&descriptor].clone();
        let local = match socket.role {
            Role::Listening(..) => return Attempt::Failed(Errno("EOPNOTSUPP")),
            Role::Connected(_) => return Attempt::Failed(Errno("EISCONN")),
            Role::Connecting(connection) => return self.connecting(descriptor, connection),
            Role::Bound(local) => local,
            Role::Fresh => SocketAddr::new(self.configuration.local, self.port()),
        };
        let port = port(call).unwrap_or(self.configuration.connect_port);
        let remote = SocketAddr::new(self.configuration.remote, port);
        let flow = self.flow(local, remote);
        let mut settings = socket.settings;
        self.round_buffer(&mut settings.receive_buffer, None);
        let now = self.now;
        match self.kernel().connect(now, local, remote, &settings) {
            Ok(connection) => {
                let known = self.sockets.get_mut(&descriptor).expect("known");
                known.role = Role::Connecting(connection);
                known.flow = Some(flow);
                self.subject = Subject::Flow(flow);
                if socket.non_blocking { Attempt::Failed(Errno("EINPROGRESS")) } else { Attempt::Blocks }
            }
            Err(error) => Attempt::Failed(error),
        }
    }

    fn connecting(&mut self, descriptor: i64, connection: super::kernel::Connection) -> Attempt {
        let non_blocking = self.sockets[&descriptor].non_blocking;
        match self.kernel().connected(connection) {
            None if non_blocking => Attempt::Failed(Errno("EALREADY")),
            None => Attempt::Blocks,
            Some(Ok(())) => {
                let mut socket = self.sockets[&descriptor].clone();
                socket.role = Role::Connected(connection);
                self.sockets.insert(descriptor, socket);
                Attempt::Done(0)
            }
            Some(Err(error)) => {
                self.kernel().take_error(connection);
                Attempt::Failed(error)
            }
        }
    }

    fn close(&mut self, descriptor: i64) -> Attempt {
        let socket = self.sockets.remove(&descriptor).expect("known");
        let now = self.now;
        match socket.role {
            Role::Fresh | Role::Bound(_) => {}
            Role::Listening(listener, _) => self.kernel().unlisten(now, listener),
            Role::Connecting(connection) | Role::Connected(connection) => {
                if socket.settings.linger.is_some_and(|linger| linger.is_zero()) {
                    self.kernel().abort(now, connection);
                } else {
                    self.kernel().release(now, connection);
                }
            }
        }
        Attempt::Done(0)
    }

    fn shutdown(&mut self, descriptor: i64, call: &Call) -> Attempt {
        let how = call.arguments.get(1).and_then(symbols::number).unwrap_or_default();
        let Some(connection) = self.sockets[&descriptor].connection() else {
            return Attempt::Failed(Errno("ENOTCONN"));
        };
        let now = self.now;
        let kernel = self.kernel();
        if how != 1 {
            kernel.shutdown_read(now, connection);
        }
        if how == 0 { Attempt::Done(0) } else { kernel.shutdown_write(now, connection).into() }
    }

    /// The receive buffer of a connection as in FreeBSD's scripts: whole segments.
    pub(crate) fn round_buffer(&mut self, buffer: &mut usize, mss: Option<usize>) {
        let default = self.configuration.mtu.saturating_sub(if self.configuration.local.is_ipv4() { 40 } else { 60 });
        let mss = mss.unwrap_or(default).max(1);
        if self.tolerances.is_foreign()
            && !buffer.is_multiple_of(mss)
            && self.tolerances.allow(Tolerance::RoundedBuffer)
        {
            *buffer = buffer.next_multiple_of(mss).min(self.host.receive_limit);
        }
    }

    /// Enlarges a connection's receive buffer as FreeBSD does once the peer's MSS is known.
    fn enlarge(&mut self, socket: &mut Socket) {
        let Some(connection) = socket.connection() else { return };
        let mss = self.kernel().facts(connection).send_mss;
        let mut settings = socket.settings.clone();
        self.round_buffer(&mut settings.receive_buffer, Some(mss));
        if settings.receive_buffer != socket.settings.receive_buffer {
            let now = self.now;
            // It is larger than before, so it is not refused.
            let _taken = self.kernel().configure(now, connection, &settings);
        }
    }
}

/// The port in a socket address, if the script specifies one.
fn port(call: &Call) -> Option<u16> {
    let port = call.arguments.get(1)?.field("sin_port").or_else(|| call.arguments.get(1)?.field("sin6_port"))?;
    symbols::number(port).and_then(|port| u16::try_from(port).ok())
}

fn expectation(call: &Call) -> String {
    let result = symbols::number(&call.result).map_or_else(|| "...".to_owned(), |number| number.to_string());
    match &call.error {
        Some(error) => format!("{result} {error}"),
        None => result,
    }
}
