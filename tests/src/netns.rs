//! The kernel as a peer: network namespaces with a TAP interface, and programs that run in them.
//!
//! A [`Namespace`] belongs to one test. The stack under test has one end of the TAP interface, and the namespace's
//! kernel has the other. Both are removed when the value is dropped, whether the test succeeded or not.

use std::net::IpAddr;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use std::{env, fs, process};

use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::process::{Child, ChildStdout};
use xila_network_host::device::tap::Tap;
use xila_network_host::platform::tokio::platform;
use xila_network_host::{InterfaceConfig, Manager};

/// The kernel's IPv4 address in a namespace.
pub const KERNEL_V4: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 1));
/// The stack's IPv4 address in a namespace.
pub const STACK_V4: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 2));
/// The kernel's IPv6 address in a namespace.
pub const KERNEL_V6: IpAddr = IpAddr::V6(std::net::Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, 1));
/// The stack's IPv6 address in a namespace.
pub const STACK_V6: IpAddr = IpAddr::V6(std::net::Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, 2));

/// The IPv4 address of the host [behind](Namespace::behind) a namespace.
pub const FAR_V4: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(198, 51, 100, 2));
/// The IPv6 address of the host [behind](Namespace::behind) a namespace.
pub const FAR_V6: IpAddr = IpAddr::V6(std::net::Ipv6Addr::new(0xfd01, 0, 0, 0, 0, 0, 0, 2));

/// How long a test with a real peer may take, even on a busy machine.
const PATIENCE: Duration = Duration::from_secs(300);

/// A network namespace of the kernel, and the name of the TAP interface that leads into it.
#[derive(Debug)]
pub struct Namespace {
    name: String,
    interface: String,
}

impl Namespace {
    /// A new namespace, for a test that runs these programs in it. `None`, with the reason on standard output, if this
    /// machine cannot have one.
    ///
    /// # Panics
    /// If `CI` is set and a program is missing, because no test may be skipped there. Missing privileges or a missing
    /// `/dev/net/tun` cannot be fixed by installing anything, so they skip the test in CI too.
    #[must_use]
    pub fn new(programs: &[&str]) -> Option<Self> {
        for program in ["ip"].iter().chain(programs) {
            if !is_installed(program) {
                assert!(env::var_os("CI").is_none(), "`{program}` is missing, and CI counts on this test");
                println!("skipped: `{program}` is missing");
                return None;
            }
        }
        if let Err(error) = fs::File::options().read(true).write(true).open("/dev/net/tun") {
            println!("skipped: this machine gives no TAP interfaces: /dev/net/tun: {error}");
            return None;
        }
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let namespace = Self {
            name: format!("xila-test-{}-{number}", process::id()),
            interface: format!("xt{}n{number}", process::id()),
        };
        let output = run(Command::new("ip").args(["netns", "add", &namespace.name]));
        if !output.status.success() {
            println!("skipped: this machine gives no network namespaces: {}", text(&output.stderr));
            return None;
        }
        Some(namespace)
    }

    /// Makes the TAP interface, mounts its near end as `tap0` with [`STACK_V4`] and [`STACK_V6`], and moves the far end
    /// into the namespace with [`KERNEL_V4`] and [`KERNEL_V6`]. Needs a tokio runtime.
    ///
    /// # Panics
    /// If any of that fails.
    #[must_use]
    pub fn mount(&self, mtu: usize) -> Manager {
        let addresses = [(STACK_V4, 24), (STACK_V6, 64)]
            .map(|(address, prefix)| format!("{address}/{prefix}").parse().unwrap_or_else(|error| panic!("{error}")));
        self.mount_with(mtu, InterfaceConfig { addresses: addresses.into(), ..InterfaceConfig::default() })
    }

    /// As [`mount`](Self::mount), with the given configuration for `tap0`.
    ///
    /// # Panics
    /// If any of that fails.
    #[must_use]
    pub fn mount_with(&self, mtu: usize, config: InterfaceConfig) -> Manager {
        let interface = &self.interface;
        let tap = self.tap(interface, mtu);
        self.ip(&format!("address add {KERNEL_V4}/24 dev {interface}"));
        self.ip(&format!("address add {KERNEL_V6}/64 dev {interface} nodad"));
        self.ip(&format!("link set dev {interface} mtu {mtu} up"));
        self.ip("link set dev lo up");
        let manager = Manager::new(platform());
        manager.mount_interface("tap0", tap, config).unwrap_or_else(|error| panic!("{error}"));
        manager
    }

    /// Makes a TAP interface whose far end is in the namespace, down and without addresses. Needs a tokio runtime.
    ///
    /// # Panics
    /// If that fails.
    #[must_use]
    pub fn tap(&self, interface: &str, mtu: usize) -> Tap {
        expect(Command::new("ip").args(["tuntap", "add", "dev", interface, "mode", "tap"]));
        let tap = Tap::open(interface, Some(mtu)).unwrap_or_else(|error| panic!("{error}"));
        // The open near end survives the move of the interface.
        expect(Command::new("ip").args(["link", "set", "dev", interface, "netns", &self.name]));
        self.ip(&format!("link set dev {interface} addrgenmode none"));
        tap
    }

    /// Makes a namespace behind this one (needs `ping` and `sh`). This namespace becomes a router between the TAP
    /// interface and the far namespace, which has [`FAR_V4`] and [`FAR_V6`]. The router forwards no packets larger than
    /// `mtu` to the far end, which does not know this MTU.
    ///
    /// # Panics
    /// If any of that fails.
    #[must_use]
    pub fn behind(&self, mtu: usize) -> Self {
        let far = Self { name: format!("{}-far", self.name), interface: format!("{}v", self.interface) };
        expect(Command::new("ip").args(["netns", "add", &far.name]));
        let interface = &far.interface;
        self.ip(&format!("link add {interface} type veth peer name {interface} netns {}", far.name));
        for (namespace, number) in [(self, 1), (&far, 2)] {
            namespace.ip(&format!("link set dev {interface} addrgenmode none"));
            namespace.ip(&format!("address add 198.51.100.{number}/24 dev {interface}"));
            namespace.ip(&format!("address add fd01::{number}/64 dev {interface} nodad"));
            namespace.ip(&format!("link set dev {interface} up"));
        }
        self.ip(&format!("route add 198.51.100.2/32 dev {interface} mtu lock {mtu}"));
        self.ip(&format!("route add fd01::2/128 dev {interface} mtu lock {mtu}"));
        far.ip("link set dev lo up");
        far.ip("route add default via 198.51.100.1");
        far.ip("route add default via fd01::1");
        self.forward();
        // The kernel needs a while to notice that the two ends are joined, and does not use IPv6 before.
        let mut hello = Command::new("ip");
        hello.args(["netns", "exec", &far.name, "ping", "-n", "-c", "1", "-W", "1", "fd01::1"]);
        let heard = (0..30).any(|_| run(&mut hello).status.success());
        assert!(heard, "{hello:?}: no answer");
        far
    }

    /// Runs a command of iproute2 in the namespace.
    ///
    /// # Panics
    /// If the command fails.
    pub fn ip(&self, arguments: &str) {
        expect(Command::new("ip").args(["-n", &self.name]).args(arguments.split(' ')));
    }

    /// Sets the file of this path under `/proc/sys/net` (needs `sh`).
    ///
    /// # Panics
    /// If that fails.
    pub fn sysctl(&self, path: &str, value: &str) {
        let script = format!("echo {value} > /proc/sys/net/{path}");
        expect(Command::new("ip").args(["netns", "exec", &self.name, "sh", "-c", &script]));
    }

    /// Makes the namespace a router (needs `sh`).
    ///
    /// # Panics
    /// If that fails.
    pub fn forward(&self) {
        self.sysctl("ipv4/ip_forward", "1");
        self.sysctl("ipv6/conf/all/forwarding", "1");
    }

    /// Runs a program in the namespace until it ends, whatever its exit status; returns what it printed.
    ///
    /// # Panics
    /// If the program cannot be started.
    #[must_use]
    pub fn output(&self, program: &str, arguments: &[&str]) -> String {
        text(&run(Command::new("ip").args(["netns", "exec", &self.name, program]).args(arguments)).stdout)
    }

    /// The namespace's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The name of the TAP interface.
    #[must_use]
    pub fn interface(&self) -> &str {
        &self.interface
    }

    /// A command that runs a program in the namespace, with pipes for its output, and kills the program when dropped.
    #[must_use]
    pub fn command(&self, program: &str) -> tokio::process::Command {
        let mut command = tokio::process::Command::new("ip");
        command.args(["netns", "exec", &self.name, program]);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
        command
    }

    /// Starts a program in the namespace. It is killed when its [`Peer`] is dropped.
    ///
    /// # Panics
    /// If the program cannot be started.
    #[must_use]
    pub fn start(&self, program: &str, arguments: &[&str]) -> Peer {
        let mut child = self
            .command(program)
            .args(arguments)
            .stderr(Stdio::inherit())
            .spawn()
            .unwrap_or_else(|error| panic!("{program}: {error}"));
        let stdout = child.stdout.take().unwrap_or_else(|| panic!("{program}: its output is a pipe"));
        Peer { name: program.to_owned(), child, lines: BufReader::new(stdout).lines() }
    }

    /// Starts a Python script in the namespace, preceded by `from socket import *` and `import sys, hashlib`.
    ///
    /// # Panics
    /// If the program cannot be started.
    #[must_use]
    pub fn python(&self, script: &str, arguments: &[&str]) -> Peer {
        let script = format!("from socket import *\nimport sys, hashlib\n{script}");
        let mut all = vec!["-u", "-c", &script];
        all.extend(arguments);
        self.start("python3", &all)
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        // Each of the two may never have been made, or may already be gone with the other.
        let _ = Command::new("ip").args(["netns", "delete", &self.name]).output();
        let _ = Command::new("ip").args(["link", "delete", "dev", &self.interface]).output();
    }
}

/// A program that runs in a namespace.
#[derive(Debug)]
pub struct Peer {
    name: String,
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Peer {
    /// Waits for the next line that the program prints.
    ///
    /// # Panics
    /// If the program ends instead.
    pub async fn line(&mut self) -> String {
        let line = self.lines.next_line().await.unwrap_or_else(|error| panic!("{}: {error}", self.name));
        line.unwrap_or_else(|| panic!("{} ended without a further line", self.name))
    }

    /// Sends the program a signal, by its name without `SIG`.
    ///
    /// # Panics
    /// If that fails.
    pub fn signal(&self, name: &str) {
        let number = self.child.id().unwrap_or_else(|| panic!("{} has ended", self.name));
        expect(Command::new("sh").args(["-c", &format!("kill -{name} {number}")]));
    }

    /// Kills the program, and waits until it has ended.
    ///
    /// # Panics
    /// If that fails.
    pub async fn kill(mut self) {
        self.child.kill().await.unwrap_or_else(|error| panic!("{}: {error}", self.name));
    }

    /// Waits until the program ends successfully; returns what it printed since the last [`line`](Self::line).
    ///
    /// # Panics
    /// If the program fails.
    pub async fn succeed(mut self) -> String {
        let mut rest = String::new();
        while let Some(line) = self.lines.next_line().await.unwrap_or_else(|error| panic!("{}: {error}", self.name)) {
            rest += &line;
            rest.push('\n');
        }
        let status = self.child.wait().await.unwrap_or_else(|error| panic!("{}: {error}", self.name));
        assert!(status.success(), "{}: {status}\n{rest}", self.name);
        rest
    }
}

/// Runs a test with real peers, on a runtime with two threads.
///
/// # Panics
/// If the test takes too long.
pub fn block_on<T>(test: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    let runtime = runtime.unwrap_or_else(|error| panic!("{error}"));
    runtime.block_on(async { tokio::time::timeout(PATIENCE, test).await.unwrap_or_else(|_| panic!("still not done")) })
}

/// A temporary file, which is deleted when this value is dropped.
#[derive(Debug)]
pub struct TemporaryFile(PathBuf);

impl TemporaryFile {
    /// Writes `bytes` to a new file.
    ///
    /// # Panics
    /// If that fails.
    #[must_use]
    pub fn new(bytes: &[u8]) -> Self {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let path = env::temp_dir().join(format!("xila-test-{}-{number}", process::id()));
        fs::write(&path, bytes).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        Self(path)
    }

    /// The path of the file.
    ///
    /// # Panics
    /// If the path of the folder for temporary files is not text.
    #[must_use]
    pub fn path(&self) -> &str {
        self.0.to_str().unwrap_or_else(|| panic!("{}: not text", self.0.display()))
    }
}

impl Drop for TemporaryFile {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

/// Whether the search path has a program.
#[must_use]
pub fn is_installed(program: &str) -> bool {
    env::split_paths(&env::var_os("PATH").unwrap_or_default()).any(|folder| folder.join(program).is_file())
}

fn run(command: &mut Command) -> Output {
    command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"))
}

fn expect(command: &mut Command) {
    let output = run(command);
    assert!(output.status.success(), "{command:?}: {}", text(&output.stderr));
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).trim().to_owned()
}
