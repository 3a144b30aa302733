//! The option `--limit "[@APP] KEY=VALUE[,KEY=VALUE]..."`.

use super::app::{AppPlan, app_of};
use super::values;
use crate::policy::{Limits, Rate};

/// The limits that the command line gives.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct LimitsPlan(Vec<Setting>);

/// One option: the app it is for, if it names one, and the keys with their values.
#[derive(Debug, PartialEq, Eq)]
struct Setting {
    app: Option<String>,
    values: Vec<Value>,
}

/// The value of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Value {
    Count(Counted, usize),
    Memory(usize),
    /// Bytes per second.
    Rate(u64),
    Packets(u64),
    Connections(u64),
}

/// What the limit of a count is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Counted {
    Sockets,
    TcpSockets,
    Listeners,
    Backlog,
    UdpSockets,
    IcmpSockets,
    Ports,
    Queries,
    Watches,
    Files,
}

/// The keys of counts.
const COUNTS: [(&str, Counted); 10] = [
    ("sockets", Counted::Sockets),
    ("tcp-sockets", Counted::TcpSockets),
    ("listeners", Counted::Listeners),
    ("backlog", Counted::Backlog),
    ("udp-sockets", Counted::UdpSockets),
    ("icmp-sockets", Counted::IcmpSockets),
    ("ports", Counted::Ports),
    ("queries", Counted::Queries),
    ("watches", Counted::Watches),
    ("files", Counted::Files),
];

/// The other keys.
const OTHERS: [&str; 4] = ["memory", "rate", "packets", "connections"];

impl LimitsPlan {
    /// Parses the options. Error messages name the option and the wrong word.
    pub(super) fn new(options: &[String], apps: &[AppPlan]) -> Result<Self, String> {
        let parse = |text: &String| setting(text, apps).map_err(|problem| format!("--limit {text:?}: {problem}"));
        options.iter().map(parse).collect::<Result<_, _>>().map(Self)
    }

    /// The limits of an app. Where options contradict each other, the last one counts.
    pub(super) fn of(&self, app: &AppPlan) -> Limits {
        let mut limits = Limits::default();
        let settings = self.0.iter().filter(|setting| setting.app.as_ref().is_none_or(|name| app.is_named(name)));
        settings.flat_map(|setting| &setting.values).for_each(|value| value.set(&mut limits));
        limits
    }
}

fn setting(text: &str, apps: &[AppPlan]) -> Result<Setting, String> {
    let (app, rest) = app_of(text);
    if let Some(name) = app.filter(|name| !apps.iter().any(|app| app.is_named(name))) {
        return Err(AppPlan::unknown(name, apps));
    }
    let values = rest.trim().split(',').map(value).collect::<Result<_, _>>()?;
    Ok(Setting { app: app.map(str::to_owned), values })
}

fn value(text: &str) -> Result<Value, String> {
    let (key, value) = text.split_once('=').ok_or_else(|| format!("{text:?} is not KEY=VALUE; {}", keys()))?;
    let at = |problem: String| format!("{key}={problem}");
    let per_second = |value: &str| match value.strip_suffix("/s") {
        Some(number) => values::whole(number).map_err(at),
        None => Err(at(format!("{value}: not a number for each second, such as 100/s"))),
    };
    if let Some((_, counted)) = COUNTS.iter().find(|(name, _)| *name == key) {
        return Ok(Value::Count(*counted, values::whole(value).map_err(at)?));
    }
    match key {
        "memory" => Ok(Value::Memory(values::bytes(value).map_err(at)?)),
        "rate" => Ok(Value::Rate(values::rate(value).map_err(at)?.div_ceil(8))),
        "packets" => per_second(value).map(Value::Packets),
        "connections" => per_second(value).map(Value::Connections),
        _ => Err(format!("there is no key {key:?}; {}", keys())),
    }
}

fn keys() -> String {
    let names: Vec<&str> = COUNTS.iter().map(|(name, _)| *name).chain(OTHERS).collect();
    format!("the keys are {}", names.join(", "))
}

impl Value {
    fn set(self, limits: &mut Limits) {
        let Limits {
            sockets,
            tcp_sockets,
            listeners,
            backlog,
            udp_sockets,
            icmp_sockets,
            ports,
            buffer_bytes,
            queries,
            watches,
            files,
            rates,
        } = limits;
        match self {
            Self::Count(counted, most) => {
                *match counted {
                    Counted::Sockets => sockets,
                    Counted::TcpSockets => tcp_sockets,
                    Counted::Listeners => listeners,
                    Counted::Backlog => backlog,
                    Counted::UdpSockets => udp_sockets,
                    Counted::IcmpSockets => icmp_sockets,
                    Counted::Ports => ports,
                    Counted::Queries => queries,
                    Counted::Watches => watches,
                    Counted::Files => files,
                } = most;
            }
            Self::Memory(most) => *buffer_bytes = most,
            Self::Rate(bytes) => rates.bytes = Some(Rate::per_second(bytes)),
            Self::Packets(packets) => rates.packets = Some(Rate::per_second(packets)),
            // A program often opens several connections at once, and then none for a while.
            Self::Connections(connections) => {
                rates.connections = Some(Rate::per_second(connections).with_burst(connections));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::Rates;

    fn app(name: &str) -> AppPlan {
        AppPlan { interfaces: None, component: name.into(), arguments: Vec::new() }
    }

    fn plan(options: &[&str]) -> Result<LimitsPlan, String> {
        let options: Vec<String> = options.iter().map(|option| (*option).to_owned()).collect();
        LimitsPlan::new(&options, &[app("dir/a.wasm"), app("b.wasm")])
    }

    #[test]
    fn limits_are_for_all_apps_or_for_one() {
        let plan = plan(&["sockets=10,memory=64M", "@a rate=8Mbit,packets=100/s,sockets=5", "@b connections=3/s"]);
        let plan = plan.expect("limits");
        let [a, b] = ["a.wasm", "b.wasm"].map(|name| plan.of(&app(name)));
        assert_eq!((a.sockets, b.sockets, a.buffer_bytes, a.queries), (5, 10, 64 << 20, Limits::default().queries));
        let rates = Rates {
            bytes: Some(Rate { per_second: 1_000_000, burst: 100_000 }),
            packets: Some(Rate { per_second: 100, burst: 10 }),
            connections: None,
        };
        assert_eq!(a.rates, rates);
        assert_eq!(b.rates.connections, Some(Rate { per_second: 3, burst: 3 }));
    }

    #[test]
    fn each_count_has_a_key() {
        let all: Vec<String> = COUNTS.iter().map(|(name, _)| format!("{name}=7")).collect();
        let limits = plan(&[&all.join(",")]).expect("limits").of(&app("a.wasm"));
        let expected = Limits {
            sockets: 7,
            tcp_sockets: 7,
            listeners: 7,
            backlog: 7,
            udp_sockets: 7,
            icmp_sockets: 7,
            ports: 7,
            queries: 7,
            watches: 7,
            files: 7,
            ..Limits::default()
        };
        assert_eq!(limits, expected);
    }

    #[test]
    fn mistakes_are_pointed_at() {
        for (option, problem) in [
            ("socket=1", "there is no key \"socket\""),
            ("sockets", "\"sockets\" is not KEY=VALUE"),
            ("", "\"\" is not KEY=VALUE"),
            ("sockets=-1", "sockets=-1: not a whole number"),
            ("memory=1X", "memory=1X: not a size"),
            ("packets=5", "packets=5: not a number for each second, such as 100/s"),
            ("rate=5", "rate=5: not a rate"),
            ("@c sockets=1", "there is no app of that name"),
        ] {
            let told = plan(&[option]).expect_err(option);
            assert!(told.starts_with(&format!("--limit {option:?}: ")) && told.contains(problem), "{told}");
        }
    }
}
