//! The option `--limit "[@APP] KEY=VALUE[,KEY=VALUE]..."`.

use super::app::{AppPlan, app_of};
use super::values;
use crate::policy::{Limits, Rate};

/// One of the limits that are counts.
type Count = fn(&mut Limits) -> &mut usize;

/// The keys of counts, each with the limit that it sets.
const COUNTS: [(&str, Count); 10] = [
    ("sockets", |limits| &mut limits.sockets),
    ("tcp-sockets", |limits| &mut limits.tcp_sockets),
    ("listeners", |limits| &mut limits.listeners),
    ("backlog", |limits| &mut limits.backlog),
    ("udp-sockets", |limits| &mut limits.udp_sockets),
    ("icmp-sockets", |limits| &mut limits.icmp_sockets),
    ("ports", |limits| &mut limits.ports),
    ("queries", |limits| &mut limits.queries),
    ("watches", |limits| &mut limits.watches),
    ("files", |limits| &mut limits.files),
];

/// The other keys.
const OTHERS: [&str; 4] = ["memory", "rate", "packets", "connections"];

/// Sets the limits of the apps as the options say. Where options contradict each other, the last one counts. Error
/// messages name the option and the wrong word.
pub(super) fn set_all(options: &[String], apps: &mut [AppPlan]) -> Result<(), String> {
    for option in options {
        set_from(option, apps).map_err(|problem| format!("--limit {option:?}: {problem}"))?;
    }
    Ok(())
}

fn set_from(option: &str, apps: &mut [AppPlan]) -> Result<(), String> {
    let (name, pairs) = app_of(option);
    let is_meant = |app: &AppPlan| name.is_none_or(|name| app.is_named(name));
    if let Some(name) = name.filter(|_| !apps.iter().any(is_meant)) {
        return Err(AppPlan::unknown(name, apps));
    }
    for app in apps.iter_mut().filter(|app| is_meant(app)) {
        pairs.trim().split(',').try_for_each(|pair| set(&mut app.limits, pair))?;
    }
    Ok(())
}

fn set(limits: &mut Limits, pair: &str) -> Result<(), String> {
    let (key, value) = pair.split_once('=').ok_or_else(|| format!("{pair:?} is not KEY=VALUE; {}", keys()))?;
    let at = |problem: String| format!("{key}={problem}");
    let per_second = || match value.strip_suffix("/s") {
        Some(number) => match values::whole(number).map_err(at)? {
            0 => Err(at(format!("{value}: a rate is at least 1/s; `--deny` forbids all"))),
            number => Ok(number),
        },
        None => Err(at(format!("{value}: not a number for each second, such as 100/s"))),
    };
    if let Some((_, count)) = COUNTS.iter().find(|(name, _)| *name == key) {
        *count(limits) = values::whole(value).map_err(at)?;
        return Ok(());
    }
    match key {
        "memory" => limits.buffer_bytes = values::bytes(value).map_err(at)?,
        "rate" => limits.rates.bytes = Some(Rate::per_second(values::rate(value).map_err(at)?.div_ceil(8))),
        "packets" => limits.rates.packets = Some(Rate::per_second(per_second()?)),
        // A program often opens several connections at once, and then none for a while.
        "connections" => {
            let connections = per_second()?;
            limits.rates.connections = Some(Rate::per_second(connections).with_burst(connections));
        }
        _ => return Err(format!("there is no key {key:?}; {}", keys())),
    }
    Ok(())
}

fn keys() -> String {
    let names: Vec<&str> = COUNTS.iter().map(|(name, _)| *name).chain(OTHERS).collect();
    format!("the keys are {}", names.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::Rates;

    /// The limits of `a.wasm` and `b.wasm`.
    fn limits(options: &[&str]) -> Result<[Limits; 2], String> {
        let options: Vec<String> = options.iter().map(|option| (*option).to_owned()).collect();
        let mut apps = ["dir/a.wasm", "b.wasm"].map(|name| AppPlan::new(name.into()));
        set_all(&options, &mut apps)?;
        Ok(apps.map(|app| app.limits))
    }

    #[test]
    fn limits_are_for_all_apps_or_for_one() {
        let limits = limits(&["sockets=10,memory=64M", "@a rate=8Mbit,packets=100/s,sockets=5", "@b connections=3/s"]);
        let [a, b] = limits.expect("limits");
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
        let [limits, _] = limits(&[&all.join(",")]).expect("limits");
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
            ("packets=0/s", "packets=0/s: a rate is at least 1/s"),
            ("connections=0/s", "connections=0/s: a rate is at least 1/s"),
            ("rate=5", "rate=5: not a rate"),
            ("@c sockets=1", "there is no app of that name"),
        ] {
            let told = limits(&[option]).expect_err(option);
            assert!(told.starts_with(&format!("--limit {option:?}: ")) && told.contains(problem), "{told}");
        }
    }
}
