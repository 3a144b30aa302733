//! The thread that carries frames from one TAP device to another when they are due.

use std::io;
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::process::{self, Command, Stdio};
use std::thread::{self, JoinHandle};
use std::time::Instant;

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, ppoll};
use nix::sys::time::TimeSpec;
use nix::unistd::gettid;
use tun_rs::SyncDevice;

use super::capture::Capture;
use super::way::{Conditions, Counts, Flows, Way};

/// The size of an Ethernet frame at an MTU of 1500, with room for a VLAN tag.
const FRAME: usize = 1518;

/// How many frames are read from one device before the other device is read.
const TURN: usize = 32;

/// The priorities of processes and of bridges; see [`be_on_time`].
const ENDS: u32 = 1;
const BRIDGE: u32 = ENDS + 1;

/// Gives this process, and the processes that it starts from now on, priority over all other work of the machine.
///
/// The kernel's TCP runs in the bridge's thread, which delivers the frames and has to be on time. Without the same
/// priority, our stack would wait for other processes when the kernel's does not.
///
/// # Errors
/// Without `chrt` or the privileges: then other work on the machine disturbs the figures, ours above all.
pub fn be_on_time() -> io::Result<()> {
    round_robin(ENDS, &["--all-tasks"], process::id())
}

fn round_robin(priority: u32, options: &[&str], task: u32) -> io::Result<()> {
    let (priority, task) = (priority.to_string(), task.to_string());
    let mut command = Command::new("chrt");
    command.arg("--rr").args(options).args(["--pid", &priority, &task]);
    let output = command.stdin(Stdio::null()).output().map_err(|error| io::Error::other(format!("chrt: {error}")))?;
    if output.status.success() {
        return Ok(());
    }
    Err(io::Error::other(String::from_utf8_lossy(&output.stderr).trim().to_owned()))
}

/// A running bridge. It ends when this is dropped.
#[derive(Debug)]
pub struct Bridge {
    /// When this end of the pair is closed, the thread ends.
    running: Option<UnixStream>,
    thread: Option<JoinHandle<io::Result<[Counts; 2]>>>,
}

impl Bridge {
    /// Joins two devices by a link with these conditions.
    ///
    /// # Errors
    /// If the devices cannot be set up, or the thread cannot be started.
    pub fn start(
        devices: [SyncDevice; 2],
        conditions: Conditions,
        seed: u64,
        capture: Option<Capture>,
    ) -> io::Result<Self> {
        let (running, stop) = UnixStream::pair()?;
        for device in &devices {
            device.set_nonblocking(true)?;
        }
        let ways = [0, 1].map(|direction| Way::new(conditions, 2 * seed + direction));
        let mut work = Work { devices, ways, flows: Flows::default(), capture, stop };
        let thread = thread::Builder::new().name("bridge".into()).spawn(move || {
            // If this is not permitted, `be_on_time` has already reported it.
            let _ = round_robin(BRIDGE, &[], gettid().as_raw().unsigned_abs());
            work.run()?;
            Ok(work.ways.map(|way| way.counts()))
        })?;
        Ok(Self { running: Some(running), thread: Some(thread) })
    }

    /// Ends the link; returns the counts of its frames, beginning with those from the first device.
    ///
    /// # Errors
    /// If the bridge had an error.
    pub fn finish(mut self) -> io::Result<[Counts; 2]> {
        self.running = None;
        match self.thread.take().map(JoinHandle::join) {
            Some(Ok(counts)) => counts,
            Some(Err(_)) | None => Err(io::Error::other("the bridge panicked")),
        }
    }
}

impl Drop for Bridge {
    fn drop(&mut self) {
        self.running = None;
        if let Some(thread) = self.thread.take() {
            // Nobody needs the result any more.
            let _ = thread.join();
        }
    }
}

struct Work {
    devices: [SyncDevice; 2],
    ways: [Way; 2],
    flows: Flows,
    capture: Option<Capture>,
    stop: UnixStream,
}

impl Work {
    fn run(&mut self) -> io::Result<()> {
        let mut buffer = [0; FRAME];
        loop {
            let mut more = false;
            for index in [0, 1] {
                self.deliver(index)?;
                more |= self.read(index, &mut buffer)?;
            }
            if !more && self.wait()? {
                return self.capture.take().map_or(Ok(()), Capture::finish);
            }
        }
    }

    /// Delivers the frames of one direction that are due.
    fn deliver(&mut self, index: usize) -> io::Result<()> {
        while let Some(frame) = self.ways[index].take(Instant::now()) {
            if let Some(capture) = self.capture.as_mut().filter(|_| index == 1) {
                capture.record(&frame)?;
            }
            self.devices[1 - index].send(&frame)?;
        }
        Ok(())
    }

    /// Reads frames from one device; returns whether it may have more.
    fn read(&mut self, index: usize, buffer: &mut [u8]) -> io::Result<bool> {
        for _ in 0..TURN {
            let length = match self.devices[index].recv(buffer) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(false),
                result => result?,
            };
            let frame = &buffer[..length];
            if let Some(capture) = self.capture.as_mut().filter(|_| index == 0) {
                capture.record(frame)?;
            }
            let flow = self.flows.number(frame);
            self.ways[index].offer(Instant::now(), frame, flow);
        }
        Ok(true)
    }

    /// Sleeps until a frame arrives or is due; returns whether the link is to end.
    fn wait(&self) -> io::Result<bool> {
        let next = self.ways.iter().filter_map(Way::next_due).min();
        let time = next.map(|next| TimeSpec::from_duration(next.saturating_duration_since(Instant::now())));
        let [a, b] = &self.devices;
        let [a, b] = [a.as_fd(), b.as_fd()].map(|device| PollFd::new(device, PollFlags::POLLIN));
        let mut polled = [a, b, PollFd::new(self.stop.as_fd(), PollFlags::POLLIN)];
        match ppoll(&mut polled, time, None) {
            Ok(_) => Ok(polled[2].any().unwrap_or(true)),
            Err(Errno::EINTR) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }
}
