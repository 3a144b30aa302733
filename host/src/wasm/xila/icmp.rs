//! `xila:network/icmp`.

use std::future::poll_fn;
use std::sync::Arc;
use std::task::{Context, Poll};

use wasmtime::component::{Accessor, Resource};

use super::types::NetworkError;
use crate::error::{Error, Result};
use crate::platform::Clock;
use crate::policy::{Charge, SocketKind};
use crate::socket::{self, IcmpBinding, IcmpMessage, PingOptions as HostPingOptions};
use crate::stack::icmp::MOST_QUEUED;
use crate::wasm::bindings::icmp::{
    Binding, EchoReply, ErrorKind, ErrorReport, Host, HostIcmpSocket, HostIcmpSocketWithStore, HostWithStore, Message,
    PingOptions, PingReply,
};
use crate::wasm::bindings::types::{Duration, IpAddress, IpAddressFamily};
use crate::wasm::failure::{get, push};
use crate::wasm::units::{self, duration, hop_limit, nanoseconds};
use crate::wasm::{HasNetwork, NetworkCtxView, payload};

/// An upper bound of the payload of an IP packet in bytes: the maximum of the length field, headers not subtracted (RFC
/// 791, RFC 8200).
const MOST_PAYLOAD: u32 = u16::MAX as u32;

/// The resource of an `icmp-socket` handle. Waiting calls share the socket with it.
pub struct IcmpSocket(Arc<Bound>);

struct Bound {
    socket: socket::IcmpSocket,
    clock: Arc<dyn Clock>,
    charge: Charge,
}

impl NetworkCtxView<'_> {
    fn icmp_socket(&self, handle: &Resource<IcmpSocket>) -> wasmtime::Result<&socket::IcmpSocket> {
        Ok(&get(self.table, handle)?.0.socket)
    }
}

/// The socket of a handle, for a call that may wait.
fn shared<T>(accessor: &Accessor<T, HasNetwork>, handle: &Resource<IcmpSocket>) -> wasmtime::Result<Arc<Bound>> {
    accessor.with(|mut access| get(access.get().table, handle).map(|found| found.0.clone()))
}

impl Host for NetworkCtxView<'_> {}

impl<T: Send + 'static> HostWithStore<T> for HasNetwork {
    async fn ping(
        accessor: &Accessor<T, Self>,
        remote: IpAddress,
        options: PingOptions,
    ) -> Result<PingReply, NetworkError> {
        if options.size.is_some_and(|size| size > MOST_PAYLOAD) {
            return Err(Error::PacketTooLarge.into());
        }
        let asked = ping_options(&options)?;
        // The charge is held until the reply is there or the guest gives up, because a ping uses a socket for that
        // time.
        let (network, quota, _charge) = accessor.with(|mut access| {
            let view = access.get();
            let quota = view.ctx.quota().clone();
            let charge = quota.charge(SocketKind::Icmp, MOST_QUEUED)?;
            Ok::<_, Error>((view.ctx.network(options.interface.as_deref())?, quota, charge))
        })?;
        Ok(quota.count(socket::ping(&network, remote.into(), &asked).await)?.into())
    }
}

impl<T: Send + 'static> HostIcmpSocketWithStore<T> for HasNetwork {
    async fn send(
        accessor: &Accessor<T, Self>,
        socket: Resource<IcmpSocket>,
        remote: IpAddress,
        sequence: u16,
        data: Vec<u8>,
    ) -> Result<(), NetworkError> {
        let bound = shared(accessor, &socket)?;
        let send = bound.socket.send_to(remote.into(), sequence, &data);
        Ok(payload::sent(bound.charge.quota(), data.len(), send).await?)
    }

    async fn receive(
        accessor: &Accessor<T, Self>,
        socket: Resource<IcmpSocket>,
        timeout: Option<Duration>,
    ) -> Result<Message, NetworkError> {
        let bound = shared(accessor, &socket)?;
        let receive = |context: &mut Context<'_>| bound.socket.poll_recv(context).map_err(Error::from);
        Ok(within(&*bound.clock, timeout.map(duration), receive).await?.into())
    }
}

impl HostIcmpSocket for NetworkCtxView<'_> {
    fn bind(
        &mut self,
        family: IpAddressFamily,
        binding: Binding,
        interface: Option<String>,
    ) -> Result<Resource<IcmpSocket>, NetworkError> {
        let network = self.ctx.network(interface.as_deref())?;
        let quota = self.ctx.quota();
        let charge = quota.charge(SocketKind::Icmp, MOST_QUEUED)?;
        let socket = quota.count(socket::IcmpSocket::bind(&network, family.into(), binding.into()))?;
        let clock = network.platform().clock.clone();
        Ok(push(self.table, IcmpSocket(Arc::new(Bound { socket, clock, charge })))?)
    }

    fn binding(&mut self, socket: Resource<IcmpSocket>) -> wasmtime::Result<Binding> {
        Ok(self.icmp_socket(&socket)?.binding().into())
    }

    fn hop_limit(&mut self, socket: Resource<IcmpSocket>) -> wasmtime::Result<u8> {
        Ok(self.icmp_socket(&socket)?.hop_limit().octet())
    }

    fn set_hop_limit(&mut self, socket: Resource<IcmpSocket>, value: u8) -> Result<(), NetworkError> {
        self.icmp_socket(&socket)?.set_hop_limit(hop_limit(value)?);
        Ok(())
    }

    fn drop(&mut self, socket: Resource<IcmpSocket>) -> wasmtime::Result<()> {
        self.table.delete(socket)?;
        Ok(())
    }
}

/// Waits for the result of `poll`, at most for `timeout`. A result that is there already is returned even with a
/// timeout of zero.
async fn within<R>(
    clock: &dyn Clock,
    timeout: Option<core::time::Duration>,
    poll: impl FnMut(&mut Context<'_>) -> Poll<Result<R>>,
) -> Result<R> {
    let polled = poll_fn(poll);
    match timeout {
        Some(timeout) => clock.within(timeout, polled).await.unwrap_or(Err(Error::TimedOut)),
        None => polled.await,
    }
}

/// # Errors
/// [`Error::InvalidArgument`] for a hop limit of 0.
fn ping_options(options: &PingOptions) -> Result<HostPingOptions> {
    let &PingOptions { sequence, size, timeout, hop_limit: hops, interface: _ } = options;
    let default = HostPingOptions::default();
    Ok(HostPingOptions {
        sequence: sequence.unwrap_or(default.sequence),
        size: size.map_or(default.size, |size| units::size(size.into())),
        timeout: timeout.map_or(default.timeout, duration),
        hop_limit: hops.map_or(Ok(default.hop_limit), hop_limit)?,
    })
}

impl From<Binding> for IcmpBinding {
    fn from(binding: Binding) -> Self {
        match binding {
            Binding::Echo(identifier) => Self::Echo(identifier),
            Binding::UdpPort(port) => Self::UdpPort(port),
            Binding::TcpPort(port) => Self::TcpPort(port),
        }
    }
}

impl From<IcmpBinding> for Binding {
    fn from(binding: IcmpBinding) -> Self {
        match binding {
            IcmpBinding::Echo(identifier) => Self::Echo(identifier),
            IcmpBinding::UdpPort(port) => Self::UdpPort(port),
            IcmpBinding::TcpPort(port) => Self::TcpPort(port),
        }
    }
}

impl From<IcmpMessage> for Message {
    fn from(message: IcmpMessage) -> Self {
        match message {
            IcmpMessage::EchoReply(reply) => Self::EchoReply(reply.into()),
            IcmpMessage::Error(report) => Self::Error(report.into()),
        }
    }
}

impl From<socket::icmp::EchoReply> for EchoReply {
    fn from(reply: socket::icmp::EchoReply) -> Self {
        let socket::icmp::EchoReply { source, sequence, data, hop_limit } = reply;
        Self { source: source.into(), sequence, data, hop_limit }
    }
}

impl From<socket::icmp::IcmpReport> for ErrorReport {
    fn from(report: socket::icmp::IcmpReport) -> Self {
        let socket::icmp::IcmpReport { source, kind, destination, sequence, mtu } = report;
        Self { source: source.into(), kind: kind.into(), destination: destination.into(), sequence, mtu }
    }
}

impl From<socket::icmp::IcmpErrorKind> for ErrorKind {
    fn from(kind: socket::icmp::IcmpErrorKind) -> Self {
        use socket::icmp::IcmpErrorKind;
        match kind {
            IcmpErrorKind::Unreachable => Self::Unreachable,
            IcmpErrorKind::PortUnreachable => Self::PortUnreachable,
            IcmpErrorKind::Prohibited => Self::Prohibited,
            IcmpErrorKind::TimeExceeded => Self::TimeExceeded,
            IcmpErrorKind::PacketTooBig => Self::PacketTooBig,
            IcmpErrorKind::ParameterProblem => Self::ParameterProblem,
        }
    }
}

impl From<socket::PingReply> for PingReply {
    fn from(reply: socket::PingReply) -> Self {
        let socket::PingReply { source, sequence, size, hop_limit, round_trip_time } = reply;
        Self {
            source: source.into(),
            sequence,
            // The reply is not longer than the request, whose size has 32 bits.
            size: u32::try_from(size).unwrap_or(u32::MAX),
            hop_limit,
            round_trip_time: nanoseconds(round_trip_time),
        }
    }
}

#[cfg(test)]
mod tests {
    use core::time::Duration;

    use super::*;
    use crate::platform::simulated::Simulation;
    use crate::socket::HopLimit;
    use crate::socket::icmp::{IcmpErrorKind, IcmpReport};

    #[test]
    fn bindings_are_converted_without_loss() {
        for binding in [IcmpBinding::Echo(0), IcmpBinding::Echo(7), IcmpBinding::UdpPort(53), IcmpBinding::TcpPort(80)]
        {
            assert_eq!(IcmpBinding::from(Binding::from(binding)), binding);
        }
    }

    #[test]
    fn waiting_ends_when_the_time_is_over() {
        let simulation = Simulation::new(1);
        let clock = simulation.platform().clock;
        let start = clock.now();
        let never = |_: &mut Context<'_>| -> Poll<Result<()>> { Poll::Pending };
        let timeout = Duration::from_millis(1500);
        let waited = simulation.block_on(within(&*clock, Some(timeout), never));
        assert_eq!((waited, clock.now() - start), (Err(Error::TimedOut), timeout));

        let here = |_: &mut Context<'_>| Poll::Ready(Ok(7));
        assert_eq!(simulation.block_on(within(&*clock, Some(Duration::ZERO), here)), Ok(7));
        assert_eq!(simulation.block_on(within(&*clock, None, here)), Ok(7));
        let waited = simulation.block_on(within(&*clock, Some(Duration::ZERO), never));
        assert_eq!(waited, Err(Error::TimedOut));
    }

    #[test]
    fn missing_options_of_a_ping_are_the_hosts_defaults() {
        let open = PingOptions { sequence: None, size: None, timeout: None, hop_limit: None, interface: None };
        assert_eq!(ping_options(&open), Ok(HostPingOptions::default()));
        let chosen = PingOptions {
            sequence: Some(7),
            size: Some(1000),
            timeout: Some(5_000_000),
            hop_limit: Some(3),
            interface: Some("eth0".into()),
        };
        let expected = HostPingOptions {
            sequence: 7,
            size: 1000,
            timeout: Duration::from_millis(5),
            hop_limit: HopLimit::new(3).unwrap(),
        };
        assert_eq!(ping_options(&chosen), Ok(expected));
        let nowhere = PingOptions { hop_limit: Some(0), ..chosen };
        assert_eq!(ping_options(&nowhere), Err(Error::InvalidArgument));
    }

    #[test]
    fn a_reply_is_converted_without_loss() {
        let source = [192, 0, 2, 1].into();
        let reply = socket::icmp::EchoReply { source, sequence: 9, data: b"echo".to_vec(), hop_limit: 63 };
        let Message::EchoReply(told) = IcmpMessage::EchoReply(reply.clone()).into() else { panic!("a reply") };
        assert_eq!((told.source.into(), told.sequence, told.hop_limit), (reply.source, 9, 63));
        assert_eq!(told.data, reply.data);

        let reply = socket::PingReply {
            source,
            sequence: 9,
            size: 56,
            hop_limit: 63,
            round_trip_time: Duration::from_micros(5),
        };
        let told = PingReply::from(reply);
        assert_eq!((told.source.into(), told.sequence, told.size), (reply.source, 9, 56));
        assert_eq!((told.hop_limit, told.round_trip_time), (63, 5_000));
    }

    #[test]
    fn a_report_is_converted_without_loss() {
        for (kind, told) in [
            (IcmpErrorKind::Unreachable, ErrorKind::Unreachable),
            (IcmpErrorKind::PortUnreachable, ErrorKind::PortUnreachable),
            (IcmpErrorKind::Prohibited, ErrorKind::Prohibited),
            (IcmpErrorKind::TimeExceeded, ErrorKind::TimeExceeded),
            (IcmpErrorKind::PacketTooBig, ErrorKind::PacketTooBig),
            (IcmpErrorKind::ParameterProblem, ErrorKind::ParameterProblem),
        ] {
            let report = IcmpReport {
                source: "fe80::1".parse().expect("an address"),
                kind,
                destination: "[2001:db8::1]:33434".parse().expect("an address"),
                sequence: Some(4),
                mtu: Some(1280),
            };
            let Message::Error(error) = IcmpMessage::Error(report).into() else { panic!("an error") };
            assert_eq!(error.kind, told);
            assert_eq!(core::net::IpAddr::from(error.source), report.source);
            assert_eq!(core::net::SocketAddr::from(error.destination), report.destination);
            assert_eq!((error.sequence, error.mtu), (Some(4), Some(1280)));
        }
    }
}
