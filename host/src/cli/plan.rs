//! The plan of a run: the whole command line, parsed and checked before anything is started.

use core::time::Duration;
use std::collections::BTreeSet;
use std::env::VarError;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use super::app::AppPlan;
use super::arguments::{RunArguments, ServeArguments};
use super::gateway::GatewayNetwork;
use super::hubs::Hubs;
use super::interface::{InterfacePlan, Kind};
use super::limits;
use super::policy::PolicyPlan;
use super::publish::PublishPlan;
use super::serve::ServePlan;
use super::services::HubServices;
use super::values;
use crate::manager::LOOPBACK;
use crate::platform::Access;
use crate::wasm::http::TlsRoots;

/// The plan of a run.
#[derive(Debug)]
pub(super) struct Plan {
    /// The interfaces: `lo`, those of the options, and the loopbacks of computers that have none of these.
    pub(super) interfaces: Vec<InterfacePlan>,
    pub(super) hubs: Hubs,
    /// The networks with a gateway.
    pub(super) gateways: Vec<GatewayNetwork>,
    /// The services on hubs.
    pub(super) services: Vec<HubServices>,
    pub(super) captures: Vec<CapturePlan>,
    /// The ports of this host that lead to apps.
    pub(super) published: Vec<PublishPlan>,
    pub(super) apps: Vec<AppPlan>,
    /// The app that answers requests; it is none of `apps`.
    pub(super) serve: Option<ServePlan>,
    /// The certificates that servers are verified by.
    pub(super) tls_roots: TlsRoots,
    /// Environment variables in addition to the inherited ones, which they replace.
    pub(super) environment: Vec<(String, String)>,
    pub(super) directories: Vec<DirectoryPlan>,
    /// The right of apps to control their interfaces.
    pub(super) control: Option<Access>,
    /// The rules about what apps may do; without them they may do everything on their interfaces.
    pub(super) policy: Option<PolicyPlan>,
    /// The file for denials.
    pub(super) audit: Option<PathBuf>,
    /// The maximum time for which apps wait for interfaces that configure themselves.
    pub(super) wait: Duration,
    pub(super) fail_fast: bool,
    pub(super) statistics: bool,
    pub(super) linger: Duration,
    /// The seed of the simulation; `None` if the apps run in real time.
    pub(super) simulate: Option<u64>,
    /// The time after which the remaining apps are ended.
    pub(super) limit: Option<Duration>,
    pub(super) threads: usize,
}

/// A capture of an interface to a file.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct CapturePlan {
    pub(super) interface: String,
    pub(super) file: PathBuf,
}

/// A folder that apps may use.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct DirectoryPlan {
    pub(super) host: PathBuf,
    pub(super) guest: String,
}

/// The maximum number of threads; more are taken for a mistake.
const MOST_THREADS: usize = 1024;

impl Plan {
    /// Whether apps reach the host's network, or are reached from there, by sockets of this process.
    pub(super) fn needs_host_sockets(&self) -> bool {
        let is_gateway = |interface: &InterfacePlan| matches!(interface.kind, Kind::Gateway { .. });
        !self.published.is_empty() || self.interfaces.iter().any(is_gateway)
    }

    /// The plan of `serve`. Error messages as for [`new`](Self::new).
    pub(super) fn serving(arguments: &ServeArguments) -> Result<Self, String> {
        let mut plan = Self::new(&arguments.run)?;
        if plan.simulate.is_some() {
            return Err("--simulate: requests come and are answered in real time; `xila-net run` simulates".into());
        }
        // The component that is named without an option is the last.
        let app = plan.apps.pop().ok_or("nothing to serve: name a component")?;
        plan.serve = Some(ServePlan::new(arguments, app)?);
        Ok(plan)
    }

    /// Parses the options and checks that they fit together. Error messages name the option and a solution.
    pub(super) fn new(arguments: &RunArguments) -> Result<Self, String> {
        let mut interfaces = vec![InterfacePlan::loopback()];
        let mut hubs = Hubs::new();
        let net = arguments.net.as_deref().map(|keys| net(keys, &arguments.interfaces));
        for text in arguments.interfaces.iter().chain(&net) {
            let plan = InterfacePlan::parse(text)?;
            if interfaces.iter().any(|known| known.name == plan.name) {
                return Err(format!(
                    "{}: there is an interface {} already; give it another name",
                    plan.option(),
                    plan.name
                ));
            }
            check_neighbours(&interfaces, &plan)?;
            join_hub(&mut hubs, &plan)?;
            interfaces.push(plan);
        }
        let gateways = GatewayNetwork::all(&interfaces)?;
        let services = services(&arguments.hubs, &mut hubs, &interfaces)?;
        let mut apps = apps(arguments)?;
        for app in &apps {
            for name in app.interfaces.iter().flatten() {
                known(&interfaces, name).map_err(|problem| format!("app {}: @{name}: {problem}", app.name()))?;
            }
        }
        add_loopbacks(&mut apps, &mut interfaces);
        let threads = Some(values::whole(&arguments.threads).map_err(|problem| format!("--threads {problem}"))?)
            .filter(|threads| (1..=MOST_THREADS).contains(threads))
            .ok_or_else(|| format!("--threads {}: it takes 1 to {MOST_THREADS}", arguments.threads))?;
        let simulate = arguments.simulate.as_deref().map(values::whole).transpose();
        let simulate = simulate.map_err(|problem| format!("--simulate {problem}"))?;
        if simulate.is_some() {
            interfaces.iter().try_for_each(simulated)?;
            if let Some(folder) = arguments.directories.first() {
                return Err(format!("--dir {folder}: --simulate has no folders, whose files are read in real time"));
            }
        }
        let published: Vec<PublishPlan> =
            arguments.published.iter().map(|text| PublishPlan::parse(text, &apps)).collect::<Result<_, _>>()?;
        if let (Some(text), true) = (arguments.published.first(), simulate.is_some()) {
            return Err(format!("--publish {text}: --simulate has no ports, whose peers live in real time"));
        }
        let limit = arguments.limit.as_deref().map(values::duration).transpose();
        Ok(Self {
            simulate,
            limit: limit.map_err(|problem| format!("--for {problem}"))?,
            captures: captures(&arguments.captures, &interfaces)?,
            environment: environment(&arguments.environment)?,
            directories: directories(&arguments.directories)?,
            serve: None,
            tls_roots: tls_roots(arguments.tls_roots.as_deref())?,
            control: arguments.allow_control.as_deref().map(control).transpose()?,
            policy: PolicyPlan::new(&arguments.allowed, &arguments.denied, arguments.policy.as_deref(), &apps)?,
            audit: arguments.audit.clone(),
            wait: values::patience(&arguments.wait).map_err(|problem| format!("--wait {problem}"))?,
            linger: values::duration(&arguments.linger).map_err(|problem| format!("--linger {problem}"))?,
            published,
            interfaces,
            hubs,
            gateways,
            services,
            apps,
            fail_fast: arguments.fail_fast,
            statistics: arguments.statistics,
            threads,
        })
    }
}

/// Adds an interface to its hub, if it has one.
fn join_hub(hubs: &mut Hubs, plan: &InterfacePlan) -> Result<(), String> {
    let Kind::Hub { hub, options } = &plan.kind else { return Ok(()) };
    hubs.entry(hub.clone())
        .or_default()
        .join(&plan.name, options)
        .map_err(|problem| format!("{}: {problem}", plan.option()))
}

/// Two interfaces on one hub, which may be the network of a gateway, must not have the same address.
fn check_neighbours(others: &[InterfacePlan], plan: &InterfacePlan) -> Result<(), String> {
    let Some(hub) = plan.kind.hub() else { return Ok(()) };
    for other in others.iter().filter(|other| other.kind.hub() == Some(hub)) {
        let has = |address: IpAddr| other.addresses.iter().any(|known| known.address() == address);
        let taken =
            plan.addresses.iter().find(|address| has(address.address())).map(|address| format!("addr={address}"));
        let mac = plan.hardware_address.filter(|mac| other.hardware_address == Some(*mac));
        if let Some(key) = taken.or_else(|| mac.map(|mac| format!("mac={mac}"))) {
            let (option, name) = (plan.option(), &other.name);
            return Err(format!("{option}: {key}: interface {name} on hub {hub} has it already"));
        }
    }
    Ok(())
}

/// Parses the descriptions of hubs. Each is of a hub that interfaces name.
fn services(texts: &[String], hubs: &mut Hubs, interfaces: &[InterfacePlan]) -> Result<Vec<HubServices>, String> {
    let mut all: Vec<HubServices> = Vec::new();
    for text in texts {
        let services = HubServices::parse(text)?;
        let option = services.option();
        if all.iter().any(|other| other.hub == services.hub) {
            return Err(format!("{option}: given twice; give all keys of a hub in one --hub"));
        }
        let Some(plan) = hubs.get_mut(&services.hub) else {
            let names: Vec<&str> = hubs.keys().map(String::as_str).collect();
            return Err(format!("{option}: no interface is on that hub; there are {}", names.join(", ")));
        };
        services.check_interfaces(interfaces)?;
        plan.give(&option, &services.options).map_err(|problem| format!("{option}: {problem}"))?;
        all.push(services);
    }
    Ok(all)
}

/// Gives a loopback to each set of interfaces that apps have and that has none: such a set is a computer of its own, and
/// every computer has one. Apps with the same set share it.
fn add_loopbacks(apps: &mut [AppPlan], interfaces: &mut Vec<InterfacePlan>) {
    let mut added: Vec<(BTreeSet<String>, String)> = Vec::new();
    for names in apps.iter_mut().filter_map(|app| app.interfaces.as_mut()) {
        let computer: BTreeSet<String> = names.iter().cloned().collect();
        let of_computer = |interface: &&InterfacePlan| computer.contains(&interface.name);
        if interfaces.iter().filter(of_computer).any(|interface| interface.kind == Kind::Loopback) {
            continue;
        }
        let known = added.iter().find(|(of, _)| *of == computer).map(|(_, name)| name.clone());
        names.push(known.unwrap_or_else(|| {
            let is_free = |name: &String| interfaces.iter().all(|interface| interface.name != *name);
            let name = (1..).map(|number| format!("{LOOPBACK}{number}")).find(is_free).unwrap_or_default();
            interfaces.push(InterfacePlan { name: name.clone(), ..InterfacePlan::loopback() });
            added.push((computer, name.clone()));
            name
        }));
    }
}

/// Refuses a TAP and a gateway in a simulation, because their peers live in real time.
fn simulated(plan: &InterfacePlan) -> Result<(), String> {
    match plan.kind {
        Kind::Loopback | Kind::Hub { .. } => Ok(()),
        Kind::Tap { .. } => Err(format!("{}: --simulate has no TAP, whose peers live in real time", plan.option())),
        Kind::Gateway { .. } => Err(format!("{}: --simulate has no gateway, behind which time is real", plan.option())),
    }
}

fn apps(arguments: &RunArguments) -> Result<Vec<AppPlan>, String> {
    let mut apps: Vec<AppPlan> = arguments.apps.iter().map(|text| AppPlan::parse(text)).collect::<Result<_, _>>()?;
    if !arguments.app.is_empty() {
        apps.push(AppPlan::from_words(arguments.app.clone())?);
    }
    if apps.is_empty() {
        return Err("nothing to run: name a component, as in `xila-net run app.wasm`, or give --app".into());
    }
    limits::set_all(&arguments.limits, &mut apps)?;
    Ok(apps)
}

/// The interface of `--net`, as `--interface` takes it: a gateway under the first free name.
fn net(keys: &str, interfaces: &[String]) -> String {
    let is_free =
        |name: &String| interfaces.iter().all(|text| text.split_once('=').is_none_or(|(known, _)| known != name));
    let name = (0..).map(|number| format!("eth{number}")).find(is_free).unwrap_or_default();
    if keys.is_empty() { format!("{name}=gateway") } else { format!("{name}=gateway,{keys}") }
}

fn known(interfaces: &[InterfacePlan], name: &str) -> Result<(), String> {
    if interfaces.iter().any(|interface| interface.name == name) {
        return Ok(());
    }
    let names: Vec<&str> = interfaces.iter().map(|interface| interface.name.as_str()).collect();
    Err(format!("there is no interface {name}; there are {}", names.join(", ")))
}

fn captures(texts: &[String], interfaces: &[InterfacePlan]) -> Result<Vec<CapturePlan>, String> {
    let mut captures: Vec<CapturePlan> = Vec::new();
    for text in texts {
        let option = |problem: &str| format!("--pcap {text}: {problem}");
        let parts = text.split_once('=').filter(|(name, file)| !name.is_empty() && !file.is_empty());
        let (name, file) = parts.ok_or_else(|| option("not NAME=FILE, such as eth0=eth0.pcap"))?;
        known(interfaces, name).map_err(|problem| option(&problem))?;
        let plan = CapturePlan { interface: name.to_owned(), file: file.into() };
        if captures.iter().any(|other| other.interface == plan.interface) {
            return Err(option("the interface is captured already; one --pcap is enough"));
        }
        if captures.iter().any(|other| other.file == plan.file) {
            return Err(option("another --pcap writes that file; give each its own"));
        }
        captures.push(plan);
    }
    Ok(captures)
}

/// Reads the file of `--tls-roots`.
fn tls_roots(file: Option<&Path>) -> Result<TlsRoots, String> {
    let Some(file) = file else { return Ok(TlsRoots::of_the_host()) };
    TlsRoots::from_pem_file(file).map_err(|problem| format!("--tls-roots {}: {problem}", file.display()))
}

/// Parses the rights of `--allow-control`. The right to write includes the right to read.
fn control(text: &str) -> Result<Access, String> {
    match text {
        "read" => Ok(Access::READ),
        "write" => Ok(Access::READ_WRITE),
        _ => Err(format!("--allow-control={text}: it takes read or write, and is write without a value")),
    }
}

/// The variables of apps. Of several values for one the last counts.
fn environment(texts: &[String]) -> Result<Vec<(String, String)>, String> {
    let mut variables: Vec<(String, String)> = Vec::new();
    for text in texts {
        let (key, value) = text.split_once('=').map_or((&**text, None), |(key, value)| (key, Some(value.to_owned())));
        if key.is_empty() {
            return Err(format!("--env {text}: not KEY=VALUE, nor KEY for a variable of this environment"));
        }
        let value = value.map_or_else(|| inherited(key), Ok).map_err(|problem| format!("--env {text}: {problem}"))?;
        variables.retain(|(known, _)| known != key);
        variables.push((key.to_owned(), value));
    }
    Ok(variables)
}

/// A variable of the environment of this process.
fn inherited(key: &str) -> Result<String, &'static str> {
    std::env::var(key).map_err(|error| match error {
        VarError::NotPresent => "there is no such variable in this environment; KEY=VALUE sets one",
        VarError::NotUnicode(_) => "its value in this environment is not UTF-8, which the variables of apps have to be",
    })
}

fn directories(texts: &[String]) -> Result<Vec<DirectoryPlan>, String> {
    let mut directories: Vec<DirectoryPlan> = Vec::new();
    for text in texts {
        let (host, guest) = text.split_once("::").unwrap_or((text, text));
        if host.is_empty() || guest.is_empty() {
            return Err(format!("--dir {text}: not HOST or HOST::GUEST, such as pages::/"));
        }
        if directories.iter().any(|other| other.guest == guest) {
            return Err(format!("--dir {text}: another --dir is {guest} for the apps already"));
        }
        directories.push(DirectoryPlan { host: host.into(), guest: guest.to_owned() });
    }
    Ok(directories)
}

#[cfg(test)]
pub(super) mod tests {
    use clap::Parser as _;

    use super::*;
    use crate::cli::arguments::{Command, CommandLine};

    /// The plan of a command line.
    pub(in crate::cli) fn plan(words: &[&str]) -> Result<Plan, String> {
        let line = CommandLine::try_parse_from([&["xila-net", "run"], words].concat());
        match line.unwrap_or_else(|error| panic!("{error}")).command {
            Command::Run(run) => Plan::new(&run),
            Command::Serve(serve) => Plan::serving(&serve),
            Command::Policy(_) => panic!("another command"),
        }
    }

    fn problem(words: &[&str], parts: &[&str]) {
        let problem = plan(words).expect_err("a mistake");
        for part in parts {
            assert!(problem.contains(part), "{part:?} is not in {problem:?}");
        }
    }

    const A: &str = "a=hub,hub=net,addr=10.0.0.1/24,latency=5ms";
    const B: &str = "b=hub,hub=net,addr=10.0.0.2/24,loss=1%";

    #[test]
    fn interfaces_of_one_hub_are_joined_and_lo_comes_first() {
        let plan = plan(&["-i", A, "-i", B, "--app", "@a,lo x.wasm", "y.wasm", "-z"]).expect("a plan");
        assert_eq!(plan.interfaces.iter().map(|i| i.name.as_str()).collect::<Vec<_>>(), ["lo", "a", "b"]);
        let options = plan.hubs["net"].options(0);
        assert_eq!((options.latency, options.loss), (Duration::from_millis(5), 0.01));
        assert_eq!(plan.hubs["net"].ports, ["a", "b"]);
        assert_eq!(plan.apps.len(), 2);
        assert_eq!(plan.apps[1].arguments, ["-z"]);
        assert_eq!((plan.threads, plan.linger), (2, Duration::from_secs(10)));
    }

    #[test]
    fn a_computer_of_its_own_has_a_loopback_of_its_own() {
        let taken = "lo1=hub,hub=net,addr=10.0.0.3/24";
        let apps = ["--app", "@a x.wasm", "--app", "@b,a x.wasm", "--app", "@a,b x.wasm", "--app", "@b,lo x.wasm"];
        let plan = plan(&[&["-i", A, "-i", B, "-i", taken], &apps as &[_], &["x.wasm"]].concat()).expect("a plan");
        let names: Vec<&str> = plan.interfaces.iter().map(|interface| interface.name.as_str()).collect();
        assert_eq!(names, ["lo", "a", "b", "lo1", "lo2", "lo3"]);
        assert!(plan.interfaces[4..].iter().all(|interface| interface.kind == Kind::Loopback));
        let sets: Vec<Option<String>> =
            plan.apps.iter().map(|app| app.interfaces.as_ref().map(|names| names.join(","))).collect();
        assert_eq!(
            sets,
            [Some("a,lo2"), Some("b,a,lo3"), Some("a,b,lo3"), Some("b,lo"), None].map(|it| it.map(Into::into))
        );
    }

    #[test]
    fn contradictions_between_interfaces_are_refused() {
        problem(&["-i", A, "-i", A, "x.wasm"], &["--interface a=hub", "an interface a already"]);
        let other = "b=hub,hub=net,addr=10.0.0.2/24,latency=6ms";
        problem(&["-i", A, "-i", other, "x.wasm"], &["--interface b=hub", "latency= contradicts", "interface a"]);
        let same = "b=hub,hub=net,addr=10.0.0.1/16";
        problem(&["-i", A, "-i", same, "x.wasm"], &["addr=10.0.0.1/16", "interface a on hub net has it"]);
        let mac = [
            "a=hub,hub=n,addr=10.0.0.1/24,mac=02:00:00:00:00:01",
            "b=hub,hub=n,addr=10.0.0.2/24,mac=02:00:00:00:00:01",
        ];
        problem(&["-i", mac[0], "-i", mac[1], "x.wasm"], &["mac=02:00:00:00:00:01", "has it already"]);
        let gateways = ["a=gateway,hub=n,addr=10.0.2.9/24", "b=gateway,hub=n,addr=10.0.2.9/24"];
        problem(
            &["-i", gateways[0], "-i", gateways[1], "x.wasm"],
            &["addr=10.0.2.9/24", "interface a on hub n has it"],
        );
        plan(&["-i", A, "-i", "b=hub,hub=other,addr=10.0.0.1/24,latency=6ms", "x.wasm"]).expect("another hub");
    }

    #[test]
    fn there_has_to_be_something_to_run() {
        problem(&["-i", A], &["nothing to run", "--app"]);
        problem(&["@a"], &["no component"]);
    }

    #[test]
    fn names_have_to_exist() {
        problem(&["-i", A, "--app", "@b x.wasm"], &["app x.wasm: @b", "there are lo, a"]);
        problem(&["-i", A, "--pcap", "b=file", "x.wasm"], &["--pcap b=file", "there are lo, a"]);
    }

    #[test]
    fn captures_are_one_for_each_interface_and_file() {
        let captured = plan(&["-i", A, "--pcap", "a=a.pcap", "--pcap", "lo=dir/lo=1.pcap", "x.wasm"]).expect("a plan");
        assert_eq!(captured.captures[1], CapturePlan { interface: "lo".into(), file: "dir/lo=1.pcap".into() });
        problem(&["--pcap", "lo", "x.wasm"], &["--pcap lo: not NAME=FILE"]);
        problem(&["--pcap", "lo=", "x.wasm"], &["not NAME=FILE"]);
        problem(&["--pcap", "lo=x", "--pcap", "lo=y", "x.wasm"], &["captured already"]);
        problem(&["-i", A, "--pcap", "lo=x", "--pcap", "a=x", "x.wasm"], &["another --pcap writes that file"]);
    }

    #[test]
    fn the_other_options_are_checked_too() {
        let plan = plan(&["--dir", "/tmp::/", "--dir", ".", "x.wasm"]).expect("a plan");
        assert_eq!(plan.directories[0], DirectoryPlan { host: "/tmp".into(), guest: "/".into() });
        assert_eq!(plan.directories[1].guest, ".");
        problem(&["--dir", "::/", "x.wasm"], &["--dir ::/"]);
        problem(&["--dir", "a::/", "--dir", "b::/", "x.wasm"], &["another --dir"]);
        problem(&["--threads", "0", "x.wasm"], &["--threads 0: it takes 1 to 1024"]);
        problem(&["--threads", "two", "x.wasm"], &["--threads two: not a whole number"]);
        problem(&["--linger", "10", "x.wasm"], &["--linger 10: a time needs a unit"]);
        problem(&["--wait", "soon", "x.wasm"], &["--wait soon: not a time such as"]);
    }

    #[test]
    fn apps_have_the_variables_that_are_named() {
        let variables = |words: &[&str]| plan(&[words, &["x.wasm"]].concat()).expect("a plan").environment;
        assert_eq!(variables(&[]), []);
        let set = |key: &str, value: &str| (key.to_owned(), value.to_owned());
        assert_eq!(variables(&["--env", "A=b=c", "--env", "E="]), [set("A", "b=c"), set("E", "")]);
        assert_eq!(variables(&["--env", "A=1", "--env", "B=2", "--env", "A=3"]), [set("B", "2"), set("A", "3")]);
        // cargo sets it.
        assert_eq!(variables(&["--env", "CARGO_PKG_NAME"]), [set("CARGO_PKG_NAME", env!("CARGO_PKG_NAME"))]);
        problem(&["--env", "XILA_NONE", "x.wasm"], &["--env XILA_NONE: there is no such variable"]);
        for text in ["=b", "=", ""] {
            problem(&["--env", text, "x.wasm"], &["--env ", "not KEY=VALUE"]);
        }
    }

    #[test]
    fn roots_are_read_before_anything_is_started() {
        problem(&["--tls-roots", "/nonexistent", "x.wasm"], &["--tls-roots /nonexistent: cannot read it"]);
        problem(&["--tls-roots", "/dev/null", "x.wasm"], &["--tls-roots /dev/null: it has no certificate"]);
    }

    #[test]
    fn control_is_denied_unless_allowed() {
        let control = |words: &[&str]| {
            let plan = plan(&[words, &["x.wasm"]].concat()).expect("a plan");
            assert_eq!(plan.apps.len(), 1, "the component is no value of the option");
            plan.control
        };
        assert_eq!(control(&[]), None);
        assert_eq!(control(&["--allow-control"]), Some(Access::READ_WRITE));
        assert_eq!(control(&["--allow-control=write"]), Some(Access::READ_WRITE));
        assert_eq!(control(&["--allow-control=read"]), Some(Access::READ));
        problem(&["--allow-control=all", "x.wasm"], &["--allow-control=all: it takes read or write"]);
    }

    #[test]
    fn apps_wait_half_a_minute_for_the_configuration_of_interfaces_by_default() {
        assert_eq!(plan(&["x.wasm"]).expect("a plan").wait, Duration::from_secs(30));
        for (option, text, expected) in [
            ("--wait", "0", Duration::ZERO),
            ("--wait", "2.5", Duration::from_millis(2500)),
            ("--wait", "100ms", Duration::from_millis(100)),
            ("--dhcp-timeout", "200", Duration::from_secs(200)),
        ] {
            let told = plan(&["-i", "e=tap,device=t,dhcp", option, text, "x.wasm"]).expect("a plan");
            assert_eq!(told.wait, expected, "{option} {text}");
            assert!(told.interfaces[1].dhcp);
        }
    }
}
