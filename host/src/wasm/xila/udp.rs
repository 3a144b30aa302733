//! `xila:network/udp`.

use std::future::poll_fn;
use std::sync::Arc;

use wasmtime::component::{Accessor, Resource};

use super::types::NetworkError;
use crate::error::{Error, Result};
use crate::policy::{Charge, SocketKind};
use crate::socket::{self, UdpOptions};
use crate::stack::options::datagram_memory;
use crate::wasm::bindings::types::{IpAddress, SocketAddress};
use crate::wasm::bindings::udp::{
    Datagram, Host, HostUdpSocket, HostUdpSocketWithStore, Options, OutgoingDatagram, Statistics,
};
use crate::wasm::failure::{get, push};
use crate::wasm::units::{hop_limit, size};
use crate::wasm::{HasNetwork, NetworkCtxView, payload};

/// The maximum number of datagrams that one call returns. Their bytes are bounded by the size of the receive buffer.
const MOST_DATAGRAMS: usize = 1024;

/// The resource of a `udp-socket` handle. Waiting calls share the socket with it.
pub struct UdpSocket(Arc<Bound>);

struct Bound {
    socket: socket::UdpSocket,
    charge: Charge,
}

impl NetworkCtxView<'_> {
    fn socket(&self, handle: &Resource<UdpSocket>) -> wasmtime::Result<&socket::UdpSocket> {
        Ok(&get(self.table, handle)?.0.socket)
    }
}

/// The socket of a handle, for a call that may wait.
fn shared<T>(accessor: &Accessor<T, HasNetwork>, handle: &Resource<UdpSocket>) -> wasmtime::Result<Arc<Bound>> {
    accessor.with(|mut access| get(access.get().table, handle).map(|found| found.0.clone()))
}

impl Host for NetworkCtxView<'_> {}

impl<T: Send + 'static> HostUdpSocketWithStore<T> for HasNetwork {
    async fn send(
        accessor: &Accessor<T, Self>,
        socket: Resource<UdpSocket>,
        data: Vec<u8>,
        remote: Option<SocketAddress>,
    ) -> Result<(), NetworkError> {
        let bound = shared(accessor, &socket)?;
        let send = poll_fn(|cx| match remote {
            Some(remote) => bound.socket.poll_send_to(cx, &data, remote.into()),
            None => bound.socket.poll_send(cx, &data),
        });
        payload::sent(bound.charge.quota(), data.len(), send).await?;
        Ok(())
    }

    async fn receive(accessor: &Accessor<T, Self>, socket: Resource<UdpSocket>) -> Result<Datagram, NetworkError> {
        let bound = shared(accessor, &socket)?;
        Ok(datagram(bound.socket.recv_datagram().await?))
    }

    async fn send_many(
        accessor: &Accessor<T, Self>,
        socket: Resource<UdpSocket>,
        datagrams: Vec<OutgoingDatagram>,
    ) -> Result<u32, NetworkError> {
        let bound = shared(accessor, &socket)?;
        let batch: Vec<_> =
            datagrams.iter().map(|datagram| (datagram.data.as_slice(), datagram.remote.map(Into::into))).collect();
        let bytes = datagrams.iter().map(|datagram| size_of::<OutgoingDatagram>() + datagram.data.len()).sum();
        let sent = payload::sent(bound.charge.quota(), bytes, bound.socket.send_many(&batch)).await?;
        // Not more than the guest passed, whose lists have 32-bit lengths.
        Ok(u32::try_from(sent).unwrap_or(u32::MAX))
    }

    async fn receive_many(
        accessor: &Accessor<T, Self>,
        socket: Resource<UdpSocket>,
        most: u32,
    ) -> Result<Vec<Datagram>, NetworkError> {
        if most == 0 {
            return Err(Error::InvalidArgument.into());
        }
        let bound = shared(accessor, &socket)?;
        let most = size(most.into()).min(MOST_DATAGRAMS);
        let received = bound.socket.recv_many(most).await?;
        Ok(received.into_iter().map(datagram).collect())
    }
}

impl HostUdpSocket for NetworkCtxView<'_> {
    fn bind(
        &mut self,
        local: SocketAddress,
        interface: Option<String>,
        options: Options,
    ) -> Result<Resource<UdpSocket>, NetworkError> {
        let options = udp_options(&options)?;
        let network = self.ctx.network(interface.as_deref())?;
        let quota = self.ctx.quota();
        let mut charge = quota.charge(SocketKind::Udp, datagram_memory(options.receive_buffer))?;
        charge.add_port()?;
        let socket = quota.count(socket::UdpSocket::bind_with(&network, local.into(), &options))?;
        Ok(push(self.table, UdpSocket(Arc::new(Bound { socket, charge })))?)
    }

    fn connect(&mut self, socket: Resource<UdpSocket>, remote: SocketAddress) -> Result<(), NetworkError> {
        Ok(self.socket(&socket)?.connect(remote.into())?)
    }

    fn disconnect(&mut self, socket: Resource<UdpSocket>) -> Result<(), NetworkError> {
        Ok(self.socket(&socket)?.disconnect()?)
    }

    fn join_multicast(
        &mut self,
        socket: Resource<UdpSocket>,
        group: IpAddress,
        interface: Option<String>,
    ) -> Result<(), NetworkError> {
        Ok(self.socket(&socket)?.join_multicast(group.into(), interface.as_deref())?)
    }

    fn leave_multicast(
        &mut self,
        socket: Resource<UdpSocket>,
        group: IpAddress,
        interface: Option<String>,
    ) -> Result<(), NetworkError> {
        Ok(self.socket(&socket)?.leave_multicast(group.into(), interface.as_deref())?)
    }

    fn local_address(&mut self, socket: Resource<UdpSocket>) -> wasmtime::Result<SocketAddress> {
        Ok(self.socket(&socket)?.local_addr().into())
    }

    fn remote_address(&mut self, socket: Resource<UdpSocket>) -> wasmtime::Result<Option<SocketAddress>> {
        Ok(self.socket(&socket)?.peer_addr().map(Into::into))
    }

    fn broadcast(&mut self, socket: Resource<UdpSocket>) -> wasmtime::Result<bool> {
        Ok(self.socket(&socket)?.broadcast())
    }

    fn set_broadcast(&mut self, socket: Resource<UdpSocket>, value: bool) -> Result<(), NetworkError> {
        let socket = self.socket(&socket)?;
        if value && socket.local_addr().is_ipv6() {
            return Err(Error::NotSupported.into());
        }
        socket.set_broadcast(value);
        Ok(())
    }

    fn hop_limit(&mut self, socket: Resource<UdpSocket>) -> wasmtime::Result<u8> {
        Ok(self.socket(&socket)?.hop_limit().octet())
    }

    fn set_hop_limit(&mut self, socket: Resource<UdpSocket>, value: u8) -> Result<(), NetworkError> {
        self.socket(&socket)?.set_hop_limit(hop_limit(value)?);
        Ok(())
    }

    fn receive_buffer(&mut self, socket: Resource<UdpSocket>) -> wasmtime::Result<u64> {
        Ok(self.socket(&socket)?.receive_buffer() as u64)
    }

    fn statistics(&mut self, socket: Resource<UdpSocket>) -> wasmtime::Result<Statistics> {
        let statistics = self.socket(&socket)?.statistics();
        Ok(Statistics { sent: statistics.sent, received: statistics.received, dropped: statistics.dropped })
    }

    fn drop(&mut self, socket: Resource<UdpSocket>) -> wasmtime::Result<()> {
        self.table.delete(socket)?;
        Ok(())
    }
}

fn datagram(received: socket::Datagram) -> Datagram {
    Datagram { data: received.data, remote: received.remote.into() }
}

/// # Errors
/// [`Error::InvalidArgument`] for a hop limit of 0.
fn udp_options(options: &Options) -> Result<UdpOptions> {
    let Options { receive_buffer, broadcast, hop_limit: hops, dont_fragment, multicast_loop } = *options;
    let default = UdpOptions::default();
    Ok(UdpOptions {
        receive_buffer: receive_buffer.map_or(default.receive_buffer, size),
        broadcast: broadcast.unwrap_or(default.broadcast),
        hop_limit: hops.map_or(Ok(default.hop_limit), hop_limit)?,
        dont_fragment: dont_fragment.unwrap_or(default.dont_fragment),
        multicast_loop: multicast_loop.unwrap_or(default.multicast_loop),
    })
}
