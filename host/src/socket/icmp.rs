//! ICMP sockets: echo requests, and the errors that routers and hosts report (RFC 792, RFC 4443).

use core::fmt;
use core::future::poll_fn;
use core::net::{IpAddr, SocketAddr};
use core::task::{Context, Poll, Waker};
use core::time::Duration;
use std::sync::Arc;

use xila_network_engine::udp::datagram::longest_payload;

use super::hop_limit::SharedHopLimit;
use super::network::Network;
use super::serving::{Binding, Serving};
use super::tcp::pending;
use crate::address::{Family, is_v4_mapped};
use crate::error::{BindError, PingError, ReceiveError, SendError};
use crate::policy::{Operation, Request};
use crate::stack::Stack;
use crate::stack::icmp::Mailbox;
use crate::stack::options::{HopLimit, OnOutage};
use crate::stack::owner::Owner;
use crate::stack::udp::{Kind, Outgoing, Outlet};

pub use crate::stack::icmp::{EchoReply, IcmpBinding, IcmpErrorKind, IcmpMessage, IcmpReport};

/// An ICMP socket of one address family.
///
/// Every method takes `&self`; several tasks may send and receive at once. At most 208 KiB of messages wait to be
/// received. Further messages are dropped, and the interface counts them as dropped datagrams.
pub struct IcmpSocket {
    network: Network,
    outlet: Outlet,
    serving: Serving,
    family: Family,
    binding: IcmpBinding,
    mailbox: Arc<Mailbox>,
    hop_limit: SharedHopLimit,
}

/// The registration of the socket with the stacks.
struct Listening {
    family: Family,
    /// Makes the binding from its number: an identifier or a port.
    numbered: fn(u16) -> IcmpBinding,
    owner: Owner,
    mailbox: Arc<Mailbox>,
}

impl Binding for Listening {
    fn bind(&self, stack: &Stack, number: u16) -> Result<(), BindError> {
        stack.with_mut(|core| core.icmp().bind(self.family, (self.numbered)(number), &self.owner, &self.mailbox))
    }

    fn unbind(&self, stack: &Stack, _number: u16) {
        stack.with_mut(|core| core.icmp().unbind(&self.mailbox));
    }

    fn candidates(&self, stack: &Stack) -> Box<dyn Iterator<Item = u16>> {
        Box::new(stack.ask(|core| core.icmp().free_identifiers(self.family)))
    }
}

impl IcmpSocket {
    /// Makes a socket on all interfaces of `network`, including those that are mounted later. Identifier 0 selects a
    /// free one.
    ///
    /// # Errors
    /// See [`BindError`].
    pub fn bind(network: &Network, family: Family, binding: IcmpBinding) -> Result<Self, BindError> {
        if let IcmpBinding::UdpPort(0) | IcmpBinding::TcpPort(0) = binding {
            return Err(BindError::InvalidArgument);
        }
        network.check(&Request::new(Operation::Ping))?;
        let mailbox = Arc::new(Mailbox::default());
        let (numbered, number): (fn(u16) -> IcmpBinding, u16) = match binding {
            IcmpBinding::Echo(identifier) => (IcmpBinding::Echo, identifier),
            IcmpBinding::UdpPort(port) => (IcmpBinding::UdpPort, port),
            IcmpBinding::TcpPort(port) => (IcmpBinding::TcpPort, port),
        };
        let any = SocketAddr::new(family.unspecified(), number);
        let serving = Serving::bind(
            network,
            any,
            Listening { family, numbered, owner: network.owner().clone(), mailbox: mailbox.clone() },
        )?;
        let binding = numbered(serving.local().port());
        let outlet = Outlet::new(network.owner().clone());
        let (network, hop_limit) = (network.clone(), SharedHopLimit::new(HopLimit::DEFAULT));
        Ok(Self { network, outlet, serving, family, binding, mailbox, hop_limit })
    }

    /// Sends an echo request with the identifier that the socket is bound to. Waits only while the device is full and a
    /// few requests of the socket wait already, or while too many packets wait for the neighbour.
    ///
    /// # Errors
    /// See [`SendError`]. A broadcast address is [`SendError::AccessDenied`] in any case.
    pub async fn send_to(&self, remote: IpAddr, sequence: u16, data: &[u8]) -> Result<(), SendError> {
        poll_fn(|context| self.poll_send_to(context, remote, sequence, data)).await
    }

    /// Like [`send_to`](Self::send_to), for use in another future.
    ///
    /// # Errors
    /// As for [`send_to`](Self::send_to).
    pub fn poll_send_to(
        &self,
        context: &mut Context<'_>,
        remote: IpAddr,
        sequence: u16,
        data: &[u8],
    ) -> Poll<Result<(), SendError>> {
        pending(self.transmit(remote, sequence, data, context.waker()))
    }

    fn transmit(&self, remote: IpAddr, sequence: u16, data: &[u8], waker: &Waker) -> Result<(), SendError> {
        let IcmpBinding::Echo(identifier) = self.binding else { return Err(SendError::InvalidState) };
        if Family::of(remote) != self.family || remote.is_unspecified() || is_v4_mapped(remote) {
            return Err(SendError::InvalidArgument);
        }
        let route = self.network.route(None, remote);
        self.network.check_to(Operation::Ping, route.as_ref().ok(), SocketAddr::new(remote, 0))?;
        let (stack, source) = route?;
        let request = Outgoing {
            kind: Kind::EchoRequest { sequence },
            payload: data,
            port: identifier,
            source,
            remote: SocketAddr::new(remote, 0),
            hop_limit: self.hop_limit().octet(),
            broadcast: false,
            whole: false,
            loops_back: false,
            drops_if_crowded: false,
        };
        stack.with_mut(|core| core.udp().send(&self.outlet, &request, &[], Some(waker)))?;
        Ok(())
    }

    /// Waits for a message.
    ///
    /// # Errors
    /// Only [`ReceiveError::NetworkDown`], if every interface of the socket is down. The errors that routers and hosts
    /// report are messages here.
    pub async fn recv(&self) -> Result<IcmpMessage, ReceiveError> {
        poll_fn(|context| self.poll_recv(context)).await
    }

    /// Like [`recv`](Self::recv), for use in another future.
    ///
    /// # Errors
    /// As for [`recv`](Self::recv).
    pub fn poll_recv(&self, context: &mut Context<'_>) -> Poll<Result<IcmpMessage, ReceiveError>> {
        match self.mailbox.take(context.waker()) {
            Err(ReceiveError::WouldBlock) => {
                let served = self.serving.check(OnOutage::Fail);
                served.map_or_else(|error| Poll::Ready(Err(error.into())), |()| Poll::Pending)
            }
            result => Poll::Ready(result),
        }
    }

    /// The binding of the socket, with the selected identifier.
    #[must_use]
    pub const fn binding(&self) -> IcmpBinding {
        self.binding
    }

    /// The time to live or hop limit of outgoing requests.
    #[must_use]
    pub fn hop_limit(&self) -> HopLimit {
        self.hop_limit.load()
    }

    /// Sets the time to live or hop limit of outgoing requests.
    pub fn set_hop_limit(&self, hop_limit: HopLimit) {
        self.hop_limit.store(hop_limit);
    }
}

impl fmt::Debug for IcmpSocket {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (family, binding) = (self.family, self.binding);
        formatter.debug_struct("IcmpSocket").field("family", &family).field("binding", &binding).finish()
    }
}

/// The options of [`ping`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PingOptions {
    /// The sequence number.
    pub sequence: u16,
    /// Bytes of payload.
    pub size: usize,
    /// How long to wait for the reply.
    pub timeout: Duration,
    /// The time to live or hop limit.
    pub hop_limit: HopLimit,
}

impl Default for PingOptions {
    /// As in `ping` of Linux: 56 bytes, one second, 64 hops.
    fn default() -> Self {
        Self { sequence: 0, size: 56, timeout: Duration::from_secs(1), hop_limit: HopLimit::DEFAULT }
    }
}

/// The reply to an echo request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PingReply {
    /// The host that answered.
    pub source: IpAddr,
    /// The sequence number.
    pub sequence: u16,
    /// Bytes of payload in the reply.
    pub size: usize,
    /// The hop limit of the reply when it arrived.
    pub hop_limit: u8,
    /// The time between request and reply.
    pub round_trip_time: Duration,
}

/// Sends one echo request and waits for its reply. A reply from any host is accepted, since `remote` may be a multicast
/// group.
///
/// # Errors
/// See [`PingError`].
pub async fn ping(network: &Network, remote: IpAddr, options: &PingOptions) -> Result<PingReply, PingError> {
    // Checked before memory is allocated.
    if options.size > longest_payload(remote) {
        return Err(PingError::PacketTooLarge);
    }
    let exchange = exchange(network, remote, options);
    network.platform().clock.within(options.timeout, exchange).await.unwrap_or(Err(PingError::TimedOut))
}

async fn exchange(network: &Network, remote: IpAddr, options: &PingOptions) -> Result<PingReply, PingError> {
    let socket = IcmpSocket::bind(network, Family::of(remote), IcmpBinding::Echo(0))?;
    socket.set_hop_limit(options.hop_limit);
    // Every byte is its position modulo 256.
    let data: Vec<u8> = (0..=u8::MAX).cycle().take(options.size).collect();
    let clock = &network.platform().clock;
    let start = clock.now();
    socket.send_to(remote, options.sequence, &data).await?;
    loop {
        match socket.recv().await? {
            IcmpMessage::EchoReply(EchoReply { source, sequence, data, hop_limit }) if sequence == options.sequence => {
                let round_trip_time = clock.now() - start;
                return Ok(PingReply { source, sequence, size: data.len(), hop_limit, round_trip_time });
            }
            IcmpMessage::Error(report)
                if report.sequence == Some(options.sequence) && report.destination.ip() == remote =>
            {
                return Err(match report.kind {
                    IcmpErrorKind::PacketTooBig => PingError::PacketTooLarge,
                    IcmpErrorKind::Unreachable
                    | IcmpErrorKind::PortUnreachable
                    | IcmpErrorKind::Prohibited
                    | IcmpErrorKind::TimeExceeded
                    | IcmpErrorKind::ParameterProblem => PingError::RemoteUnreachable,
                });
            }
            // A message about a request of an earlier socket with the same identifier.
            IcmpMessage::EchoReply(_) | IcmpMessage::Error(_) => {}
        }
    }
}
