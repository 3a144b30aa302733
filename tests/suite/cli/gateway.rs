//! Apps behind a gateway, whose host is a user without any privileges in a namespace, and servers in another namespace.

use std::net::IpAddr;
use std::path::Path;
use std::time::Duration;

use tokio::process::Command;
use xila_network_tests::netns::{FAR_V4, FAR_V6, Namespace, Peer, block_on};

use super::{Bench, Ended, start, until_line};

/// The words that give up the privileges of root: those of the user `nobody`.
const UNPRIVILEGED: [&str; 7] = [
    "setpriv",
    "--reuid=65534",
    "--regid=65534",
    "--clear-groups",
    "--no-new-privs",
    "--bounding-set=-all",
    "--inh-caps=-all",
];

/// A host, and servers that it reaches over a link.
struct World {
    bench: Bench,
    host: Namespace,
    far: Namespace,
}

impl World {
    /// `None`, with the reason on standard output, if this machine cannot have it.
    fn new(test: &str, programs: &[&str]) -> Option<Self> {
        let host = Namespace::new(&[&["setpriv", "ping", "sh"], programs].concat())?;
        let bench = Bench::new(test)?;
        // The target directory may be in a folder that only root may enter.
        copy(&bench.program, &bench.folder.join("xila-net"));
        host.ip("link set lo up");
        let far = host.behind(1500);
        Some(Self { bench, host, far })
    }

    /// A copy of an app that everybody may read.
    fn app(&self, name: &str) -> String {
        let path = self.bench.folder.join(name).with_extension("wasm");
        copy(Path::new(&self.bench.app(name)), &path);
        path.display().to_string()
    }

    /// `xila-net run` with these arguments, by a user without privileges on the host. An argument that begins with `%`
    /// names an app.
    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = self.host.command(UNPRIVILEGED[0]);
        command.args(&UNPRIVILEGED[1..]).arg(self.bench.folder.join("xila-net")).arg("run").env_remove("RUST_LOG");
        command.env("HOME", "/nonexistent").env_remove("XDG_STATE_HOME").env("RUST_BACKTRACE", "0");
        command.current_dir("/");
        let word = |word: &str| word.strip_prefix('%').map_or_else(|| word.to_owned(), |name| self.app(name));
        command.args(arguments.iter().map(|it| it.split(' ').map(word).collect::<Vec<_>>().join(" ")));
        command
    }

    async fn run(&self, arguments: &[&str]) -> Ended {
        Ended::wait(start(self.command(arguments))).await
    }

    /// Starts a Python script with the far namespace's servers, and waits until it says `ready`.
    async fn serve(&self, script: &str) -> Peer {
        let mut server = self.far.python(script, &[]);
        assert_eq!(server.line().await, "ready");
        server
    }
}

fn copy(from: &Path, to: &Path) {
    if to.exists() {
        return;
    }
    std::fs::copy(from, to).unwrap_or_else(|error| panic!("{}: {error}", from.display()));
}

/// Runs a test; skips it where this machine does not support it.
fn with_world(test: &str, programs: &[&str], run: impl AsyncFnOnce(&World)) {
    let Some(world) = World::new(test, programs) else { return };
    block_on(run(&world));
}

fn url(address: IpAddr, port: u16) -> String {
    if address.is_ipv4() { format!("http://{address}:{port}/") } else { format!("http://[{address}]:{port}/") }
}

/// A server of one page over HTTP, at every address.
const PAGE: &str = "
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        body = b'a page for ' + self.client_address[0].encode()
        self.send_response(200)
        self.send_header('Content-Length', str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    def log_message(self, *_):
        pass
class Six(HTTPServer):
    address_family = AF_INET6
threading.Thread(target=HTTPServer(('198.51.100.2', 80), Handler).serve_forever).start()
six = Six(('fd01::2', 80), Handler)
print('ready')
six.serve_forever()
";

#[test]
fn an_app_of_a_user_without_privileges_fetches_a_page_over_both_families() {
    with_world("gateway-fetch", &["python3"], async |world| {
        let script = ["-c", "grep Cap /proc/self/status"];
        let shown = world.host.output(UNPRIVILEGED[0], &[&UNPRIVILEGED[1..], &["sh"], &script[..]].concat());
        for line in shown.lines() {
            assert!(line.ends_with("0000000000000000"), "it has capabilities: {line}");
        }
        assert_eq!(shown.lines().count(), 5, "{shown}");
        let _server = world.serve(PAGE).await;
        let fetched = world.run(&["--net", "%http-get", &url(FAR_V4, 80)]).await;
        fetched.expect(0, &[]);
        assert_eq!(fetched.stdout, "a page for 198.51.100.1", "the host's own socket has fetched it");
        let fetched = world.run(&["--net=allow-private", "%http-get", &url(FAR_V6, 80)]).await;
        fetched.expect(0, &[]);
        assert_eq!(fetched.stdout, "a page for fd01::1");
        // By DHCP and router advertisements it is the same.
        let fetched =
            world.run(&["-i", "eth0=gateway,dhcp,autoconf,allow-private", "%http-get", &url(FAR_V6, 80)]).await;
        fetched.expect(0, &[]);
        assert_eq!(fetched.stdout, "a page for fd01::1");
    });
}

#[test]
fn port_53_of_a_server_outside_is_that_server_s() {
    with_world("gateway-port-53", &["python3"], async |world| {
        let _server = world.serve(&PAGE.replace("80)", "53)")).await;
        for (net, address) in [("--net", FAR_V4), ("--net=allow-private", FAR_V6)] {
            let fetched = world.run(&[net, "%http-get", &url(address, 53)]).await;
            fetched.expect(0, &[]);
            assert!(fetched.stdout.starts_with("a page for "), "{}", fetched.stdout);
        }
    });
}

#[test]
fn apps_on_one_gateway_find_each_other_by_name_and_all_reach_the_outside() {
    with_world("gateway-shared", &["python3"], async |world| {
        let _server = world.serve(PAGE).await;
        let outside = url(FAR_V4, 80);
        let ended = world
            .run(&[
                "-i",
                "server=gateway,hub=lan",
                "-i",
                "client=gateway,hub=lan",
                "--app",
                "@server %http-server 0.0.0.0:80 --requests 1",
                "--app",
                "@client %http-get http://server.internal/ --wait 20",
                "--app",
                &format!("@client %http-get {outside}"),
                "--app",
                &format!("@server %http-get {outside}"),
            ])
            .await;
        ended.expect(0, &[]);
        assert!(ended.stdout.contains("It works."), "{}", ended.stdout);
        assert_eq!(ended.stdout.matches("a page for 198.51.100.1").count(), 2, "{}", ended.stdout);
        let twice =
            ["-i", "a=gateway,hub=lan,mtu=1400", "-i", "b=gateway,hub=lan,allow-private", "%http-get", &outside];
        world.run(&twice).await.expect(2, &["--interface b=gateway: --interface a=gateway gives options"]);
    });
}

/// `fetch` of JavaScript, from a server that only this host's loopback has.
#[test]
fn an_app_in_javascript_fetches_from_the_host() {
    with_world("gateway-javascript", &["python3"], async |world| {
        if !Path::new(&world.bench.app("javascript_fetch")).exists() {
            // The suite `http` fails for it in CI.
            println!("skipped: the program in JavaScript is not built");
            return;
        }
        let mut server = world.host.python(&PAGE.replace("198.51.100.2", "127.0.0.1").replace("fd01::2", "::1"), &[]);
        assert_eq!(server.line().await, "ready");
        let fetched = world.run(&["--net=allow-host=80", "%javascript_fetch", "http://host.internal/"]).await;
        fetched.expect(0, &[]);
        assert_eq!(fetched.stdout, "a page for 127.0.0.1");
        let refused = world.run(&["--net", "%javascript_fetch", "http://host.internal/"]).await;
        refused.expect(1, &["cannot fetch http://host.internal/: NetworkError"]);
    });
}

#[test]
fn a_gibibyte_arrives_whole() {
    const SCRIPT: &str = "
import os
listener = create_server(('198.51.100.2', 80))
print('ready')
stream, _ = listener.accept()
stream.recv(65536)
size = 1 << 30
stream.sendall(b'HTTP/1.1 200 OK\\r\\nConnection: close\\r\\nContent-Length: %d\\r\\n\\r\\n' % size)
block, digest = bytearray(os.urandom(1 << 20)), hashlib.sha256()
for number in range(size >> 20):
    block[:8] = number.to_bytes(8, 'big')
    digest.update(block)
    stream.sendall(block)
stream.shutdown(SHUT_WR)
print(digest.hexdigest())
";
    with_world("gateway-gibibyte", &["python3", "sha256sum"], async |world| {
        let mut server = world.serve(SCRIPT).await;
        let folder = world.bench.file("fetched");
        std::fs::create_dir(&folder).expect("a folder");
        std::os::unix::fs::chown(&folder, Some(65534), Some(65534)).expect("root gives it away");
        let dir = format!("{}::/", folder.display());
        let fetched = world.run(&["--net", "--dir", &dir, "%http-get", &url(FAR_V4, 80), "-o", "/file"]).await;
        fetched.expect(0, &[]);
        let file = folder.join("file");
        let sum = world.host.output("sha256sum", &[file.to_str().expect("text")]);
        assert_eq!(sum.split(' ').next(), Some(&*server.line().await));
    });
}

#[test]
fn failures_of_the_outside_reach_the_app_as_themselves() {
    with_world("gateway-failures", &["python3"], async |world| {
        let refused = world.run(&["--net", "%http-get", &url(FAR_V4, 81)]).await;
        refused.expect(1, &["connection refused"]);
        // The host has no route there.
        let unreachable = world.run(&["--net", "%http-get", "http://203.0.113.5/"]).await;
        unreachable.expect(1, &["remote unreachable"]);
        // Nobody has this address on the host's link.
        let unreachable = world.run(&["--net", "%http-get", "http://198.51.100.77/"]).await;
        unreachable.expect(1, &["remote unreachable"]);
        // Packets to this one vanish, and the app waits.
        let interface = format!("{}v", world.host.interface());
        world.host.ip(&format!("neighbour add 198.51.100.9 lladdr 02:00:00:00:00:99 dev {interface}"));
        let waits = world.run(&["--net", "--for", "4s", "--linger", "0s", "%http-get", "http://198.51.100.9/"]).await;
        assert!(!waits.stderr.contains("cannot connect"), "{}", waits.stderr);
        // Nothing was sent over it, so the end need not wait for it.
        let begun = std::time::Instant::now();
        let waits = world.run(&["--net", "--for", "1s", "--linger", "30s", "%http-get", "http://198.51.100.9/"]).await;
        assert!(begun.elapsed() < Duration::from_secs(25), "it waits for --linger");
        assert!(!waits.stderr.contains("did not end"), "{}", waits.stderr);
        let reset = "
listener = create_server(('198.51.100.2', 82))
print('ready')
import struct
stream, _ = listener.accept()
stream.recv(65536)
stream.setsockopt(SOL_SOCKET, SO_LINGER, struct.pack('ii', 1, 0))
stream.close()
";
        let _server = world.serve(reset).await;
        let reset = world.run(&["--net", "%throughput", "ping", "198.51.100.2:82", "10"]).await;
        reset.expect(1, &["reset"]);
    });
}

#[test]
fn denied_destinations_leave_no_packet() {
    with_world("gateway-denied", &["python3"], async |world| {
        let interface = format!("{}v", world.host.interface());
        world.host.ip(&format!("route add 10.77.0.0/16 dev {interface}"));
        world.host.ip(&format!("route add 169.254.0.0/16 dev {interface}"));
        // By the routes of the host, these are its own.
        world.host.ip("route add local 203.0.113.0/24 dev lo");
        for denied in ["10.77.0.2", "169.254.169.254", "198.51.100.1", "203.0.113.7"] {
            let fetched = world.run(&["--net", "%http-get", &format!("http://{denied}/")]).await;
            fetched.expect(1, &["remote unreachable"]);
            let asked = world.run(&["--net", "%ping", denied, "-c", "1", "-W", "1"]).await;
            assert_ne!(asked.status, Some(0), "{denied}: {}", asked.stdout);
        }
        let fetched = world.run(&["--net", "%http-get", "http://10.0.2.2:22/"]).await;
        fetched.expect(1, &["connection refused"]);
        // A packet would have asked for the hardware address.
        let neighbours = world.host.output("ip", &["neighbour", "show"]);
        assert!(!neighbours.contains("10.77.0.2") && !neighbours.contains("169.254"), "{neighbours}");
        let allowed = world.run(&["--net=allow-private", "%http-get", "http://10.77.0.2/"]).await;
        allowed.expect(1, &["remote unreachable"]);
        let neighbours = world.host.output("ip", &["neighbour", "show"]);
        assert!(neighbours.contains("10.77.0.2"), "it was looked for: {neighbours}");
    });
}

#[test]
fn names_are_resolved_by_the_servers_of_the_host() {
    with_world("gateway-names", &["python3", "dnsmasq"], async |world| {
        // `ip netns exec` puts these files in the place of those in /etc.
        let etc = Etc::new(
            world.host.name(),
            &[("resolv.conf", "search corp.example\nnameserver 198.51.100.2\n"), ("hosts", "192.0.2.9 known\n")],
        );
        let dnsmasq = ["--keep-in-foreground", "--no-resolv", "--no-hosts", "--port=53", "--user=root", "--pid-file="];
        let records = [
            "--address=/page.example/page.corp.example/198.51.100.2",
            "--txt-record=long.example,text",
            "--log-facility=-",
        ];
        let _dnsmasq = world.far.start("dnsmasq", &[&dnsmasq[..], &records[..]].concat());
        let _server = world.serve(PAGE).await;
        let mut fetched = world.run(&["--net", "%http-get", "http://page.example/"]).await;
        for _ in 0..20 {
            // dnsmasq does not say when it is ready.
            if fetched.status == Some(0) {
                break;
            }
            fetched = world.run(&["--net", "%http-get", "http://page.example/"]).await;
        }
        fetched.expect(0, &[]);
        assert_eq!(fetched.stdout, "a page for 198.51.100.1");
        // A name without a dot is looked for in the host's domains, however the interface is configured.
        for net in ["--net", "--net=dhcp", "--net=autoconf"] {
            let told = world.run(&["--allow-control=read", net, "%ip", "dns"]).await;
            assert!(told.stdout.contains("search corp.example dev eth0"), "{net}: {}{}", told.stdout, told.stderr);
        }
        let fetched = world.run(&["--net", "%http-get", "http://page/"]).await;
        fetched.expect(0, &[]);
        assert_eq!(fetched.stdout, "a page for 198.51.100.1");
        let elsewhere = world.run(&["--net=search=lab.example", "%http-get", "http://page/"]).await;
        elsewhere.expect(1, &["cannot connect to page:80"]);
        let known = world.run(&["--net", "%dig", "known"]).await;
        assert!(known.stdout.contains("192.0.2.9"), "{}{}", known.stdout, known.stderr);
        let host = world.run(&["--net", "%dig", "host.internal"]).await;
        assert!(host.stdout.contains("10.0.2.2"), "{}{}", host.stdout, host.stderr);
        drop(etc);
    });
}

/// Files in the place of those in `/etc` for programs in a namespace.
struct Etc(std::path::PathBuf);

impl Etc {
    fn new(namespace: &str, files: &[(&str, &str)]) -> Self {
        let folder = Path::new("/etc/netns").join(namespace);
        std::fs::create_dir_all(&folder).expect("a folder");
        for (name, text) in files {
            std::fs::write(folder.join(name), text).expect("room");
        }
        Self(folder)
    }
}

impl Drop for Etc {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

#[test]
fn echo_requests_and_datagrams_pass() {
    with_world("gateway-echo", &["python3"], async |world| {
        world.host.sysctl("ipv4/ping_group_range", "0 2147483647");
        for (net, address) in [("--net", FAR_V4), ("--net=allow-private", FAR_V6)] {
            let address = address.to_string();
            let asked = world.run(&[net, "%ping", &address, "-c", "3", "-i", "0.2"]).await;
            asked.expect(0, &[]);
            assert!(asked.stdout.contains("3 packets transmitted, 3 received"), "{}", asked.stdout);
        }
        let asked = world.run(&["--net", "%ping", "198.51.100.77", "-c", "1", "-W", "5"]).await;
        assert_ne!(asked.status, Some(0));
        assert!(asked.stdout.contains("nreachable"), "the host is told so: {}{}", asked.stdout, asked.stderr);
        let echo = "
server = socket(AF_INET, SOCK_DGRAM)
server.bind(('198.51.100.2', 9000))
print('ready')
while True:
    data, peer = server.recvfrom(65536)
    server.sendto(data, peer)
";
        let _server = world.serve(echo).await;
        let sent = world.run(&["--net", "%throughput", "udp-ping", "198.51.100.2:9000", "100"]).await;
        sent.expect(0, &[]);
        assert!(sent.stdout.contains("100 round trips"), "{}", sent.stdout);
    });
}

/// The gateway is the first router; what comes after it hears of the rest of the hops.
#[test]
fn a_route_is_traced_through_the_gateway() {
    const SCRIPT: &str = "
server = socket(AF_INET, SOCK_DGRAM)
IP_RECVTTL = 12
server.setsockopt(IPPROTO_IP, IP_RECVTTL, 1)
server.bind(('198.51.100.2', 33435))
print('ready')
_, ((_, _, hops),), _, _ = server.recvmsg(100, 100)
print(int.from_bytes(hops, sys.byteorder))
";
    with_world("gateway-trace", &["python3"], async |world| {
        let mut server = world.serve(SCRIPT).await;
        // The probes go to one port after another: the second one reaches the server, and the third one a closed port.
        let traced = world.run(&["--net", "%traceroute", "-n", "-q", "1", "-w", "1", "198.51.100.2"]).await;
        traced.expect(0, &[]);
        let hops: Vec<&str> = traced.stdout.lines().skip(1).filter_map(|line| line.split_whitespace().nth(1)).collect();
        assert_eq!(hops, ["10.0.2.2", "*", "198.51.100.2"], "{}", traced.stdout);
        assert_eq!(server.line().await, "1");
    });
}

#[test]
fn published_ports_lead_to_apps() {
    with_world("gateway-published", &["curl"], async |world| {
        let arguments = ["--net", "--publish", "8080:80", "--publish", "0.0.0.0:8081:80", "%http-server", "0.0.0.0:80"];
        let mut server = start(world.command(&arguments));
        until_line(&mut server, "listening").await;
        let curl = |namespace: &Namespace, url: &str| {
            namespace.output(
                "curl",
                &[
                    "-sS",
                    "--noproxy",
                    "*",
                    "--max-time",
                    "20",
                    "-w",
                    "%{http_code} %{size_download}",
                    "-o",
                    "/dev/null",
                    url,
                ],
            )
        };
        assert_eq!(curl(&world.host, "http://127.0.0.1:8080/bytes/3000000"), "200 3000000");
        assert_eq!(curl(&world.far, "http://198.51.100.1:8080/"), "000 0", "127.0.0.1 is the host's own");
        assert_eq!(curl(&world.far, "http://198.51.100.1:8081/bytes/100000"), "200 100000");
        let taken = world.run(&["--net", "--publish", "8080:80", "%http-server", "0.0.0.0:80"]).await;
        taken.expect(1, &["--publish 8080:80", "127.0.0.1:8080", "in use"]);
        server.kill().await.expect("it runs");
    });
}

#[test]
fn a_host_that_goes_away_ends_what_waits_for_it() {
    const SCRIPT: &str = "
listener = create_server(('198.51.100.2', 80))
print('ready')
streams = [listener.accept() for _ in range(1)]
print('accepted')
sys.stdin.read()
";
    with_world("gateway-gone", &["python3"], async |world| {
        let mut server = world.serve(SCRIPT).await;
        let app = tokio::spawn(Ended::wait(start(world.command(&["--net", "%http-get", &url(FAR_V4, 80)]))));
        let accepted = tokio::time::timeout(Duration::from_secs(20), server.line());
        assert_eq!(accepted.await.expect("it accepts"), "accepted");
        server.kill().await;
        let ended = app.await.expect("the app");
        assert_ne!(ended.status, Some(0), "there was no page");
    });
}

#[test]
fn a_host_that_vanishes_without_a_reset_ends_the_connection_when_the_kernel_gives_it_up() {
    const SCRIPT: &str = "
listener = create_server(('198.51.100.2', 84))
print('ready')
stream, _ = listener.accept()
stream.recv(65536)
print('receives')
while stream.recv(65536):
    pass
";
    with_world("gateway-vanished", &["python3"], async |world| {
        // The kernel gives up after some four seconds, not after a quarter of an hour.
        world.host.sysctl("ipv4/tcp_retries2", "3");
        let mut server = world.serve(SCRIPT).await;
        let words = ["--net", "%throughput", "source", "198.51.100.2:84", "--seconds", "1000"];
        let app = tokio::spawn(Ended::wait(start(world.command(&words))));
        assert_eq!(server.line().await, "receives");
        let interface = format!("{}v", world.host.interface());
        // Whatever the host sends is lost from now on.
        world.host.ip(&format!("neighbour replace 198.51.100.2 lladdr 02:00:00:00:00:99 dev {interface}"));
        app.await.expect("the app").expect(1, &["reset"]);
        server.kill().await;
    });
}

/// The resident memory of a process, in bytes.
fn resident(process: Option<u32>) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", process.expect("it runs"))).expect("it runs");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("a line of it");
    1024 * line.split_whitespace().next().expect("a number").parse::<u64>().expect("a number")
}

/// The most memory that a process may take for what one side does not read.
const HELD: u64 = 32 << 20;

#[test]
fn a_server_that_does_not_read_holds_up_the_app() {
    const SCRIPT: &str = "
import signal
signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR1])
listener = create_server(('198.51.100.2', 85))
print('ready')
stream, _ = listener.accept()
count = len(stream.recv(65536))
print('waits')
signal.sigwait([signal.SIGUSR1])
while data := stream.recv(1 << 20):
    count += len(data)
print(count)
";
    with_world("gateway-slow-server", &["python3"], async |world| {
        let mut server = world.serve(SCRIPT).await;
        let size = 256 << 20;
        let words = ["--net", "%throughput", "source", "198.51.100.2:85", "--bytes", &size.to_string()];
        let child = start(world.command(&words));
        let process = child.id();
        let app = tokio::spawn(Ended::wait(child));
        assert_eq!(server.line().await, "waits");
        let before = resident(process);
        // The host's send queue towards the server, in hexadecimal, once it grows no more.
        let queue = || {
            let table = world.host.output("cat", &["/proc/net/tcp"]);
            let line = table.lines().find(|line| line.contains(" 026433C6:0055 ")).expect("the connection");
            line.split_whitespace().nth(4).expect("the queues").to_owned()
        };
        let mut queued = queue();
        loop {
            tokio::time::sleep(Duration::from_millis(500)).await;
            let now = queue();
            if now == queued && !now.starts_with("00000000:") {
                break;
            }
            queued = now;
        }
        let held = resident(process).saturating_sub(before);
        assert!(held < HELD, "{held} bytes more");
        server.signal("USR1");
        assert_eq!(server.line().await, size.to_string());
        app.await.expect("the app").expect(0, &[]);
    });
}

#[test]
fn an_app_that_does_not_read_holds_up_the_server() {
    const LINES: usize = 8 << 20;
    const SCRIPT: &str = "
import select, signal
signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR1])
data = b''.join(b'%07d\\n' % number for number in range(8 << 20))
listener = create_server(('198.51.100.2', 86))
print('ready')
stream, _ = listener.accept()
stream.recv(65536)
stream.sendall(b'HTTP/1.1 200 OK\\r\\nConnection: close\\r\\nContent-Length: %d\\r\\n\\r\\n' % len(data))
stream.setblocking(False)
sent = 0
while select.select([], [stream], [], 2)[1]:
    sent += stream.send(data[sent:sent + (1 << 16)])
print(sent)
signal.sigwait([signal.SIGUSR1])
stream.setblocking(True)
stream.sendall(data[sent:])
stream.shutdown(SHUT_WR)
stream.recv(1)
";
    with_world("gateway-slow-app", &["python3"], async |world| {
        let mut server = world.serve(SCRIPT).await;
        // Nobody reads the standard output of the app, into which it writes what it receives.
        let app = start(world.command(&["--net", "%http-get", &url(FAR_V4, 86)]));
        let sent: usize = server.line().await.parse().expect("a number");
        // The kernels at both ends of the link hold most of it.
        assert!((1..32 << 20).contains(&sent), "{sent} bytes of 64 MiB were taken");
        server.signal("USR1");
        let ended = Ended::wait(app).await;
        ended.expect(0, &[]);
        let numbers = ended.stdout.lines().map(|line| line.parse::<usize>().expect("a number"));
        assert!(numbers.eq(0..LINES), "not what was sent");
    });
}
