//! The messages that the client sends in each phase.

use core::net::Ipv4Addr;

use super::message::{Kind, Request};
use super::{Client, Config, Datagram, Phase};
use crate::random::Random;
use crate::time::Instant;

impl Client {
    /// Makes the message of the current phase (RFC 2131 tables 4 and 5).
    pub(super) fn ask(&mut self, now: Instant, random: &mut Random) -> Option<Datagram> {
        let mut phase = self.phase;
        let request = |kind, (transaction, secs)| Request { secs, ..self.request(kind, transaction) };
        let datagram = match &mut phase {
            Phase::Selecting(exchange) => {
                let discover = request(Kind::Discover, exchange.repeat(now, random));
                let requested = self.remembered().map(|remembered| remembered.address);
                broadcast(Ipv4Addr::UNSPECIFIED, &Request { requested, ..discover })
            }
            Phase::Requesting { exchange, server, address } => {
                let select = request(Kind::Request, exchange.request(now, random));
                let select = Request { requested: Some(*address), server: Some(*server), ..select };
                broadcast(Ipv4Addr::UNSPECIFIED, &select)
            }
            Phase::Rebooting { exchange, address } => {
                let verify = request(Kind::Request, exchange.insist(now, random));
                broadcast(Ipv4Addr::UNSPECIFIED, &Request { requested: Some(*address), ..verify })
            }
            Phase::Renewing(exchange) => {
                let lease = self.lease.as_deref()?;
                let extend = request(Kind::Request, exchange.renew(lease.rebinds()?, now, random));
                let payload = Request { client: lease.address, broadcast: false, ..extend }.emit();
                Datagram { source: lease.address, destination: lease.server, payload }
            }
            Phase::Rebinding(exchange) => {
                let lease = self.lease.as_deref()?;
                let extend = request(Kind::Request, exchange.renew(lease.expires()?, now, random));
                broadcast(lease.address, &Request { client: lease.address, broadcast: false, ..extend })
            }
            Phase::Bound | Phase::Released => return None,
        };
        self.phase = phase;
        Some(datagram)
    }

    /// A message with the fields that all messages have.
    pub(super) fn request(&self, kind: Kind, transaction: u32) -> Request<'_> {
        let Config { host_name, remembered: _, longest_message, broadcast } = &self.config;
        let is_ended = matches!(kind, Kind::Release | Kind::Decline);
        Request {
            kind,
            transaction,
            secs: 0,
            broadcast: *broadcast && !is_ended,
            hardware: self.hardware,
            client: Ipv4Addr::UNSPECIFIED,
            requested: None,
            server: None,
            host_name: host_name.as_deref().filter(|name| (1..=255).contains(&name.len())),
            longest: (*longest_message).max(576),
        }
    }
}

/// A message to all servers.
pub(super) fn broadcast(source: Ipv4Addr, request: &Request<'_>) -> Datagram {
    Datagram { source, destination: Ipv4Addr::BROADCAST, payload: request.emit() }
}
