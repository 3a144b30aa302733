//! `wasi:sockets/types` 0.3: TCP sockets.

use std::future::poll_fn;
use std::task::Poll;

use wasmtime::component::{Access, Accessor, FutureReader, Resource, StreamReader};

use super::SocketError;
use crate::error::Result;
use crate::wasm::connections::Halves;
use crate::wasm::failure::{get, get_mut, push};
use crate::wasm::outcome::outcome;
use crate::wasm::p3::bindings::types::{
    Duration, ErrorCode, HostTcpSocket, HostTcpSocketWithStore, IpAddressFamily, IpSocketAddress,
};
use crate::wasm::streams::{self, AcceptProducer};
use crate::wasm::units::nanoseconds;
use crate::wasm::{HasNetwork, NetworkCtxView, sockets};

/// The resource of a `tcp-socket` handle.
pub struct TcpSocket(sockets::TcpSocket);

impl NetworkCtxView<'_> {
    fn p3_tcp(&self, handle: &Resource<TcpSocket>) -> wasmtime::Result<&sockets::TcpSocket> {
        Ok(&get(self.table, handle)?.0)
    }

    fn p3_tcp_mut(&mut self, handle: &Resource<TcpSocket>) -> wasmtime::Result<&mut sockets::TcpSocket> {
        Ok(&mut get_mut(self.table, handle)?.0)
    }
}

impl<T: Send + 'static> HostTcpSocketWithStore<T> for HasNetwork {
    async fn connect(
        accessor: &Accessor<T, Self>,
        socket: Resource<TcpSocket>,
        remote: IpSocketAddress,
    ) -> Result<(), SocketError> {
        // Cancels the attempt if the guest stops waiting for it.
        let _awaiting = accessor.with(|mut access| {
            let mut view = access.get();
            let socket = view.p3_tcp_mut(&socket)?;
            socket.start_connect(remote.into())?;
            Ok::<_, SocketError>(socket.awaiting())
        })?;
        poll_fn(|cx| {
            accessor.with(|mut access| match access.get().p3_tcp_mut(&socket) {
                Ok(socket) => socket.poll_connected(cx).map_err(SocketError::from),
                Err(stale) => Poll::Ready(Err(stale.into())),
            })
        })
        .await
    }

    fn listen(
        mut access: Access<'_, T, Self>,
        socket: Resource<TcpSocket>,
    ) -> Result<StreamReader<Resource<TcpSocket>>, SocketError> {
        let view = access.getter();
        let mut context = access.get();
        let clock = context.ctx.clock()?;
        let (listener, settings) = context.p3_tcp_mut(&socket)?.listen()?;
        let resource = move |connection| TcpSocket(sockets::TcpSocket::accepted(connection, &settings));
        // WASI has no future for the cause of its end.
        let (ended, _) = outcome();
        let accepting = AcceptProducer::new(listener, ended, clock, view, resource);
        Ok(StreamReader::new(&mut access, accepting)?)
    }

    fn send(
        mut access: Access<'_, T, Self>,
        socket: Resource<TcpSocket>,
        data: StreamReader<u8>,
    ) -> wasmtime::Result<FutureReader<Result<(), ErrorCode>>> {
        let half = access.get().p3_tcp_mut(&socket)?.halves().ok().and_then(Halves::take_send);
        streams::send(access, half, data)
    }

    fn receive(
        mut access: Access<'_, T, Self>,
        socket: Resource<TcpSocket>,
    ) -> wasmtime::Result<(StreamReader<u8>, FutureReader<Result<(), ErrorCode>>)> {
        let half = access.get().p3_tcp_mut(&socket)?.halves().ok().and_then(Halves::take_receive);
        streams::receive(access, half)
    }
}

impl HostTcpSocket for NetworkCtxView<'_> {
    fn create(&mut self, family: IpAddressFamily) -> Result<Resource<TcpSocket>, SocketError> {
        let socket = sockets::TcpSocket::create(self.ctx, family.into())?;
        Ok(push(self.table, TcpSocket(socket))?)
    }

    fn bind(&mut self, socket: Resource<TcpSocket>, local: IpSocketAddress) -> Result<(), SocketError> {
        Ok(self.p3_tcp_mut(&socket)?.bind(local.into())?)
    }

    fn get_local_address(&mut self, socket: Resource<TcpSocket>) -> Result<IpSocketAddress, SocketError> {
        Ok(self.p3_tcp(&socket)?.local_address()?.into())
    }

    fn get_remote_address(&mut self, socket: Resource<TcpSocket>) -> Result<IpSocketAddress, SocketError> {
        Ok(self.p3_tcp(&socket)?.remote_address()?.into())
    }

    fn get_is_listening(&mut self, socket: Resource<TcpSocket>) -> wasmtime::Result<bool> {
        Ok(self.p3_tcp(&socket)?.listener().is_some())
    }

    fn get_address_family(&mut self, socket: Resource<TcpSocket>) -> wasmtime::Result<IpAddressFamily> {
        Ok(self.p3_tcp(&socket)?.family().into())
    }

    fn set_listen_backlog_size(&mut self, socket: Resource<TcpSocket>, value: u64) -> Result<(), SocketError> {
        Ok(self.p3_tcp_mut(&socket)?.set_backlog(value)?)
    }

    fn get_keep_alive_enabled(&mut self, socket: Resource<TcpSocket>) -> Result<bool, SocketError> {
        Ok(self.p3_tcp(&socket)?.keep_alive_enabled()?)
    }

    fn set_keep_alive_enabled(&mut self, socket: Resource<TcpSocket>, value: bool) -> Result<(), SocketError> {
        Ok(self.p3_tcp(&socket)?.set_keep_alive_enabled(value)?)
    }

    fn get_keep_alive_idle_time(&mut self, socket: Resource<TcpSocket>) -> Result<Duration, SocketError> {
        Ok(nanoseconds(self.p3_tcp(&socket)?.keep_alive()?.idle))
    }

    fn set_keep_alive_idle_time(&mut self, socket: Resource<TcpSocket>, value: Duration) -> Result<(), SocketError> {
        Ok(self.p3_tcp(&socket)?.set_keep_alive_idle(value)?)
    }

    fn get_keep_alive_interval(&mut self, socket: Resource<TcpSocket>) -> Result<Duration, SocketError> {
        Ok(nanoseconds(self.p3_tcp(&socket)?.keep_alive()?.interval))
    }

    fn set_keep_alive_interval(&mut self, socket: Resource<TcpSocket>, value: Duration) -> Result<(), SocketError> {
        Ok(self.p3_tcp(&socket)?.set_keep_alive_interval(value)?)
    }

    fn get_keep_alive_count(&mut self, socket: Resource<TcpSocket>) -> Result<u32, SocketError> {
        Ok(self.p3_tcp(&socket)?.keep_alive()?.count)
    }

    fn set_keep_alive_count(&mut self, socket: Resource<TcpSocket>, value: u32) -> Result<(), SocketError> {
        Ok(self.p3_tcp(&socket)?.set_keep_alive_count(value)?)
    }

    fn get_hop_limit(&mut self, socket: Resource<TcpSocket>) -> Result<u8, SocketError> {
        Ok(self.p3_tcp(&socket)?.hop_limit()?)
    }

    fn set_hop_limit(&mut self, socket: Resource<TcpSocket>, value: u8) -> Result<(), SocketError> {
        Ok(self.p3_tcp(&socket)?.set_hop_limit(value)?)
    }

    fn get_receive_buffer_size(&mut self, socket: Resource<TcpSocket>) -> Result<u64, SocketError> {
        Ok(self.p3_tcp(&socket)?.receive_buffer()?)
    }

    fn set_receive_buffer_size(&mut self, socket: Resource<TcpSocket>, value: u64) -> Result<(), SocketError> {
        Ok(self.p3_tcp(&socket)?.set_receive_buffer(value)?)
    }

    fn get_send_buffer_size(&mut self, socket: Resource<TcpSocket>) -> Result<u64, SocketError> {
        Ok(self.p3_tcp(&socket)?.send_buffer()?)
    }

    fn set_send_buffer_size(&mut self, socket: Resource<TcpSocket>, value: u64) -> Result<(), SocketError> {
        Ok(self.p3_tcp(&socket)?.set_send_buffer(value)?)
    }

    fn drop(&mut self, socket: Resource<TcpSocket>) -> wasmtime::Result<()> {
        self.table.delete(socket)?;
        Ok(())
    }
}
