//! `wasi:sockets/udp` and `wasi:sockets/udp-create-socket` 0.2: the sockets. Their streams are in `datagrams`.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use wasmtime::component::Resource;
use wasmtime_wasi_io::poll::{DynPollable, Pollable, subscribe};

use super::bindings::network::{ErrorCode, IpAddressFamily, IpSocketAddress};
use super::bindings::udp::{Host, HostUdpSocket};
use super::bindings::udp_create_socket;
use super::datagrams::{IncomingDatagramStream, OutgoingDatagramStream, Pair};
use super::network::{Network, SocketError};
use super::tcp::new_socket;
use crate::error::{Error, Result};
use crate::wasm::failure::{get, get_mut, push, push_both};
use crate::wasm::{NetworkCtxView, sockets};

/// The resource of a `udp-socket` handle.
pub struct UdpSocket {
    inner: sockets::UdpSocket,
    /// Whether the socket is bound and `finish-bind` was not called yet.
    binding: bool,
    /// The number of the latest pair of streams, which is the only one that works.
    pair: Arc<AtomicU64>,
}

#[wasmtime_wasi_io::async_trait]
impl Pollable for UdpSocket {
    /// No operation of the socket itself waits.
    async fn ready(&mut self) {}
}

impl NetworkCtxView<'_> {
    fn udp(&self, handle: &Resource<UdpSocket>) -> wasmtime::Result<&sockets::UdpSocket> {
        Ok(&get(self.table, handle)?.inner)
    }

    fn udp_mut(&mut self, handle: &Resource<UdpSocket>) -> wasmtime::Result<&mut UdpSocket> {
        get_mut(self.table, handle)
    }
}

impl udp_create_socket::Host for NetworkCtxView<'_> {
    fn create_udp_socket(&mut self, family: IpAddressFamily) -> Result<Resource<UdpSocket>, SocketError> {
        let inner = sockets::UdpSocket::create(self.ctx, family.into()).map_err(new_socket)?;
        push(self.table, UdpSocket { inner, binding: false, pair: Arc::default() }).map_err(new_socket)
    }
}

impl Host for NetworkCtxView<'_> {}

impl HostUdpSocket for NetworkCtxView<'_> {
    fn start_bind(
        &mut self,
        socket: Resource<UdpSocket>,
        network: Resource<Network>,
        local: IpSocketAddress,
    ) -> Result<(), SocketError> {
        self.check_network(&network)?;
        let socket = self.udp_mut(&socket)?;
        if socket.binding {
            return Err(SocketError::Code(ErrorCode::ConcurrencyConflict));
        }
        socket.inner.bind(local.into())?;
        socket.binding = true;
        Ok(())
    }

    fn finish_bind(&mut self, socket: Resource<UdpSocket>) -> Result<(), SocketError> {
        let socket = self.udp_mut(&socket)?;
        if !std::mem::take(&mut socket.binding) {
            return Err(SocketError::Code(ErrorCode::NotInProgress));
        }
        Ok(())
    }

    fn stream(
        &mut self,
        socket: Resource<UdpSocket>,
        remote: Option<IpSocketAddress>,
    ) -> Result<(Resource<IncomingDatagramStream>, Resource<OutgoingDatagramStream>), SocketError> {
        let socket = self.udp_mut(&socket)?;
        if socket.binding {
            return Err(SocketError::Code(ErrorCode::ConcurrencyConflict));
        }
        let bound = socket.inner.bound()?.clone();
        let present = socket.pair.clone();
        let number = present.load(Ordering::Relaxed) + 1;
        let pair = Pair::new(bound.clone(), number, present.clone());
        let (incoming, outgoing) = (IncomingDatagramStream::new(pair.clone()), OutgoingDatagramStream::new(pair));
        // The peer is set only when there is room for the streams: until then the pair before works as it did.
        let streams = push_both(self.table, incoming, outgoing)?;
        let set = match remote {
            Some(remote) => bound.connect(remote.into()),
            None if bound.socket.peer_addr().is_some() => bound.socket.disconnect().map_err(Error::from),
            None => Ok(()),
        };
        if let Err(error) = set {
            let (incoming, outgoing) = streams;
            self.table.delete(incoming).map_err(wasmtime::Error::from)?;
            self.table.delete(outgoing).map_err(wasmtime::Error::from)?;
            return Err(error.into());
        }
        // The pair before ends now that there is another.
        present.store(number, Ordering::Relaxed);
        Ok(streams)
    }

    fn local_address(&mut self, socket: Resource<UdpSocket>) -> Result<IpSocketAddress, SocketError> {
        let socket = get(self.table, &socket)?;
        // The socket is bound, but `finish-bind` was not called yet.
        if socket.binding {
            return Err(Error::InvalidState.into());
        }
        Ok(socket.inner.local_address()?.into())
    }

    fn remote_address(&mut self, socket: Resource<UdpSocket>) -> Result<IpSocketAddress, SocketError> {
        Ok(self.udp(&socket)?.remote_address()?.into())
    }

    fn address_family(&mut self, socket: Resource<UdpSocket>) -> wasmtime::Result<IpAddressFamily> {
        Ok(self.udp(&socket)?.family().into())
    }

    fn unicast_hop_limit(&mut self, socket: Resource<UdpSocket>) -> Result<u8, SocketError> {
        Ok(self.udp(&socket)?.hop_limit())
    }

    fn set_unicast_hop_limit(&mut self, socket: Resource<UdpSocket>, value: u8) -> Result<(), SocketError> {
        Ok(self.udp_mut(&socket)?.inner.set_hop_limit(value)?)
    }

    fn receive_buffer_size(&mut self, socket: Resource<UdpSocket>) -> Result<u64, SocketError> {
        Ok(self.udp(&socket)?.receive_buffer())
    }

    fn set_receive_buffer_size(&mut self, socket: Resource<UdpSocket>, value: u64) -> Result<(), SocketError> {
        Ok(self.udp_mut(&socket)?.inner.set_receive_buffer(value)?)
    }

    fn send_buffer_size(&mut self, socket: Resource<UdpSocket>) -> Result<u64, SocketError> {
        Ok(self.udp(&socket)?.send_buffer())
    }

    fn set_send_buffer_size(&mut self, socket: Resource<UdpSocket>, value: u64) -> Result<(), SocketError> {
        Ok(self.udp_mut(&socket)?.inner.set_send_buffer(value)?)
    }

    fn subscribe(&mut self, socket: Resource<UdpSocket>) -> wasmtime::Result<Resource<DynPollable>> {
        subscribe(self.table, socket)
    }

    fn drop(&mut self, socket: Resource<UdpSocket>) -> wasmtime::Result<()> {
        self.table.delete(socket)?;
        Ok(())
    }
}
