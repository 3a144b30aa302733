//! `wasi:sockets/types` 0.3: UDP sockets.

use wasmtime::component::{Accessor, Resource};

use super::SocketError;
use crate::error::{Error, Result};
use crate::wasm::failure::{get, get_mut, push};
use crate::wasm::p3::bindings::types::{HostUdpSocket, HostUdpSocketWithStore, IpAddressFamily, IpSocketAddress};
use crate::wasm::{HasNetwork, NetworkCtxView, payload, sockets};

/// The resource of a `udp-socket` handle.
pub struct UdpSocket(sockets::UdpSocket);

/// The maximum length of a datagram of either family, in bytes (WIT: 64 KiB).
const MOST_BYTES: usize = 64 << 10;

impl NetworkCtxView<'_> {
    fn p3_udp(&self, handle: &Resource<UdpSocket>) -> wasmtime::Result<&sockets::UdpSocket> {
        Ok(&get(self.table, handle)?.0)
    }

    fn p3_udp_mut(&mut self, handle: &Resource<UdpSocket>) -> wasmtime::Result<&mut sockets::UdpSocket> {
        Ok(&mut get_mut(self.table, handle)?.0)
    }
}

impl<T: Send + 'static> HostUdpSocketWithStore<T> for HasNetwork {
    async fn send(
        accessor: &Accessor<T, Self>,
        socket: Resource<UdpSocket>,
        data: Vec<u8>,
        remote: Option<IpSocketAddress>,
    ) -> Result<(), SocketError> {
        let (quota, (bound, remote)) = accessor.with(|mut access| {
            let mut view = access.get();
            let quota = view.ctx.quota().clone();
            let socket = view.p3_udp_mut(&socket)?;
            // Checked first, so that the socket is not bound in vain.
            if data.len() > MOST_BYTES {
                return Err(SocketError::from(Error::PacketTooLarge));
            }
            Ok((quota, socket.sender(remote.map(Into::into))?))
        })?;
        payload::sent(&quota, data.len(), bound.socket.send_to(&data, remote)).await?;
        Ok(())
    }

    async fn receive(
        accessor: &Accessor<T, Self>,
        socket: Resource<UdpSocket>,
    ) -> Result<(Vec<u8>, IpSocketAddress), SocketError> {
        let bound = accessor.with(|mut access| Ok::<_, SocketError>(access.get().p3_udp(&socket)?.bound()?.clone()))?;
        let datagram = bound.socket.recv_datagram().await?;
        Ok((datagram.data, datagram.remote.into()))
    }
}

impl HostUdpSocket for NetworkCtxView<'_> {
    fn create(&mut self, family: IpAddressFamily) -> Result<Resource<UdpSocket>, SocketError> {
        let socket = sockets::UdpSocket::create(self.ctx, family.into())?;
        Ok(push(self.table, UdpSocket(socket))?)
    }

    fn bind(&mut self, socket: Resource<UdpSocket>, local: IpSocketAddress) -> Result<(), SocketError> {
        Ok(self.p3_udp_mut(&socket)?.bind(local.into())?)
    }

    fn connect(&mut self, socket: Resource<UdpSocket>, remote: IpSocketAddress) -> Result<(), SocketError> {
        Ok(self.p3_udp_mut(&socket)?.connect(remote.into())?)
    }

    fn disconnect(&mut self, socket: Resource<UdpSocket>) -> Result<(), SocketError> {
        Ok(self.p3_udp(&socket)?.disconnect()?)
    }

    fn get_local_address(&mut self, socket: Resource<UdpSocket>) -> Result<IpSocketAddress, SocketError> {
        Ok(self.p3_udp(&socket)?.local_address()?.into())
    }

    fn get_remote_address(&mut self, socket: Resource<UdpSocket>) -> Result<IpSocketAddress, SocketError> {
        Ok(self.p3_udp(&socket)?.remote_address()?.into())
    }

    fn get_address_family(&mut self, socket: Resource<UdpSocket>) -> wasmtime::Result<IpAddressFamily> {
        Ok(self.p3_udp(&socket)?.family().into())
    }

    fn get_unicast_hop_limit(&mut self, socket: Resource<UdpSocket>) -> Result<u8, SocketError> {
        Ok(self.p3_udp(&socket)?.hop_limit())
    }

    fn set_unicast_hop_limit(&mut self, socket: Resource<UdpSocket>, value: u8) -> Result<(), SocketError> {
        Ok(self.p3_udp_mut(&socket)?.set_hop_limit(value)?)
    }

    fn get_receive_buffer_size(&mut self, socket: Resource<UdpSocket>) -> Result<u64, SocketError> {
        Ok(self.p3_udp(&socket)?.receive_buffer())
    }

    fn set_receive_buffer_size(&mut self, socket: Resource<UdpSocket>, value: u64) -> Result<(), SocketError> {
        Ok(self.p3_udp_mut(&socket)?.set_receive_buffer(value)?)
    }

    fn get_send_buffer_size(&mut self, socket: Resource<UdpSocket>) -> Result<u64, SocketError> {
        Ok(self.p3_udp(&socket)?.send_buffer())
    }

    fn set_send_buffer_size(&mut self, socket: Resource<UdpSocket>, value: u64) -> Result<(), SocketError> {
        Ok(self.p3_udp_mut(&socket)?.set_send_buffer(value)?)
    }

    fn drop(&mut self, socket: Resource<UdpSocket>) -> wasmtime::Result<()> {
        self.table.delete(socket)?;
        Ok(())
    }
}
