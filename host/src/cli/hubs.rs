//! The options of hubs, which the interfaces on a hub and the option `--hub` give together.

use core::mem::discriminant;
use std::collections::BTreeMap;
use std::time::Duration;

use super::values;
use crate::device::hub::HubOptions;

/// The keys of `--interface NAME=hub` that are options of the hub, not of the interface on it.
pub(super) const KEYS: [&str; 9] =
    ["mtu", "latency", "jitter", "loss", "duplication", "reordering", "rate", "queue", "seed"];

/// One option of a hub.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum HubOption {
    Mtu(usize),
    Latency(Duration),
    Jitter(Duration),
    Loss(f64),
    Duplication(f64),
    Reordering(f64),
    Rate(u64),
    Queue(usize),
    Seed(u64),
}

impl HubOption {
    /// Parses an option of a hub. `None` if the key is not one of [`KEYS`].
    pub(super) fn parse(key: &str, value: &str) -> Result<Option<Self>, String> {
        let option = match key {
            "mtu" => Self::Mtu(values::whole(value)?),
            "latency" => Self::Latency(values::duration(value)?),
            "jitter" => Self::Jitter(values::duration(value)?),
            "loss" => Self::Loss(values::probability(value)?),
            "duplication" => Self::Duplication(values::probability(value)?),
            "reordering" => Self::Reordering(values::probability(value)?),
            "rate" => Self::Rate(values::rate(value)?),
            "queue" => Self::Queue(values::whole(value)?),
            "seed" => Self::Seed(values::whole(value)?),
            _ => return Ok(None),
        };
        let mut options = HubOptions::default();
        option.apply(&mut options);
        match options.validate() {
            Ok(()) => Ok(Some(option)),
            Err(invalid) => Err(format!("{value}: it takes {}", invalid.range)),
        }
    }

    fn apply(self, options: &mut HubOptions) {
        match self {
            Self::Mtu(mtu) => options.mtu = mtu,
            Self::Latency(latency) => options.latency = latency,
            Self::Jitter(jitter) => options.jitter = jitter,
            Self::Loss(loss) => options.loss = loss,
            Self::Duplication(duplication) => options.duplication = duplication,
            Self::Reordering(reordering) => options.reordering = reordering,
            Self::Rate(rate) => options.rate = Some(rate),
            Self::Queue(queue) => options.queue = queue,
            Self::Seed(seed) => options.seed = seed,
        }
    }

    const fn key(self) -> &'static str {
        match self {
            Self::Mtu(_) => "mtu",
            Self::Latency(_) => "latency",
            Self::Jitter(_) => "jitter",
            Self::Loss(_) => "loss",
            Self::Duplication(_) => "duplication",
            Self::Reordering(_) => "reordering",
            Self::Rate(_) => "rate",
            Self::Queue(_) => "queue",
            Self::Seed(_) => "seed",
        }
    }
}

/// The plan of one hub, from the options of all interfaces on it.
#[derive(Debug, Default)]
pub(super) struct HubPlan {
    /// The interfaces on it.
    pub(super) ports: Vec<String>,
    /// Each option with who gave it first, in words.
    given: Vec<(HubOption, String)>,
}

/// Hubs by name.
pub(super) type Hubs = BTreeMap<String, HubPlan>;

impl HubPlan {
    /// Adds an interface with the options that it gives.
    pub(super) fn join(&mut self, interface: &str, options: &[HubOption]) -> Result<(), String> {
        self.give(&format!("interface {interface}"), options)?;
        self.ports.push(interface.to_owned());
        Ok(())
    }

    /// Adds the options that somebody gives.
    pub(super) fn give(&mut self, giver: &str, options: &[HubOption]) -> Result<(), String> {
        for option in options {
            let known = self.given.iter().find(|(known, _)| discriminant(known) == discriminant(option));
            match known {
                Some((known, other)) if known != option => {
                    let key = option.key();
                    return Err(format!(
                        "{key}= contradicts the {key}= of {other} on the same hub; give it on one of them"
                    ));
                }
                Some(_) => {}
                None => self.given.push((*option, giver.to_owned())),
            }
        }
        Ok(())
    }

    /// All options. `seed` is used if no interface gives a seed.
    pub(super) fn options(&self, seed: u64) -> HubOptions {
        let mut options = HubOptions { seed, ..HubOptions::default() };
        self.given.iter().for_each(|(option, _)| option.apply(&mut options));
        options
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn option(key: &str, value: &str) -> HubOption {
        HubOption::parse(key, value).expect(value).expect(key)
    }

    #[test]
    fn every_key_is_an_option_that_names_itself() {
        for key in KEYS {
            let value = match key {
                "mtu" => "1500",
                "latency" | "jitter" => "5ms",
                "rate" => "1Mbit",
                "loss" | "duplication" | "reordering" => "1%",
                _ => "7",
            };
            assert_eq!(option(key, value).key(), key);
        }
        assert_eq!(HubOption::parse("addr", "x"), Ok(None));
    }

    #[test]
    fn values_outside_their_range_are_refused_with_the_range() {
        assert_eq!(HubOption::parse("mtu", "100"), Err("100: it takes 1280 to 65535 bytes".into()));
        assert_eq!(HubOption::parse("queue", "0"), Err("0: it takes 1 to 65536 frames".into()));
        assert_eq!(HubOption::parse("latency", "3601s"), Err("3601s: it takes up to an hour".into()));
    }

    #[test]
    fn ports_give_options_together() {
        let mut plan = HubPlan::default();
        plan.join("a", &[option("latency", "5ms"), option("loss", "1%")]).expect("first");
        plan.join("b", &[option("seed", "7"), option("loss", "0.01")]).expect("the same loss");
        plan.join("c", &[]).expect("none");
        let expected = HubOptions { latency: Duration::from_millis(5), loss: 0.01, seed: 7, ..HubOptions::default() };
        assert_eq!(plan.options(0), expected);
        assert_eq!(plan.ports, ["a", "b", "c"]);
    }

    #[test]
    fn contradictions_are_refused() {
        let mut plan = HubPlan::default();
        plan.join("a", &[option("latency", "5ms")]).expect("first");
        let problem = plan.join("b", &[option("latency", "6ms")]).expect_err("another latency");
        assert!(problem.contains("latency=") && problem.contains("interface a"), "{problem}");
    }
}
