//! One end of a connection, its owner, and what the owner must observe.

use core::net::SocketAddr;

use xila_network_engine::tcp::{Cause, ConnectionId, ReadError, Tcp, WriteError};
use xila_network_engine::time::Instant;

use super::plan::{Script, Step};

/// The byte at a position of a stream.
pub(crate) const fn pattern(stream: u64, at: u64) -> u8 {
    let mixed = (at ^ stream).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    (mixed >> 56) as u8
}

/// How reading ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ending {
    /// The peer's FIN.
    Clean,
    Failed(Cause),
    /// The owner itself stopped reading.
    Own,
}

/// One task of an owner.
#[derive(Debug, Default)]
pub(crate) struct Task {
    /// Whether it waits for an event.
    waits: bool,
    /// Until when it pauses.
    pub(crate) rests: Option<Instant>,
    pub(crate) over: bool,
}

#[derive(Debug)]
pub(crate) struct End {
    pub(crate) host: usize,
    pub(crate) id: ConnectionId,
    pub(crate) local: SocketAddr,
    pub(crate) remote: SocketAddr,
    script: Script,
    pub(crate) writer: Task,
    pub(crate) reader: Task,
    /// The numbers of this end's stream and of the peer's, which determine their bytes.
    streams: [u64; 2],
    pub(crate) connected: bool,
    pub(crate) written: u64,
    pub(crate) read: u64,
    pub(crate) finished: bool,
    pub(crate) ending: Option<Ending>,
    pub(crate) failed: Option<Cause>,
    pub(crate) released: bool,
    pub(crate) progress: Instant,
    buffer: Scratch,
}

/// A buffer for data that is written or read. Its content is not printed.
#[derive(Default)]
struct Scratch(Vec<u8>);

impl core::fmt::Debug for Scratch {
    fn fmt(&self, formatter: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        formatter.write_str("..")
    }
}

/// Whether a task can continue.
enum Turn {
    Next,
    Same,
    Wait,
}

impl End {
    pub(crate) fn new(
        host: usize,
        id: ConnectionId,
        ends: (SocketAddr, SocketAddr),
        script: Script,
        streams: [u64; 2],
        now: Instant,
    ) -> Self {
        Self {
            host,
            id,
            local: ends.0,
            remote: ends.1,
            script,
            writer: Task::default(),
            reader: Task::default(),
            streams,
            connected: false,
            written: 0,
            read: 0,
            finished: false,
            ending: None,
            failed: None,
            released: false,
            progress: now,
            buffer: Scratch::default(),
        }
    }

    pub(crate) const fn on_readable(&mut self) {
        self.reader.waits = false;
    }

    pub(crate) const fn on_writable(&mut self) {
        self.writer.waits = false;
    }

    /// When one of the owner's tasks continues without an event.
    pub(crate) fn next(&self) -> Option<Instant> {
        if self.released { None } else { [self.writer.rests, self.reader.rests].into_iter().flatten().min() }
    }

    /// Lets the owner do what it can. Returns whether it did something.
    pub(crate) fn act(&mut self, tcp: &mut Tcp, now: Instant) -> bool {
        if self.released {
            return false;
        }
        if !self.connected {
            // The first event that the owner of a connection gets says that it is writable.
            if self.writer.waits {
                return false;
            }
            match tcp.is_connected(self.id) {
                None => {
                    self.writer.waits = true;
                    return false;
                }
                Some(Ok(())) => self.connected = true,
                Some(Err(cause)) => {
                    self.fail(cause);
                    self.release(tcp, now);
                    return true;
                }
            }
            self.progress = now;
        }
        let acted = self.act_as(true, tcp, now) | self.act_as(false, tcp, now);
        if !self.released && self.writer.over && self.reader.over {
            self.release(tcp, now);
        }
        acted
    }

    fn act_as(&mut self, writing: bool, tcp: &mut Tcp, now: Instant) -> bool {
        let mut acted = false;
        loop {
            let task = if writing { &mut self.writer } else { &mut self.reader };
            if self.released || task.over || task.waits || task.rests.is_some_and(|until| now < until) {
                return acted;
            }
            task.rests = None;
            let steps = if writing { &mut self.script.writer } else { &mut self.script.reader };
            let Some(step) = steps.front().copied() else {
                task.over = true;
                return true;
            };
            match self.step(&step, writing, tcp, now) {
                Turn::Next => {
                    let steps = if writing { &mut self.script.writer } else { &mut self.script.reader };
                    steps.pop_front();
                    (acted, self.progress) = (true, now);
                }
                Turn::Same => (acted, self.progress) = (true, now),
                Turn::Wait => {
                    let task = if writing { &mut self.writer } else { &mut self.reader };
                    task.waits = true;
                    return acted;
                }
            }
        }
    }

    fn step(&mut self, step: &Step, writing: bool, tcp: &mut Tcp, now: Instant) -> Turn {
        let id = self.id;
        match *step {
            Step::Write(count, piece) => return self.write(count, piece, tcp, now),
            Step::Read(count, piece) => return self.read(Some(count), piece, tcp, now),
            Step::ReadToEnd(piece) => return self.read(None, piece, tcp, now),
            Step::Peek(count) => return self.peek(count, tcp, now),
            Step::Pause(time) => {
                let task = if writing { &mut self.writer } else { &mut self.reader };
                task.rests = Some(now + time);
            }
            Step::ShutdownWrite => {
                self.finished = true;
                if let Err(cause) = tcp.shutdown_write(id, now) {
                    self.fail(cause);
                }
            }
            Step::ShutdownRead => {
                tcp.shutdown_read(id, now);
                self.ending.get_or_insert(Ending::Own);
            }
            Step::Flush(finished) => match tcp.is_flushed(id, finished) {
                Ok(true) => {}
                Ok(false) => return Turn::Wait,
                Err(cause) => self.fail(cause),
            },
            Step::ReceiveBuffer(bytes) => {
                tcp.configure(id, |options| options.receive_buffer = bytes, now).expect("it makes sense");
            }
            Step::SendBuffer(bytes) => {
                tcp.configure(id, |options| options.send_buffer = bytes, now).expect("it makes sense");
                // There may be room now, and the owner has caused it itself, so no event comes.
            }
            Step::NoDelay(no_delay) => {
                tcp.configure(id, |options| options.no_delay = no_delay, now).expect("it makes sense");
            }
            Step::Abort => {
                tcp.abort(id, Cause::Aborted, now);
                self.ending.get_or_insert(Ending::Own);
                self.release(tcp, now);
            }
            Step::Release => {
                self.finished = true;
                self.ending.get_or_insert(Ending::Own);
                self.release(tcp, now);
            }
        }
        Turn::Next
    }

    fn write(&mut self, count: usize, piece: usize, tcp: &mut Tcp, now: Instant) -> Turn {
        // Writes a little more than there is room for, but does not repeat everything again and again.
        let length = count.min(piece).min(tcp.room(self.id).unwrap_or(0) + 100);
        let (stream, written) = (self.streams[0], self.written);
        self.buffer.0.clear();
        self.buffer.0.extend((0..length as u64).map(|at| pattern(stream, written + at)));
        match tcp.write(self.id, &self.buffer.0, now) {
            Ok(taken) => {
                assert!(taken > 0 && taken <= length);
                self.written += taken as u64;
                if taken == count {
                    return Turn::Next;
                }
                self.script.writer[0] = Step::Write(count - taken, piece);
                Turn::Same
            }
            Err(WriteError::WouldBlock) => Turn::Wait,
            Err(WriteError::Finished) => {
                assert!(self.finished, "nobody has ended this half");
                Turn::Next
            }
            Err(WriteError::Ended(cause)) => {
                self.fail(cause);
                Turn::Next
            }
            Err(WriteError::Unknown) => panic!("the owner still has it"),
        }
    }

    fn read(&mut self, count: Option<usize>, piece: usize, tcp: &mut Tcp, now: Instant) -> Turn {
        self.buffer.0.clear();
        self.buffer.0.resize(count.map_or(piece, |count| count.min(piece)), 0xaa);
        match tcp.read(self.id, &mut self.buffer.0, now) {
            Ok(0) => {
                self.ending.get_or_insert(Ending::Clean);
                Turn::Next
            }
            Ok(taken) => {
                self.check(taken);
                self.read += taken as u64;
                match count {
                    Some(count) if taken == count => return Turn::Next,
                    Some(count) => self.script.reader[0] = Step::Read(count - taken, piece),
                    None => {}
                }
                Turn::Same
            }
            Err(ReadError::WouldBlock) => Turn::Wait,
            Err(ReadError::Ended(cause)) => {
                self.ending.get_or_insert(Ending::Failed(cause));
                self.fail(cause);
                Turn::Next
            }
            Err(ReadError::Unknown) => panic!("the owner still has it"),
        }
    }

    fn peek(&mut self, count: usize, tcp: &mut Tcp, now: Instant) -> Turn {
        self.buffer.0.clear();
        self.buffer.0.resize(count, 0xaa);
        match tcp.peek(self.id, &mut self.buffer.0, now) {
            Ok(taken) => self.check(taken),
            Err(ReadError::WouldBlock) => return Turn::Wait,
            Err(ReadError::Ended(_) | ReadError::Unknown) => {}
        }
        Turn::Next
    }

    fn check(&self, taken: usize) {
        let stream = self.streams[1];
        for (byte, at) in self.buffer.0[..taken].iter().zip(self.read..) {
            assert_eq!(*byte, pattern(stream, at), "byte {at} of what {} has sent", self.remote);
        }
    }

    fn fail(&mut self, cause: Cause) {
        self.failed.get_or_insert(cause);
    }

    pub(crate) fn release(&mut self, tcp: &mut Tcp, now: Instant) {
        self.released = true;
        self.progress = now;
        tcp.release(self.id, now);
    }
}
