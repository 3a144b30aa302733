//! The options of gateways: keys of `--interface NAME=gateway`.

use std::net::{IpAddr, Ipv4Addr};

use super::interface::{InterfacePlan, Kind};
use super::values::{self, once, switch};
use crate::address::Cidr;
use crate::gateway::{self, GatewayOptions, InvalidDestinations};

/// The keys with values of `--interface NAME=gateway` that are options of the gateway.
pub(super) const KEYS: [&str; 3] = ["network", "allow-host", "mtu"];
/// Its keys that need no value.
pub(super) const SWITCHES: [&str; 1] = ["allow-private"];

/// The plan of a gateway, as far as an interface gives it.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct GatewayPlan {
    network: Option<(Ipv4Addr, u8)>,
    mtu: Option<usize>,
    allow_private: Option<bool>,
    allowed: Vec<gateway::Destinations>,
}

impl GatewayPlan {
    /// Parses one key. Returns false if it is not a gateway's. Error messages begin with the value.
    pub(super) fn set(&mut self, key: &str, value: &str) -> Result<bool, String> {
        match key {
            "network" => {
                let problem = || format!("{value}: not the gateway's address in its network, such as 10.0.2.2/24");
                let network: Cidr = value.parse().map_err(|_| problem())?;
                let IpAddr::V4(address) = network.address() else { return Err(problem()) };
                if !gateway::is_router(address, network.prefix()) || network.prefix() < 8 {
                    return Err(problem());
                }
                once(&mut self.network, value, (address, network.prefix()))?;
            }
            "mtu" => once(&mut self.mtu, value, values::whole(value)?)?,
            "allow-private" => once(&mut self.allow_private, value, switch(value)?)?,
            "allow-host" => {
                let allowed = value.parse().map_err(|problem: InvalidDestinations| problem.to_string())?;
                self.allowed.push(allowed);
            }
            _ => return Ok(false),
        }
        Ok(true)
    }

    /// The options of the gateway.
    pub(super) fn options(&self) -> GatewayOptions {
        let mut options = GatewayOptions::default();
        options.v4 = self.network.unwrap_or(options.v4);
        options.mtu = self.mtu.unwrap_or(options.mtu);
        options.outside.private = self.allow_private.unwrap_or(false);
        options.outside.allowed.clone_from(&self.allowed);
        options
    }
}

/// A network with a gateway, and the interfaces on it.
#[derive(Debug)]
pub(super) struct GatewayNetwork {
    /// Its name, by which several interfaces are on it.
    hub: Option<String>,
    /// The names of the interfaces.
    pub(super) interfaces: Vec<String>,
    /// The options, and the option of the interface that gives them.
    given: Option<(GatewayPlan, String)>,
}

impl GatewayNetwork {
    /// The networks of these interfaces.
    ///
    /// # Errors
    /// The interfaces that contradict each other: two that give options of one gateway, which would be that of both, or
    /// two of different kinds that name the same network.
    pub(super) fn all(interfaces: &[InterfacePlan]) -> Result<Vec<Self>, String> {
        let mut networks: Vec<Self> = Vec::new();
        for interface in interfaces {
            let Kind::Gateway { hub, options } = &interface.kind else { continue };
            if interface.name.eq_ignore_ascii_case(gateway::HOST) {
                return Err(format!(
                    "{}: host.internal is this machine on a gateway; give the interface another name",
                    interface.option()
                ));
            }
            let known = networks.iter().position(|network| hub.is_some() && network.hub == *hub);
            let place = known.unwrap_or_else(|| {
                networks.push(Self { hub: hub.clone(), interfaces: Vec::new(), given: None });
                networks.len() - 1
            });
            let network = &mut networks[place];
            network.interfaces.push(interface.name.clone());
            if *options == GatewayPlan::default() {
                continue;
            }
            if let Some((_, other)) = network.given.replace((options.clone(), interface.option())) {
                return Err(format!(
                    "{}: {other} gives options of the same gateway already; give all of them there",
                    interface.option()
                ));
            }
        }
        for interface in interfaces {
            if let Kind::Hub { hub, .. } = &interface.kind
                && networks.iter().any(|network| network.hub.as_ref() == Some(hub))
            {
                return Err(format!(
                    "{}: hub={hub} is the network of a gateway; join it with {}=gateway,hub={hub}",
                    interface.option(),
                    interface.name
                ));
            }
        }
        Ok(networks)
    }

    /// The options of the gateway.
    pub(super) fn options(&self) -> GatewayOptions {
        self.given.as_ref().map_or_else(GatewayOptions::default, |(plan, _)| plan.options())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(texts: &[&str]) -> Vec<InterfacePlan> {
        texts.iter().map(|text| InterfacePlan::parse(text).expect(text)).collect()
    }

    #[test]
    fn interfaces_with_one_name_are_on_one_network() {
        let plans = parse(&["a=gateway", "b=gateway,hub=lan", "c=gateway,mtu=1400", "d=gateway,hub=lan,mtu=1500"]);
        let networks = GatewayNetwork::all(&plans).expect("networks");
        let seen: Vec<_> =
            networks.iter().map(|it| (it.hub.as_deref(), it.interfaces.join(" "), it.options().mtu)).collect();
        let expected = [(None, "a".into(), 65520), (Some("lan"), "b d".into(), 1500), (None, "c".into(), 1400)];
        assert_eq!(seen, expected);
    }

    #[test]
    fn what_can_never_be_is_refused() {
        let problem = |text: &str| InterfacePlan::parse(text).expect_err(text);
        for network in
            ["255.255.255.1/24", "10.0.2.0/24", "10.0.2.255/24", "127.0.0.2/24", "224.0.0.2/24", "0.0.0.2/24"]
        {
            let problem = problem(&format!("a=gateway,network={network}"));
            assert!(problem.contains("not the gateway's address in its network"), "{problem}");
        }
        let problem = problem("a=gateway,allow-host=::ffff:127.0.0.1");
        assert!(problem.contains("give the IPv4 address"), "{problem}");
    }

    #[test]
    fn the_name_of_the_machine_is_no_interface_s() {
        let problem = GatewayNetwork::all(&parse(&["Host=gateway"])).expect_err("it is taken");
        assert!(problem.starts_with("--interface Host=gateway: host.internal is this machine"), "{problem}");
    }

    #[test]
    fn contradictions_name_both_sides() {
        let twice = parse(&["a=gateway,hub=lan,mtu=1400", "b=gateway,hub=lan,allow-host=80"]);
        let problem = GatewayNetwork::all(&twice).expect_err("two give options");
        assert!(problem.starts_with("--interface b=gateway: --interface a=gateway gives options"), "{problem}");
        let mixed = parse(&["a=gateway,hub=lan", "b=hub,hub=lan,addr=10.0.2.20/24"]);
        let problem = GatewayNetwork::all(&mixed).expect_err("two kinds");
        assert!(problem.starts_with("--interface b=hub: hub=lan is the network of a gateway"), "{problem}");
    }
}
