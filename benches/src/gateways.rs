//! A `std::net` program that reaches a server of the host's network without a privilege of its own: through our gateway,
//! through passt's `pasta`, and through slirp4netns.

use std::io::{self, Read as _};
use std::process::{Command, Stdio};

use crate::apps::{Result, Running, after, end, received};
use crate::links::namespace::Namespace;
use crate::taps::Programs;
use crate::veth::{FAR, Veth};

const PORT: u16 = 9000;
const BULK: f64 = 1.0;
const CONNECTING: f64 = 0.7;
const ROUND_TRIPS: usize = 5_000;
/// The MTU between an app and its gateway, ours by default, and pasta's.
const MTU: u32 = 65520;

/// How many figures [`Way::measure`] returns.
pub const FIGURES: usize = 5;

/// How the measured program reaches the host's network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// Through the gateway of `xila-net`, which runs the program as a component.
    Ours,
    /// Through `pasta`, which runs the program natively in a namespace of its own.
    Pasta,
    /// Through slirp4netns, natively in a namespace of its own.
    Slirp4netns,
    /// Natively on the host's network itself.
    Direct,
}

/// What `pasta` is run by, in a shell, with the program and its arguments. It runs as a plain user, who may not open
/// `/dev/net/tun` and the program everywhere: so it has copies of both, in a namespace of mounts of its own. Its namespace
/// of the network is complete when there is a route.
const PASTA: &str = r#"
mount -t tmpfs none /mnt
cp "$1" /mnt/program
shift
mknod -m 666 /mnt/tun c 10 200
mount --bind /mnt/tun /dev/net/tun
exec setpriv --reuid=65534 --regid=65534 --clear-groups pasta --quiet --config-net --ipv4-only --no-map-gw -- sh -c '
    until ip route | grep -q default; do sleep 0.01; done
    exec /mnt/program "$@"
' sh "$@"
"#;

impl Way {
    /// Whether the commands that it takes are installed.
    #[must_use]
    pub fn is_here(self) -> bool {
        let command = match self {
            Self::Ours | Self::Direct => return true,
            Self::Pasta => "pasta",
            Self::Slirp4netns => "slirp4netns",
        };
        Command::new(command).arg("--version").output().is_ok_and(|output| output.status.success())
    }

    /// Measures everything once, between the program and a native one on the host's network: bulk TCP from the program
    /// and to it (Gb/s), a round trip of 64 bytes over TCP and over UDP (p50, in microseconds), connections per second.
    /// The program makes each connection.
    ///
    /// # Errors
    /// If a program fails, or does not print what it should.
    pub fn measure(self, programs: &Programs) -> Result<[f64; FIGURES]> {
        let host = Veth::new("")?;
        // Both peers take the interface with the default route for that of the outside.
        host.near.batch("ip", &format!("route add default via {FAR}\n"))?;
        let run = |far: &str, near: &str| self.run(programs, &host, far, near);
        let (sink, _) = run(&format!("sink {FAR}:{PORT}"), &format!("source {FAR}:{PORT} --seconds {BULK} --wait 5"))?;
        let sending = received(&sink)?;
        let (_, sink) = run(&format!("offer {FAR}:{PORT} --seconds {BULK}"), &format!("fetch {FAR}:{PORT} --wait 5"))?;
        let receiving = received(&sink)?;
        let (_, ping) = run(&format!("pong {FAR}:{PORT}"), &format!("ping {FAR}:{PORT} {ROUND_TRIPS} --wait 5"))?;
        let (_, udp) =
            run(&format!("udp-pong {FAR}:{PORT}"), &format!("udp-ping {FAR}:{PORT} {ROUND_TRIPS} --wait 5"))?;
        let (_, connect) =
            run(&format!("accept {FAR}:{PORT}"), &format!("connect {FAR}:{PORT} --seconds {CONNECTING} --wait 5"))?;
        Ok([sending, receiving, after(&ping, "p50 ")?, after(&udp, "p50 ")?, after(&connect, " s: ")?])
    }

    /// Runs the program at both ends until it ends; returns the output of the far end and of the near end.
    fn run(self, programs: &Programs, host: &Veth, far: &str, near: &str) -> Result<(String, String)> {
        let server = host.far.start(programs.natively(far))?;
        let mut slirp = None;
        let near = match self {
            Self::Ours => host.near.start(programs.by_ours(&format!("eth0=gateway,allow-host={FAR}"), near))?,
            Self::Pasta => {
                let mut command = Command::new("unshare");
                command.args(["--mount", "sh", "-e", "-c", PASTA, "sh"]).arg(&programs.native).args(near.split(' '));
                host.near.start(command)?
            }
            Self::Slirp4netns => slirp.insert(Slirp::new(host)?).inside.start(programs.natively(near))?,
            Self::Direct => host.near.start(programs.natively(near))?,
        };
        let near = end(near)?;
        Ok((end(server)?, near))
    }
}

/// A namespace behind slirp4netns. Its process ends when this is dropped.
struct Slirp {
    inside: Namespace,
    _process: Running,
}

impl Slirp {
    fn new(host: &Veth) -> Result<Self> {
        let inside = Namespace::new()?;
        let mut command = Command::new("slirp4netns");
        command.args([
            "--configure",
            &format!("--mtu={MTU}"),
            "--netns-type=path",
            "--ready-fd=0",
            &inside.path(),
            "tap0",
        ]);
        // It says that it is ready on a file that it does not print to.
        let (mut ready, told) = io::pipe()?;
        command.stdin(told).stdout(Stdio::null()).stderr(Stdio::null());
        let process = Running(host.near.run(move || command.spawn())?);
        if ready.read(&mut [0])? == 0 {
            return Err("slirp4netns has ended".into());
        }
        Ok(Self { inside, _process: process })
    }
}
