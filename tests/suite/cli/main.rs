//! The command line `xila-net`, as its users run it: the built program, with real apps, in separate processes.
//!
//! `just test` sets `XILA_NET` to the path of the program and `XILA_GUESTS` to the folder of the apps. Without them the
//! tests are skipped with a message, but in CI they fail.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};
use std::{env, fs, io, process};

use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};
use xila_network_tests::netns::Namespace;

/// How long a test may take, even on a busy machine.
const PATIENCE: Duration = Duration::from_secs(240);

/// Two interfaces on one hub with a delay.
/// A component that imports an instance with one function, in the binary format of the component model (Binary.md).
fn importing(name: &str) -> Vec<u8> {
    let mut bytes = b"\0asm\x0d\0\x01\0".to_vec();
    // The type section: one type, of an instance that declares the type of a function and exports one, `f`.
    bytes.extend([7, 14, 1, 0x42, 2, 1, 0x40, 0, 1, 0, 4, 0, 1, b'f', 1, 0]);
    // The import section: one import, an instance of type 0.
    let import = [&[1, 0, name.len() as u8][..], name.as_bytes(), &[5, 0]].concat();
    bytes.extend([10, import.len() as u8]);
    bytes.extend(import);
    bytes
}

const A: &str = "a=hub,hub=net,addr=10.0.0.1/24,latency=5ms";
const B: &str = "b=hub,hub=net,addr=10.0.0.2/24";

/// The program, the apps and a folder for one test.
struct Bench {
    program: PathBuf,
    guests: PathBuf,
    folder: PathBuf,
}

impl Bench {
    /// `None`, with the reason on standard error, if a program is not built.
    fn new(test: &str) -> Option<Self> {
        let path = |variable| {
            let path = env::var_os(variable).map(PathBuf::from).filter(|path| path.exists());
            if path.is_none() {
                assert!(
                    env::var_os("CI").is_none(),
                    "{variable} names nothing that exists, and CI counts on this test"
                );
                // `eprintln!` is not used, because the test harness hides its output.
                let _ = writeln!(io::stderr(), "SKIPPED {test}: {variable} names nothing that exists: run `just test`");
            }
            path
        };
        let (program, guests) = (path("XILA_NET")?, path("XILA_GUESTS")?);
        let folder = env::temp_dir().join(format!("xila-cli-{}-{test}", process::id()));
        fs::create_dir_all(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
        Some(Self { program, guests, folder })
    }

    /// The path of an app.
    fn app(&self, name: &str) -> String {
        self.guests.join(name).with_extension("wasm").display().to_string()
    }

    /// The path of a file in the test's folder.
    fn file(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// Replaces arguments that begin with `%`, which are names of apps, by the paths of the apps.
    fn arguments(&self, arguments: &[&str]) -> Vec<String> {
        let word = |word: &str| word.strip_prefix('%').map_or_else(|| word.to_owned(), |name| self.app(name));
        arguments.iter().map(|argument| argument.split(' ').map(word).collect::<Vec<_>>().join(" ")).collect()
    }

    /// A command that runs `xila-net run` with these arguments.
    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.program);
        command.arg("run").current_dir(&self.folder).env_remove("RUST_LOG").env("RUST_BACKTRACE", "0");
        // The state of the user who runs the tests must not be read or written.
        command.env("XDG_STATE_HOME", &self.folder);
        command.args(self.arguments(arguments));
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
        command
    }

    /// As [`run`](Self::run), in a namespace, for a user of this name with a state folder of their own.
    fn command_within(&self, namespace: &Namespace, user: &str, arguments: &[&str]) -> Command {
        let mut command = namespace.command(self.program.to_str().expect("text"));
        command.arg("run").env_remove("RUST_LOG").env("XDG_STATE_HOME", self.file(user));
        command.args(self.arguments(arguments));
        command
    }

    /// Runs `xila-net run` until it ends.
    async fn run(&self, arguments: &[&str]) -> Ended {
        Ended::wait(start(self.command(arguments))).await
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.folder);
    }
}

fn start(mut command: Command) -> Child {
    command.spawn().unwrap_or_else(|error| panic!("{command:?}: {error}"))
}

/// The exit status and output of a process.
struct Ended {
    status: Option<i32>,
    stdout: String,
    stderr: String,
}

impl Ended {
    async fn wait(child: Child) -> Self {
        let output = tokio::time::timeout(PATIENCE, child.wait_with_output()).await.expect("it is still running");
        let output = output.expect("its output");
        let text = |bytes| String::from_utf8(bytes).expect("text");
        Self { status: output.status.code(), stdout: text(output.stdout), stderr: text(output.stderr) }
    }

    #[track_caller]
    fn expect(&self, status: i32, words: &[&str]) {
        assert_eq!(self.status, Some(status), "{}{}", self.stdout, self.stderr);
        for word in words {
            assert!(self.stderr.contains(word), "{word:?} is not in: {}", self.stderr);
        }
    }
}

/// Waits for a line of the process's standard output that begins with `beginning`.
async fn until_line(child: &mut Child, beginning: &str) {
    let mut lines = BufReader::new(child.stdout.as_mut().expect("a pipe")).lines();
    let wait = async {
        while let Some(line) = lines.next_line().await.expect("text") {
            if line.starts_with(beginning) {
                return;
            }
        }
        panic!("it ended without the line {beginning:?}");
    };
    tokio::time::timeout(PATIENCE, wait).await.expect("the line does not come");
}

async fn signal(child: &Child, name: &str) {
    let number = child.id().expect("it runs").to_string();
    let status = Command::new("sh").args(["-c", &format!("kill -{name} {number}")]).status().await;
    assert!(status.expect("sh").success());
}

/// Defines tests that get a [`Bench`]; they are skipped if there is none.
macro_rules! tests {
    ($($(#[$attribute:meta])* async fn $name:ident($bench:ident: &Bench) $body:block)*) => {
        $(
            $(#[$attribute])*
            #[tokio::test]
            async fn $name() {
                let Some(bench) = Bench::new(stringify!($name)) else { return };
                let $bench = &bench;
                $body
            }
        )*
    };
}

// Declared after the macro, because the module uses it.
mod control;
mod gateway;
mod leases;
mod policy;
mod services;
mod simulate;
mod unmodified;

tests! {
    async fn a_page_crosses_a_lossy_hub_whole(bench: &Bench) {
        let page: Vec<u8> = (0..300_000u32).flat_map(|i| i.wrapping_mul(2_654_435_761).to_le_bytes()).take(300_000).collect();
        fs::write(bench.file("page"), &page).expect("a file");
        let ended = bench.run(&[
            "--interface", &format!("{A},loss=1%,seed=7"), "--interface", B, "--dir", ".::/", "--statistics",
            "--app", "@a %http-server 10.0.0.1:80 --requests 1 /page",
            "--app", "@b %http-get http://10.0.0.1/ -o /received --wait 20",
        ]).await;
        ended.expect(0, &["interface", "packets in"]);
        assert!(fs::read(bench.file("received")).expect("what was received") == page);
        let counts = |name: &str| -> Vec<u64> {
            let line = ended.stderr.lines().find(|line| line.split_whitespace().next() == Some(name));
            line.unwrap_or_else(|| panic!("no line {name}: {}", ended.stderr)).split_whitespace().skip(2).map(|cell| cell.parse().expect("a number")).collect()
        };
        assert_eq!(counts("lo")[0], 0);
        assert!(counts("a")[3] > 300_000 && counts("b")[1] > 300_000, "{}", ended.stderr);
        let hub = ended.stderr.lines().find(|line| line.starts_with("hub net: ")).expect("a line for the hub");
        assert!(!hub.contains(" 0 lost"), "{hub}");
    }

    async fn apps_on_all_interfaces_meet_on_loopback(bench: &Bench) {
        let ended = bench.run(&[
            "--interface", A, "--statistics",
            "--app", "%http-server 10.0.0.1:80 --requests 1",
            "--app", "%http-get http://10.0.0.1/bytes/1000 --wait 20 -o /dev/null", "--dir", "/dev",
        ]).await;
        ended.expect(0, &[]);
        let line = ended.stderr.lines().find(|line| line.starts_with("a ")).expect("a line for a");
        let sent = line.split_whitespace().nth(5).expect("bytes out");
        assert!(sent.parse::<u64>().expect("a number") < 1000, "it went over the link: {line}");
    }

    async fn an_app_confined_to_an_interface_has_no_other(bench: &Bench) {
        const C: &str = "c=hub,hub=other,addr=10.0.9.1/24";
        let everywhere = bench.run(&["-i", A, "-i", C, "%http-get", "http://10.0.9.1/"]).await;
        everywhere.expect(1, &["connection refused"]);
        let kept = bench.run(&["-i", A, "-i", C, "@a", "%http-get", "http://10.0.9.1/"]).await;
        kept.expect(1, &["remote unreachable"]);
    }

    async fn the_status_is_that_of_the_first_to_fail(bench: &Bench) {
        // The first app fails after a second, the second traps at once, the third succeeds.
        let late = "%http-get http://127.0.0.1/ --wait 1";
        let ended = bench.run(&["--app", late, "--app", "%spin_does_not_starve no-number", "%spin_does_not_starve", "1"]).await;
        ended.expect(134, &["spin_does_not_starve.wasm trapped", "unreachable", "http-get.wasm failed with status 1"]);
        assert!(ended.stdout.contains("rounds"), "{}", ended.stdout);
        bench.run(&["%spin_does_not_starve", "1"]).await.expect(0, &[]);
    }

    async fn fail_fast_ends_the_others(bench: &Bench) {
        let failing = "%http-get http://127.0.0.1:81/";
        bench.run(&["--fail-fast", "--app", failing, "%echo-server"]).await.expect(1, &["http-get.wasm failed"]);
    }

    async fn a_spinning_app_starves_neither_network_nor_apps(bench: &Bench) {
        // More apps spin than there are threads.
        let spinning = "%spin_does_not_starve 6000";
        let mut command = bench.command(&[
            "--threads", "1", "-i", A, "-i", B, "--app", spinning, "--app", spinning,
            "--app", "@a %throughput pong 10.0.0.1:7", "--app", "@b %throughput ping 10.0.0.1:7 20 --wait 20",
        ]);
        let start = Instant::now();
        let ended = Ended::wait(command.spawn().expect("the program")).await;
        ended.expect(0, &[]);
        assert!(start.elapsed() > Duration::from_secs(5), "nothing spun");
        let lines: Vec<&str> = ended.stdout.lines().collect();
        assert!(lines[0].starts_with("20 round trips"), "the network waited for those who spin: {lines:?}");
    }

    async fn only_the_variables_that_are_named_are_in_the_environment(bench: &Bench) {
        // The panic message of the standard library depends on an environment variable.
        let run = async |options: &[&str]| {
            let mut command = bench.command(&[options, &["%spin_does_not_starve", "no-number"]].concat());
            Ended::wait(command.env("RUST_BACKTRACE", "1").spawn().expect("the program")).await
        };
        run(&[]).await.expect(134, &["note: run with `RUST_BACKTRACE=1`"]);
        for named in ["RUST_BACKTRACE", "RUST_BACKTRACE=1"] {
            let ended = run(&["--env", named]).await;
            ended.expect(134, &["stack backtrace:"]);
            assert!(!ended.stderr.contains("note: run with"), "{}", ended.stderr);
        }
    }

    async fn signals_end_the_apps_and_leave_whole_captures(bench: &Bench) {
        for (name, status) in [("INT", 130), ("TERM", 143)] {
            let mut child = start(bench.command(&[
                "--pcap", "lo=lo.pcap", "--pcap", "a=a.pcap", "--statistics", "-i", A, "-i", B,
                "--app", "%echo-server", "--app", "@a %http-server 10.0.0.1:80",
                "--app", "@b %http-get http://10.0.0.1/bytes/10 -o /dev/null --wait 20", "--dir", "/dev",
            ]));
            until_line(&mut child, "GET ").await;
            signal(&child, name).await;
            Ended::wait(child).await.expect(status, &["hub net: "]);
            assert!(packets(&bench.file("a.pcap")) >= 6, "a handshake, a request and an answer");
            assert_eq!(packets(&bench.file("lo.pcap")), 0);
        }
    }

    async fn a_signal_ends_an_app_that_spins(bench: &Bench) {
        let mut child = start(bench.command(&["--app", "%spin_does_not_starve 600000", "%echo-server"]));
        until_line(&mut child, "listening").await;
        signal(&child, "INT").await;
        Ended::wait(child).await.expect(130, &[]);
    }

    /// The app ends as soon as it has answered: the data that it sent last still has to arrive.
    async fn an_app_serves_the_kernel_over_a_tap_interface(bench: &Bench) {
        let Some(namespace) = Namespace::new(&["curl"]) else { return };
        namespace.ip("tuntap add dev tap0 mode tap");
        namespace.ip("address add 192.0.2.1/24 dev tap0");
        namespace.ip("link set dev tap0 up");
        let program = bench.program.to_str().expect("text");
        let interface = "eth0=tap,device=tap0,addr=192.0.2.2/24,mac=02:00:00:00:00:07";
        let app = bench.app("http-server");
        let mut server = namespace.start(program, &["run", "-i", interface, &app, "192.0.2.2:80", "--requests", "1"]);
        assert_eq!(server.line().await, "listening on http://192.0.2.2:80/");
        let url = "http://192.0.2.2/bytes/3000000";
        let received = bench.file("received");
        let received = received.to_str().expect("text");
        let curl = namespace.start("curl", &["--silent", "--show-error", "--max-time", "30", url, "--output", received]);
        curl.succeed().await;
        server.succeed().await;
        let received = fs::read(received).expect("what curl received");
        assert!(received.len() == 3_000_000 && received[2_999_992..] == splitmix64(374_999).to_le_bytes());
    }

    async fn mistakes_in_the_command_line_are_explained(bench: &Bench) {
        for (arguments, words) in [
            (&["-i", A][..], &["nothing to run", "--app"][..]),
            (&["-i", "eth0=tap,addr=192.0.2.2/24", "x"], &["--interface eth0=tap: missing key device=", "device=tap0", "ip tuntap add tap0 mode tap"]),
            (&["-i", "eth0=tap,device=t,addr=192.0.2.2", "x"], &["addr=192.0.2.2: the prefix length is missing"]),
            (&["-i", "a=hub,hub=n,speed=5", "x"], &["unknown key speed=", "hub takes hub=, addr="]),
            (&["-i", "a=hub,hub=n,hub=m", "x"], &["hub=m: given twice"]),
            (&["-i", A, "-i", A, "x"], &["there is an interface a already"]),
            (&["-i", "lo=hub,hub=n", "x"], &["lo is always there"]),
            (&["--pcap", "eth9=file", "x"], &["--pcap eth9=file", "there are lo"]),
            (&["@eth9", "x"], &["@eth9", "there are lo"]),
            (&["-i", "l=loopback,dhcp", "x"], &["l=loopback: dhcp needs an Ethernet link"]),
            (&["-i", "a=hub,hub=n,dhcp=yes", "x"], &["dhcp=yes: it takes on or off"]),
            (&["-i", "a=hub,hub=n,dhcp=off", "x"], &["missing key addr="]),
            (&["--wait", "5x", "x"], &["--wait 5x: not a time such as"]),
            (&["--allow-control=all", "x"], &["--allow-control=all: it takes read or write"]),
            (&["--app", "'x"], &["a quotation mark is not closed"]),
            (&["--nonsense", "x"], &["--nonsense"]),
        ] {
            let ended = bench.run(arguments).await;
            ended.expect(2, words);
            assert!(ended.stderr.starts_with("error: ") && ended.stderr.contains("--help"), "{}", ended.stderr);
        }
    }

    async fn a_computer_of_its_own_has_a_loopback_of_its_own(bench: &Bench) {
        let apps = ["--app", "@a %http-server 127.0.0.1:80 --requests 1", "--app", "@a %http-get http://127.0.0.1/ --wait 5"];
        let ended = bench.run(&[&["-i", A, "-i", B], &apps[..]].concat()).await;
        ended.expect(0, &[]);
        assert!(ended.stdout.contains("It works."), "{}", ended.stdout);
        let apps = ["--fail-fast", "--app", "@a %http-server 127.0.0.1:80 --requests 1", "--app", "@b %http-get http://127.0.0.1/"];
        bench.run(&[&["-i", A, "-i", B], &apps[..]].concat()).await.expect(1, &["refused"]);
    }

    async fn a_socket_on_the_loopback_is_told_that_it_reaches_no_other_host(bench: &Bench) {
        let ended = bench.run(&["-i", A, "%std_udp_from_loopback", "10.0.0.2:7"]).await;
        ended.expect(0, &["a socket is bound to the loopback", "remote=10.0.0.2"]);
    }

    async fn programs_that_cannot_be_run_are_explained(bench: &Bench) {
        fs::write(bench.file("core.wasm"), b"\0asm\x01\0\0\0").expect("a file");
        fs::write(bench.file("text.wasm"), b"(component)").expect("a file");
        fs::write(bench.file("library.wasm"), b"\0asm\x0d\0\x01\0").expect("a file");
        fs::write(bench.file("damaged.wasm"), b"\0asm\x0d\0\x01\0\xff\xff").expect("a file");
        let app = "%spin_does_not_starve";
        fs::write(bench.file("keyvalue.wasm"), importing("wasi:keyvalue/store@0.2.0")).expect("a file");
        let gone = "eth0=tap,device=no/such,addr=192.0.2.2/24";
        for (arguments, words) in [
            (&["missing.wasm"][..], &["missing.wasm: there is no such file"][..]),
            (&["core.wasm"], &["core.wasm: this is a core module, not a component", "wasm32-wasip2"]),
            (&["text.wasm"], &["text.wasm: this is not a WebAssembly component"]),
            (&["library.wasm"], &["library.wasm: ", "exports no wasi:cli/run"]),
            (&["damaged.wasm"], &["damaged.wasm: "]),
            (&["keyvalue.wasm"], &["keyvalue.wasm: it imports wasi:keyvalue/store@0.2.0, which this host does not have; run it on a host"]),
            (&["-i", "Eth0=hub,hub=n,addr=10.0.0.1/24", app], &["--interface Eth0=hub", "1 to 15 of a-z"]),
            (&["-i", gone, app], &["--interface eth0=tap: device=no/such: "]),
            (&["--pcap", "lo=missing/file", app], &["--pcap lo=missing/file: cannot write the file"]),
            (&["--dir", "missing", app], &["--dir missing: cannot open the folder"]),
            (&["-i", A, "--publish", "8080:10.9.9.9:80", app], &["10.9.9.9:80: the app has no address 10.9.9.9; it has 10.0.0.1"]),
        ] {
            let ended = bench.run(arguments).await;
            ended.expect(1, words);
            assert!(ended.stderr.starts_with("error: ") || ended.stderr.contains("\nerror: "), "{}", ended.stderr);
        }
    }

    async fn help_explains_kinds_and_keys(bench: &Bench) {
        let ended = bench.run(&["--help"]).await;
        ended.expect(0, &[]);
        for word in ["device=", "latency=", "loopback", "dhcp", "autoconf", "--allow-control", "--wait", "--dhcp-timeout", "@NAME", "Exit status"] {
            assert!(ended.stdout.contains(word), "{word}");
        }
    }
}

/// The `i`th number of the page that http-server generates.
fn splitmix64(i: u64) -> u64 {
    let mut z = (i + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// The number of packets in a capture, which must be complete.
fn packets(capture: &Path) -> usize {
    let bytes = fs::read(capture).expect("a capture");
    let (header, mut rest) = bytes.split_at_checked(24).expect("a header");
    assert_eq!(header[..4], 0xa1b2_3c4d_u32.to_ne_bytes(), "pcap with nanoseconds");
    let mut count = 0;
    while !rest.is_empty() {
        let (record, following) = rest.split_at_checked(16).expect("a whole record");
        let length = u32::from_ne_bytes(record[8..12].try_into().expect("four bytes"));
        rest = following.get(length as usize..).expect("a whole packet");
        count += 1;
    }
    count
}
