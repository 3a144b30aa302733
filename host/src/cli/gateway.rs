//! The options of gateways: keys of `--interface NAME=gateway`.

use std::net::{IpAddr, Ipv4Addr};

use super::values;
use crate::address::Cidr;
use crate::gateway::GatewayOptions;

/// The keys with values of `--interface NAME=gateway` that are options of the gateway.
pub(super) const KEYS: [&str; 3] = ["network", "allow-host", "mtu"];
/// Its keys that need no value.
pub(super) const SWITCHES: [&str; 1] = ["allow-private"];

/// The plan of a gateway, as far as its interface gives it.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct GatewayPlan {
    network: Option<(Ipv4Addr, u8)>,
    mtu: Option<usize>,
    allow_private: Option<bool>,
    allowed: Vec<crate::gateway::Destinations>,
}

impl GatewayPlan {
    /// Parses one key. Returns false if it is not a gateway's. Error messages begin with the value.
    pub(super) fn set(&mut self, key: &str, value: &str) -> Result<bool, String> {
        match key {
            "network" => {
                let problem = || format!("{value}: not the gateway's address in its network, such as 10.0.2.2/24");
                let network: Cidr = value.parse().map_err(|_| problem())?;
                let IpAddr::V4(address) = network.address() else { return Err(problem()) };
                if !(8..=29).contains(&network.prefix()) || network.network().address() == address {
                    return Err(problem());
                }
                once(&mut self.network, value, (address, network.prefix()))?;
            }
            "mtu" => once(&mut self.mtu, value, values::whole(value)?)?,
            "allow-private" => match value {
                "on" => once(&mut self.allow_private, value, true)?,
                "off" => once(&mut self.allow_private, value, false)?,
                _ => return Err(format!("{value}: it takes on or off, and is on without a value")),
            },
            "allow-host" => {
                let allowed = value.parse().map_err(|_| {
                    format!(
                        "{value}: not a port of this host such as 8080 or 8000-8010, nor an address, network or \
                         ADDRESS:PORT of another one"
                    )
                })?;
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

fn once<T>(place: &mut Option<T>, text: &str, value: T) -> Result<(), String> {
    match place.replace(value) {
        None => Ok(()),
        Some(_) => Err(format!("{text}: given twice")),
    }
}
