//! The command line as clap parses it. The sibling modules parse the values of the options; their messages name the
//! option.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

/// Runs WebAssembly apps on a network of their own.
#[derive(Debug, Parser)]
#[command(name = "xila-net", version, arg_required_else_help = true)]
pub(super) struct CommandLine {
    #[command(subcommand)]
    pub(super) command: Command,
}

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    Run(Box<RunArguments>),
    Serve(Box<ServeArguments>),
    /// Look at files of rules, as --policy of `run` takes them
    #[command(subcommand)]
    Policy(PolicyCommand),
}

#[derive(Debug, Subcommand)]
pub(super) enum PolicyCommand {
    /// Say what a file of rules decides about an operation, and by which rule; exit with 1 if it is denied
    Check {
        /// The file
        file: PathBuf,

        /// The operation, written as in a rule, such as 'tcp connect example.org:443'; with @APP in front for an app
        operation: String,
    },
}

/// Run apps, which are components that export wasi:cli/run, until the last one has ended.
///
/// An app has the standard streams and its arguments, and reaches the interfaces given here through xila:network. It
/// reaches nothing of this machine's own network, and only those variables and folders that --env and --dir name.
#[derive(Args, Debug)]
#[command(override_usage = "xila-net run [OPTIONS] [[@INTERFACES] component.wasm args...]", after_long_help = LONG_HELP)]
pub(super) struct RunArguments {
    /// Mount an interface, such as eth0=tap,device=tap0,addr=192.0.2.2/24 (kinds and keys: below, in --help)
    #[arg(short, long = "interface", value_name = "NAME=KIND[,key=value]...")]
    pub(super) interfaces: Vec<String>,

    /// Give apps a way to this machine's network, through sockets of this process: short for eth0=gateway of --interface
    #[arg(long, value_name = "key=value,...", num_args = 0..=1, require_equals = true, default_missing_value = "")]
    pub(super) net: Option<String>,

    /// Lead a port of this machine to a port of an app, such as 8080:80 or 0.0.0.0:8080:80@server (below, in --help)
    #[arg(short, long = "publish", value_name = "[ADDRESS:]PORT:PORT[/udp][@APP]")]
    pub(super) published: Vec<String>,

    /// Describe a hub, and put services on it, such as net,dhcp=10.0.0.0/24,ra=fd00:1::/64,dns (keys: below, in --help)
    #[arg(long = "hub", value_name = "NAME[,key=value]...")]
    pub(super) hubs: Vec<String>,

    /// Run one more app, in a store of its own, at the same time as the others
    #[arg(short, long = "app", value_name = "[@INTERFACES] component.wasm args...")]
    pub(super) apps: Vec<String>,

    /// Write what passes an interface to a capture file, which Wireshark reads
    #[arg(long = "pcap", value_name = "NAME=FILE")]
    pub(super) captures: Vec<String>,

    /// Set a variable in the environment of all apps; without a value, to what it is in this environment
    #[arg(long = "env", value_name = "KEY[=VALUE]")]
    pub(super) environment: Vec<String>,

    /// Let all apps read and write a folder, under the same or another path
    #[arg(long = "dir", value_name = "HOST[::GUEST]")]
    pub(super) directories: Vec<String>,

    /// Let all apps look at their interfaces and change them, as `ip` does; with =read, look at them only
    #[arg(
        long,
        value_name = "read|write",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "write"
    )]
    pub(super) allow_control: Option<String>,

    /// Allow apps what a rule says, such as 'tcp connect *.example.org:443', and nothing else (rules: below, in --help)
    #[arg(long = "allow", value_name = "[@APP] RULE")]
    pub(super) allowed: Vec<String>,

    /// Deny apps what a rule says, whatever --allow and --policy say
    #[arg(long = "deny", value_name = "[@APP] RULE")]
    pub(super) denied: Vec<String>,

    /// Allow apps what the rules of a file say, and nothing else
    #[arg(long = "policy", value_name = "FILE")]
    pub(super) policy: Option<PathBuf>,

    /// Verify servers of https and TLS by the certificates of a file in PEM alone, not by those that this machine trusts
    #[arg(long = "tls-roots", value_name = "FILE")]
    pub(super) tls_roots: Option<PathBuf>,

    /// Write a line of JSON for each operation and packet that the rules deny
    #[arg(long = "audit", value_name = "FILE")]
    pub(super) audit: Option<PathBuf>,

    /// Limit what apps may hold and how fast they may send, such as sockets=100,rate=10Mbit (keys: below, in --help)
    #[arg(long = "limit", value_name = "[@APP] KEY=VALUE[,...]")]
    pub(super) limits: Vec<String>,

    /// How long the apps wait for interfaces with dhcp to get a lease, and for those with autoconf to hear a router, unless
    /// none answers; in seconds, unless a unit says otherwise. 0 starts them at once
    #[arg(long, visible_alias = "dhcp-timeout", value_name = "TIME", default_value = "30s")]
    pub(super) wait: String,

    /// End the other apps as soon as one fails
    #[arg(long)]
    pub(super) fail_fast: bool,

    /// Print to standard error, at the end, what each interface counted
    #[arg(long)]
    pub(super) statistics: bool,

    /// How long to wait, when the apps have ended, for what they sent last to arrive
    #[arg(long, value_name = "TIME", default_value = "10s")]
    pub(super) linger: String,

    /// Run everything in virtual time, with all that happens by chance drawn from this number: the same number, the same
    /// output and the same captures. Apps have no standard input and no folders; interfaces are hubs and loopbacks
    #[arg(long, value_name = "SEED")]
    pub(super) simulate: Option<String>,

    /// End the apps after so long, which is virtual time with --simulate
    #[arg(long = "for", value_name = "TIME")]
    pub(super) limit: Option<String>,

    /// How many threads run the apps and the network
    #[arg(long, value_name = "N", default_value = "2")]
    pub(super) threads: String,

    /// Log to standard error what happens; twice and three times for more. The variable RUST_LOG says it finer
    #[arg(short, long, action = clap::ArgAction::Count)]
    pub(super) verbose: u8,

    /// One app, as in --app; everything after the component is the app's
    #[arg(value_name = "APP", trailing_var_arg = true)]
    pub(super) app: Vec<String>,
}

/// Answer HTTP requests by a component that exports wasi:http/incoming-handler 0.2 or wasi:http/handler 0.3, until Ctrl-C.
///
/// Each request has an instance of the component of its own. The instances together are one app, which has the
/// interfaces, folders, rules and limits that an app of `xila-net run` has. What is given after `--` are its arguments.
#[derive(Args, Debug)]
#[command(
    override_usage = "xila-net serve [OPTIONS] --addr ADDRESS:PORT [@INTERFACES] component.wasm [-- args...]",
    mut_arg("app", |app| app.trailing_var_arg(false).required(true).help("The component that answers")),
    mut_arg("apps", |apps| apps.help("Run an app too, in a store of its own, at the same time"))
)]
pub(super) struct ServeArguments {
    /// Where to listen, by rules that allow it: an address of an interface, or 0.0.0.0 or [::] for all of them
    #[arg(long = "addr", value_name = "ADDRESS:PORT")]
    pub(super) address: String,

    /// How many requests may be answered at once; others wait, for as long as --request-timeout says
    #[arg(long, value_name = "N", default_value = "100")]
    pub(super) requests: String,

    /// How long a request may take until its response begins; and, once that was sent, until the component has ended
    #[arg(long, value_name = "TIME", default_value = "30s")]
    pub(super) request_timeout: String,

    /// How long a client may keep a connection or a component waiting: for the next request, for a part of its body, or
    /// until it takes a part of the response
    #[arg(long, value_name = "TIME", default_value = "60s")]
    pub(super) idle_timeout: String,

    #[command(flatten)]
    pub(super) run: RunArguments,
}

// Lines have at most 78 characters, because narrow terminals would break the columns.
const LONG_HELP: &str = "\
Kinds of interfaces:
  gateway   a network whose router is this process: apps reach this machine's
            network through its sockets, without privileges (--net is short for
            eth0=gateway)
  tap       a TAP interface of this machine: an Ethernet link to its kernel
  hub       an Ethernet segment inside this process, which joins all interfaces
            that name the same hub
  loopback  a link to itself; there is always one, lo

Keys of gateway:
  allow-private    private networks (10/8, 172.16/12, 192.168/16, 100.64/10 and
                   fc00::/7) may be reached, too
  allow-host=PORT  so may a port of this machine's loopback, such as 8080 or
                   8000-8010, at the gateway's address 10.0.2.2 (host.internal),
                   or another host: 192.168.1.5, 10.1.0.0/16, 192.168.1.5:80;
                   can be repeated
  network=ADDRESS/PREFIX  the gateway's address and the network, 10.0.2.2/24
  mtu=BYTES        65520, unless said otherwise
  hub=NAME         interfaces that name the same have one gateway together, and
                   reach each other; one of them gives the other keys above.
                   Unless given, an interface has a gateway of its own
  Nothing else of this machine, of its links and of private networks is reached.
  An app has 10.0.2.15 and an IPv6 address, those on further interfaces of the
  gateway have 10.0.2.16 and so on, and 10.0.2.2 is their router and DNS server,
  which asks this machine's, and has names as dns of --hub. Names without a dot
  are looked for in the search domains of this machine, unless search= is given.
  The keys addr, dhcp and autoconf are as for hubs.

Keys of tap:
  device=NAME   the TAP interface. Where there is none it is made, if privileges
                allow it, and goes away at the end. Without privileges, use one
                made by `ip tuntap add dev NAME mode tap user USER`
  mtu=BYTES     sets its MTU

Keys of hub:
  hub=NAME      the hub
  latency=TIME  how long a frame travels, such as 5ms
  jitter=TIME   a random further delay, up to this
  loss=P, duplication=P, reordering=P
                how probably a frame is, such as 1% or 0.01
  rate=RATE     how fast each interface sends, such as 100Mbit
  queue=FRAMES  how many frames wait for each interface, those in flight too
  mtu=BYTES     1500, unless said otherwise
  seed=N        the same seed draws the same random numbers; 0, unless given
  All of them but hub= belong to the hub: give each on any one interface of it,
  or in --hub.

Keys of --hub:
  Those of hub but hub=, and those of services for the interfaces on the hub.
  The services are one more host there:
  dhcp=NETWORK/PREFIX  leases the addresses of an IPv4 network to interfaces
                       with dhcp, such as those of 10.0.0.0/24. The services
                       have the first one, or that which is given: 10.0.0.9/24.
                       Addresses that interfaces have by addr= are left out
  pool=FIRST-LAST      leases only these
  lease=TIME           for so long, such as 600s; an hour, unless given
  ra=PREFIX/64         advertises an IPv6 prefix, such as fd00:1::/64, of which
                       interfaces with autoconf make addresses; can be repeated
  dns[=DOMAIN]         answers DNS; interfaces with dhcp or autoconf are told
                       so, others need dns=. In the domain, which is internal
                       unless given, each interface of the hub has its name:
                       server=hub,hub=net,... is server.internal. So has each
                       app with @NAME, by its component without .wasm
  forward=ADDRESS      a DNS server on the hub that is asked for other names;
                       can be repeated. Without one, they are refused
  addr=ADDRESS/PREFIX  one more address of the services; can be repeated
  A hub has no outside: the services name no default router.

Keys of tap and hub:
  addr=ADDRESS/PREFIX  an IPv4 or IPv6 address; has to be given, unless dhcp or
                       autoconf is; can be repeated
  gateway=ADDRESS      the default route: one for IPv4, one for IPv6
  dns=ADDRESS          a DNS server; can be repeated
  search=DOMAIN        a domain in which names without a dot are looked for
                       too; can be repeated
  mac=ADDRESS          the hardware address; random, unless given. That of a tap
                       stays the same: see below
  dhcp                 asks a DHCP server for an address, the default route and
                       DNS servers
  autoconf             gives itself an IPv6 link-local address, and takes further
                       addresses and routes from router advertisements
  The last two are off unless given; dhcp=off and autoconf=off say so. Apps wait
  for what they bring, for as long as --wait says.
  temporary            with autoconf: speaks from IPv6 addresses with random
                       identifiers, each for a day (RFC 8981)
  link-local=off       no IPv6 link-local address, which there is otherwise

Keys of loopback:
  addr=ADDRESS/PREFIX  instead of 127.0.0.1/8 and ::1/128

Keys of all kinds:
  congestion=cubic|bbr|none  what keeps TCP from sending more than the path takes,
                       where an app does not choose: CUBIC, BBR, or nothing but
                       the peer's window. Unless given, none on a loopback and
                       on hubs that neither delay nor lose, else cubic

Ports of this machine that lead to apps:
  --publish 8080:80              port 8080 of 127.0.0.1 to port 80 of the app
  --publish 0.0.0.0:53:53/udp@dns   datagrams, from everywhere, to an app of several
  --publish 8000-8010:9000-9010  a range to a range of the same length
  --publish 8080:10.0.2.15:80    to this address of the app
  --publish 8080:80,proxy-protocol  with a line that names the peer (HAProxy's
                                 PROXY protocol; =v2 for version 2)

Which interfaces an app uses:
  All, as programs of one computer do. What an app sends to an address of one of
  its own interfaces then goes through lo, not over the link. An app that begins
  with @NAME[,NAME]... has those interfaces alone, which makes it a computer of
  its own, with a loopback of its own (lo1, lo2, ...). Two apps on two stacks, with a hub between them:

  xila-net run \\
    --interface a=hub,hub=net,addr=10.0.0.1/24,latency=5ms,loss=1% \\
    --interface b=hub,hub=net,addr=10.0.0.2/24 \\
    --app '@a http-server.wasm 10.0.0.1:80 --requests 1' \\
    --app '@b http-get.wasm http://10.0.0.1/ --wait 5'

  A component whose name begins with @ is written ./@...

What is remembered:
  Of each tap, by its name: the hardware address that was drawn for it, and the
  lease, so that the next run gets the addresses of the one before. It is kept in
  $XDG_STATE_HOME/xila-net, or ~/.local/state/xila-net. A run that finds another
  with an interface of the same name under way has addresses of its own.

What apps may do on their interfaces:
  Everything, unless there are rules. Then they may do what a rule allows, and
  nothing else; with --deny alone, everything but that. The first rule that
  covers an operation decides: those of --deny, of --allow, of the file. Rules
  are for all apps, or for the one that @APP names by its component.

  tcp connect 10.0.0.0/8:80,8000-8999 on eth0     and what comes back
  tcp connect *.example.org:443                   and the resolution of the name
  tcp listen :80 from 192.0.2.0/24                and connections from there
  udp send [2001:db8::53]:53                      and what comes back
  udp bind :53    udp multicast 224.0.0.251    udp broadcast any
  icmp ping any   dns resolve example.org      control write set-mtu
  any             everything

  In a file each rule has a line, with allow or deny in front of it (but behind
  @APP); # begins a remark. `xila-net policy check FILE 'tcp connect
  example.org:443'` says what a file decides.

What apps may hold:
  As much as is reasonable for one app. --limit sets other limits, for all apps
  or for the one that @APP names. An app that reaches a limit gets an error, or
  waits as for a slow link if it sends too fast. The others do not notice.

  sockets=N  tcp-sockets=N  listeners=N  udp-sockets=N  icmp-sockets=N
  backlog=N            connections that wait for a listener
  ports=N              local ports of bound sockets
  memory=BYTES         with the units K, M and G: what is queued and cached
  queries=N  watches=N  files=N
                       name queries under way, watched interfaces, open devices
  rate=RATE            how fast it sends, such as 10Mbit
  packets=N/s  connections=N/s
                       how many it sends, and opens, in a second

HTTP and TLS:
  Apps have wasi:http 0.2 and 0.3 and wasi:tls, except with --simulate. A request
  is a connection of the app: rules such as 'tcp connect example.org:443' and
  limits hold for it. `xila-net serve --help` says how an app answers requests.

What an app may do to its interfaces:
  Use them. With --allow-control, it may also do what ip(8) does: show link,
  state, addresses, routes, neighbours and statistics, watch them change, and set
  them; with --allow-control=read, show and watch them. What one app sets, all
  apps on that interface live with.

Exit status:
  That of the app that failed first, 134 for one that trapped; 0 if none failed.
  1 if the apps could not be run, 2 for a mistake in the command line. 130 and
  143 after Ctrl-C and SIGTERM, which end the apps; after a second one, nothing
  more is waited for.";

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    fn run(words: &[&str]) -> RunArguments {
        let line = CommandLine::try_parse_from([&["xila-net", "run"], words].concat());
        match line.unwrap_or_else(|error| panic!("{error}")).command {
            Command::Run(run) => *run,
            Command::Serve(_) | Command::Policy(_) => panic!("another command"),
        }
    }

    #[test]
    fn the_options_of_serve_may_follow_the_component() {
        let words = ["xila-net", "serve", "@lo", "a.wasm", "--addr", "127.0.0.1:80", "--statistics", "--", "-v"];
        let line = CommandLine::try_parse_from(words).unwrap_or_else(|error| panic!("{error}"));
        let Command::Serve(serve) = line.command else { panic!("another command") };
        assert_eq!(serve.run.app, ["@lo", "a.wasm", "-v"]);
        assert_eq!((serve.address.as_str(), serve.run.statistics), ("127.0.0.1:80", true));
        for words in [&["xila-net", "serve", "a.wasm"][..], &["xila-net", "serve", "--addr", "127.0.0.1:80"]] {
            CommandLine::try_parse_from(words).expect_err("something is missing");
        }
    }

    #[test]
    fn the_definition_is_consistent() {
        CommandLine::command().debug_assert();
    }

    #[test]
    fn everything_after_the_component_is_the_apps() {
        let arguments = run(&["--statistics", "app.wasm", "-o", "file", "--interface", "x", "--", "-v"]);
        assert_eq!(arguments.app, ["app.wasm", "-o", "file", "--interface", "x", "--", "-v"]);
        assert!(arguments.statistics && arguments.interfaces.is_empty());
        assert_eq!(run(&["-vv", "@eth0", "app.wasm", "-v"]).app, ["@eth0", "app.wasm", "-v"]);
    }

    #[test]
    fn an_unknown_option_is_not_taken_for_a_component() {
        let line = CommandLine::try_parse_from(["xila-net", "run", "--statistic", "app.wasm"]);
        let problem = line.expect_err("a misspelt option").to_string();
        assert!(problem.contains("--statistic") && problem.contains("--statistics"), "{problem}");
    }
}
