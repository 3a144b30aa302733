//! The kernel as a peer: network namespaces with a TAP interface, and programs that run in them.
//!
//! A [`Namespace`] is one test's own. The stack under test has one end of the TAP interface, the namespace's kernel the
//! other. Both are gone when the value is dropped, whatever became of the test.

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

/// The kernel's address, and the stack's, in a namespace.
pub const KERNEL_V4: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 1));
/// See [`KERNEL_V4`].
pub const STACK_V4: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 2));
/// See [`KERNEL_V4`].
pub const KERNEL_V6: IpAddr = IpAddr::V6(std::net::Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, 1));
/// See [`KERNEL_V4`].
pub const STACK_V6: IpAddr = IpAddr::V6(std::net::Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, 2));

/// The address of what is [behind](Namespace::behind) a namespace.
pub const FAR_V4: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(198, 51, 100, 2));
/// See [`FAR_V4`].
pub const FAR_V6: IpAddr = IpAddr::V6(std::net::Ipv6Addr::new(0xfd01, 0, 0, 0, 0, 0, 0, 2));

/// How long anything with a real peer may take, on a busy machine too.
const PATIENCE: Duration = Duration::from_secs(120);

/// A network namespace of the kernel, and the name of the TAP interface that leads into it.
#[derive(Debug)]
pub struct Namespace {
    name: String,
    interface: String,
}

impl Namespace {
    /// A fresh namespace, for a test that runs these programs in it. `None`, with the reason on standard output, where
    /// this machine cannot have one.
    ///
    /// # Panics
    /// With `CI` set, where a program is missing: there the tests are counted on. What the machine forbids (no
    /// privileges, no `/dev/net/tun`) cannot be helped by installing anything, so that is a skipped test there too.
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

    /// Makes the TAP interface, mounts its near end as `tap0` with [`STACK_V4`] and [`STACK_V6`], and gives the far end
    /// to the namespace with [`KERNEL_V4`] and [`KERNEL_V6`]. Needs a tokio runtime.
    ///
    /// # Panics
    /// If any of that fails.
    #[must_use]
    pub fn mount(&self, mtu: usize) -> Manager {
        let addresses = [(STACK_V4, 24), (STACK_V6, 64)]
            .map(|(address, prefix)| format!("{address}/{prefix}").parse().unwrap_or_else(|error| panic!("{error}")));
        self.mount_with(mtu, InterfaceConfig { addresses: addresses.into(), ..InterfaceConfig::default() })
    }

    /// As [`mount`](Self::mount), with a configuration of the test's own for `tap0`.
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
        // The open end survives the move.
        expect(Command::new("ip").args(["link", "set", "dev", interface, "netns", &self.name]));
        self.ip(&format!("link set dev {interface} addrgenmode none"));
        tap
    }

    /// A namespace behind this one (`ping` and `sh` are needed), which becomes a router between the TAP interface and
    /// it. The far end has [`FAR_V4`] and [`FAR_V6`]. The router forwards no larger packets there than `mtu`, of which
    /// the far end knows nothing.
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
        // The kernel takes a while to notice that the two ends are joined, and speaks no IPv6 before.
        let mut hello = Command::new("ip");
        hello.args(["netns", "exec", &far.name, "ping", "-n", "-c", "1", "-W", "1", "fd01::1"]);
        let heard = (0..30).any(|_| run(&mut hello).status.success());
        assert!(heard, "{hello:?}: no answer");
        far
    }

    /// Runs a command of iproute2 in the namespace.
    ///
    /// # Panics
    /// If it fails.
    pub fn ip(&self, arguments: &str) {
        expect(Command::new("ip").args(["-n", &self.name]).args(arguments.split(' ')));
    }

    /// Sets what `/proc/sys/net` has by this path (`sh` is needed).
    ///
    /// # Panics
    /// If that fails.
    pub fn sysctl(&self, path: &str, value: &str) {
        let script = format!("echo {value} > /proc/sys/net/{path}");
        expect(Command::new("ip").args(["netns", "exec", &self.name, "sh", "-c", &script]));
    }

    /// Makes the namespace a router (`sh` is needed).
    ///
    /// # Panics
    /// If that fails.
    pub fn forward(&self) {
        self.sysctl("ipv4/ip_forward", "1");
        self.sysctl("ipv6/conf/all/forwarding", "1");
    }

    /// Runs a program in the namespace to its end, however it ends; what it printed.
    ///
    /// # Panics
    /// If it cannot be started.
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

    /// A command that runs a program in the namespace, with pipes for its output, and kills it when dropped.
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
    /// If it cannot be started.
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

    /// Starts a Python script in the namespace, `from socket import *` and `import sys, hashlib` before it.
    ///
    /// # Panics
    /// If it cannot be started.
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
        // Either may never have been made, or be gone with the other.
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
    /// The next line that it prints.
    ///
    /// # Panics
    /// If it ends instead.
    pub async fn line(&mut self) -> String {
        let line = self.lines.next_line().await.unwrap_or_else(|error| panic!("{}: {error}", self.name));
        line.unwrap_or_else(|| panic!("{} ended without a further line", self.name))
    }

    /// Kills it, and waits until it is gone.
    ///
    /// # Panics
    /// If that fails.
    pub async fn kill(mut self) {
        self.child.kill().await.unwrap_or_else(|error| panic!("{}: {error}", self.name));
    }

    /// Waits for it to end well; what it printed since the last [`line`](Self::line).
    ///
    /// # Panics
    /// If it ends with another status.
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

/// Runs a test with real peers, on a runtime of two threads, and fails it when it takes too long.
///
/// # Panics
/// If it does.
pub fn block_on<T>(test: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    let runtime = runtime.unwrap_or_else(|error| panic!("{error}"));
    runtime.block_on(async { tokio::time::timeout(PATIENCE, test).await.unwrap_or_else(|_| panic!("still not done")) })
}

/// A file with arbitrary bytes, gone when dropped.
#[derive(Debug)]
pub struct TemporaryFile(PathBuf);

impl TemporaryFile {
    /// Writes `bytes` to a fresh file.
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

    /// Where it is.
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
fn is_installed(program: &str) -> bool {
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
