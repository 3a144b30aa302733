//! A `std::net` program at both ends of a link to the kernel: over a TAP device or a veth pair.

use std::path::PathBuf;
use std::process::Command;
use std::{env, fs};

use crate::apps::{Result, after, end, received};
use crate::links::namespace::Namespace;
use crate::veth::{FAR, NEAR, Veth};

const PORT: u16 = 9000;
const BULK: f64 = 1.0;
const CONNECTING: f64 = 0.7;
const ROUND_TRIPS: usize = 5_000;

/// How many figures [`Runner::measure`] returns.
pub const FIGURES: usize = 6;

/// The file of the kernel's default congestion control, which each namespace has separately.
const ALGORITHM: &str = "/proc/sys/net/ipv4/tcp_congestion_control";

/// The congestion control of measured kernels that send. Algorithms that pace would measure only the timer for each
/// packet on a virtual machine.
const UNPACED: &str = "reno";

/// The congestion control that this machine's kernel has by default.
///
/// # Errors
/// If the file cannot be read.
pub fn default_algorithm() -> Result<String> {
    Ok(fs::read_to_string(ALGORITHM)?.trim().to_owned())
}

/// The paths of the programs.
#[derive(Clone, Debug)]
pub struct Programs {
    /// `xila-net`.
    pub ours: PathBuf,
    /// `wasmtime-wasi-run`.
    pub peer: PathBuf,
    /// The program as a component.
    pub guest: PathBuf,
    /// The same program for this machine.
    pub native: PathBuf,
}

impl Programs {
    /// Those that the environment names (`XILA_NET`, `XILA_BENCH_PEER`, `XILA_GUESTS`), with this native program. `None`
    /// if a variable is missing, which is printed as the reason why the benchmark is skipped.
    ///
    /// # Errors
    /// If a file is missing.
    pub fn from_environment(benchmark: &str, native: &str) -> Result<Option<Self>> {
        let [Some(ours), Some(peer), Some(guests)] = ["XILA_NET", "XILA_BENCH_PEER", "XILA_GUESTS"].map(env::var_os)
        else {
            println!(
                "{benchmark}: skipped, as XILA_NET, XILA_BENCH_PEER and XILA_GUESTS do not say where they are: run \
                 `just bench`"
            );
            return Ok(None);
        };
        let guest = PathBuf::from(guests).join("std_throughput.wasm");
        let programs = Self { ours: ours.into(), peer: peer.into(), guest, native: native.into() };
        programs.check()?;
        Ok(Some(programs))
    }

    /// The program for this machine, with these arguments.
    pub(crate) fn natively(&self, arguments: &str) -> Command {
        let mut command = Command::new(&self.native);
        command.args(arguments.split(' '));
        command
    }

    /// The component by `xila-net`, with these arguments and this `--interface`.
    pub(crate) fn by_ours(&self, interface: &str, arguments: &str) -> Command {
        let mut command = Command::new(&self.ours);
        let app = format!("'{}' {arguments}", self.guest.display());
        command.args(["run", "--fail-fast", "--threads", "1", "-i", interface, "--app", &app]);
        command
    }

    /// The path of another guest program.
    pub(crate) fn beside(&self, name: &str) -> PathBuf {
        self.guest.with_file_name(name).with_extension("wasm")
    }

    fn check(&self) -> Result<()> {
        let missing = |file: &&PathBuf| !file.exists();
        match [&self.ours, &self.peer, &self.guest, &self.native].into_iter().find(missing) {
            Some(file) => Err(format!("{} is not there: `just bench` builds it", file.display()).into()),
            None => Ok(()),
        }
    }
}

/// How the program at the near end is run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Runner {
    /// `xila-net`, over a TAP device.
    Ours,
    /// wasmtime-wasi's own sockets, over a veth pair.
    WasmtimeWasi,
    /// As a native process, over a veth pair.
    Native,
    /// As a native process, over a veth pair without segmentation offload.
    NativeWithoutOffloads,
}

/// Two network namespaces that are joined, or one with a TAP device.
#[derive(Debug)]
pub struct Place {
    pub(crate) far: Namespace,
    near: Option<Namespace>,
}

impl Place {
    /// Makes the namespaces and the link between them.
    ///
    /// # Errors
    /// Without the privileges for it.
    pub fn new(runner: Runner) -> Result<Self> {
        if runner == Runner::Ours {
            let far = Namespace::new()?;
            far.batch(
                "ip",
                "link set lo up\ntuntap add dev tap0 mode tap\naddress add 10.9.0.1/24 dev tap0\nlink set tap0 up\n",
            )?;
            return Ok(Self { far, near: None });
        }
        let single = if runner == Runner::NativeWithoutOffloads { " gso_max_segs 1 gro_max_size 1500" } else { "" };
        let Veth { far, near } = Veth::new(single)?;
        Ok(Self { far, near: Some(near) })
    }

    /// Sets the congestion control of the kernels that send.
    fn set_algorithm(&self, name: &str) -> Result<()> {
        for namespace in [Some(&self.far), self.near.as_ref()].into_iter().flatten() {
            namespace.run(|| fs::write(ALGORITHM, name))?;
        }
        Ok(())
    }
}

impl Runner {
    /// Measures everything once: bulk TCP from the near end, to it, and to it from a kernel with its default congestion
    /// control (Gb/s), a round trip of 64 bytes over TCP and over UDP (p50, in microseconds), connections per second.
    ///
    /// # Errors
    /// If a program fails, or does not print what it should.
    pub fn measure(self, programs: &Programs, place: &Place) -> Result<[f64; FIGURES]> {
        place.set_algorithm(UNPACED)?;
        let bulk = |to: &str| format!("source {to}:{PORT} --seconds {BULK} --chunk 65536 --wait 5");
        let (sink, _) = self.run(programs, place, &format!("sink {FAR}:{PORT}"), &bulk(FAR))?;
        let sending = received(&sink)?;
        let (_, sink) = self.run(programs, place, &bulk(NEAR), &format!("sink {NEAR}:{PORT}"))?;
        let receiving = received(&sink)?;
        place.set_algorithm(&default_algorithm()?)?;
        let (_, sink) = self.run(programs, place, &bulk(NEAR), &format!("sink {NEAR}:{PORT}"))?;
        let receiving_by_default = received(&sink)?;
        place.set_algorithm(UNPACED)?;
        let client = |server: &str, client: &str, phrase: &str| {
            let (_, printed) = self.run(programs, place, &format!("{server} {FAR}:{PORT}"), client)?;
            after(&printed, phrase)
        };
        let tcp = client("pong", &format!("ping {FAR}:{PORT} {ROUND_TRIPS} --wait 5"), "p50 ")?;
        let udp = client("udp-pong", &format!("udp-ping {FAR}:{PORT} {ROUND_TRIPS} --wait 5"), "p50 ")?;
        let connect = format!("connect {FAR}:{PORT} --seconds {CONNECTING} --wait 5");
        let connections = client("accept", &connect, " s: ")?;
        Ok([sending, receiving, receiving_by_default, tcp, udp, connections])
    }

    /// Runs the program at both ends until it ends; returns the output of the far end and of the near end.
    fn run(self, programs: &Programs, place: &Place, far: &str, near: &str) -> Result<(String, String)> {
        let far = place.far.start(programs.natively(far))?;
        let command = match self {
            Self::Ours => programs.by_ours(&format!("eth0=tap,device=tap0,addr={NEAR}/24"), near),
            Self::WasmtimeWasi => {
                let mut command = Command::new(&programs.peer);
                let app = format!("'{}' {near}", programs.guest.display());
                command.args(["--threads", "1", "--app", &app]);
                command
            }
            Self::Native | Self::NativeWithoutOffloads => programs.natively(near),
        };
        let near = place.near.as_ref().unwrap_or(&place.far).start(command)?;
        let near = end(near)?;
        Ok((end(far)?, near))
    }
}
