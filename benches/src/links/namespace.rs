//! Network namespaces without a name.

use std::fs::{self, File};
use std::io::{self, Write};
use std::os::fd::AsRawFd as _;
use std::process::{Child, Command, Stdio};
use std::thread;

use nix::sched::{CloneFlags, setns, unshare};

/// A network namespace. It lasts as long as this value, what was opened in it, and the processes in it.
#[derive(Debug)]
pub struct Namespace(File);

impl Namespace {
    /// Makes a namespace in which the kernel's TCP has Linux's default buffers and no cached metrics of earlier
    /// connections.
    ///
    /// The congestion control is set for each socket, because only some algorithms may be a namespace's default.
    ///
    /// # Errors
    /// Without the privileges for it.
    pub fn new() -> io::Result<Self> {
        let namespace = on_a_thread(|| {
            unshare(CloneFlags::CLONE_NEWNET)?;
            File::open("/proc/thread-self/ns/net").map(Self)
        })?;
        namespace.run(|| {
            for (name, value) in [
                ("tcp_no_metrics_save", "1"),
                // The defaults of a machine with enough memory, whatever this machine is set to.
                ("tcp_rmem", "4096 131072 33554432"),
                ("tcp_wmem", "4096 16384 4194304"),
            ] {
                let path = format!("/proc/sys/net/ipv4/{name}");
                let told = |error| io::Error::other(format!("{path}: {error}"));
                fs::write(&path, value).map_err(told)?;
                let read = fs::read_to_string(&path).map_err(told)?;
                if read.split_whitespace().ne(value.split(' ')) {
                    return Err(io::Error::other(format!("{path} is {}, not {value}", read.trim())));
                }
            }
            // IPv6 is disabled so that only the measured traffic is sent. A kernel without IPv6 has no such file.
            for interfaces in ["all", "default"] {
                match fs::write(format!("/proc/sys/net/ipv6/conf/{interfaces}/disable_ipv6"), "1") {
                    Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                    _ => {}
                }
            }
            Ok(())
        })?;
        Ok(namespace)
    }

    /// Runs `work` in the namespace: it opens files, makes devices and starts processes there.
    ///
    /// # Errors
    /// Those of `work`, and an error if the namespace cannot be entered.
    pub fn run<T: Send>(&self, work: impl FnOnce() -> io::Result<T> + Send) -> io::Result<T> {
        on_a_thread(|| {
            setns(&self.0, CloneFlags::CLONE_NEWNET)?;
            work()
        })
    }

    /// Starts a command in the namespace, without input. Its output is kept.
    ///
    /// # Errors
    /// If it cannot be started.
    pub fn start(&self, mut command: Command) -> io::Result<Child> {
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        self.run(move || command.spawn())
    }

    /// The path by which other processes enter the namespace while this value lives.
    #[must_use]
    pub fn path(&self) -> String {
        format!("/proc/{}/fd/{}", std::process::id(), self.0.as_raw_fd())
    }

    /// Runs commands of `ip` or `tc`, one per line.
    ///
    /// # Errors
    /// If a command fails, with its output.
    pub fn batch(&self, program: &str, commands: &str) -> io::Result<()> {
        self.run(|| {
            let mut child = Command::new(program)
                .args(["-batch", "-"])
                .stdin(Stdio::piped())
                .stdout(Stdio::null())
                .stderr(Stdio::piped())
                .spawn()
                .map_err(|error| io::Error::other(format!("`{program}` of iproute2: {error}")))?;
            // Taken out of the child, so that it is closed when all is written.
            if let Some(mut input) = child.stdin.take() {
                input.write_all(commands.as_bytes())?;
            }
            let output = child.wait_with_output()?;
            if output.status.success() {
                return Ok(());
            }
            Err(io::Error::other(format!("`{program}`: {}", String::from_utf8_lossy(&output.stderr).trim())))
        })
    }
}

/// Runs `work` on a new thread, which ends afterwards: entering a namespace changes that of the calling thread.
fn on_a_thread<T: Send>(work: impl FnOnce() -> io::Result<T> + Send) -> io::Result<T> {
    thread::scope(|scope| scope.spawn(work).join().map_err(|_| io::Error::other("it panicked"))?)
}
