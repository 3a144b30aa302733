//! HTTP/1.1 over one connection, for one request after another.

use http::{Request, Response};
use hyper::body::Incoming;
use hyper::client::conn::http1::{self, SendRequest};
use wasmtime_wasi::runtime::{AbortOnDropJoinHandle, spawn};
use wasmtime_wasi_http::Error;
use wasmtime_wasi_http::io::TokioIo;

use super::body::Lent;
use super::connect::Stream;
use super::failure;
use crate::policy::Charge;

/// A connection over which HTTP is spoken. Dropping it closes the connection.
pub(super) struct Link {
    sender: SendRequest<Lent>,
    /// The task that reads and writes. It ends with the connection, and the connection with it.
    connection: AbortOnDropJoinHandle<hyper::Result<()>>,
    /// The charge for the socket, while it is the guest's.
    pub(super) charge: Option<Charge>,
}

impl Link {
    /// # Errors
    /// As for [`failure::of_http`].
    pub(super) async fn new(stream: Box<dyn Stream>, charge: Charge) -> Result<Self, Error> {
        let (sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(failure::of_http)?;
        Ok(Self { sender, connection: spawn(connection), charge: Some(charge) })
    }

    /// Whether the last request and its response are over, and the server has left the connection open.
    pub(super) fn is_idle(&self) -> bool {
        self.sender.is_ready()
    }

    /// Sends a request; returns the response when its head is there. The link must be new or idle.
    pub(super) async fn send(&mut self, request: Request<Lent>) -> hyper::Result<Response<Incoming>> {
        self.sender.send_request(request).await
    }

    /// Waits until the link is idle or has ended.
    ///
    /// # Errors
    /// Why it has ended, if it has ended before the request and the response had.
    pub(super) async fn finish(&mut self) -> Result<(), Error> {
        if self.sender.ready().await.is_ok() {
            return Ok(());
        }
        match (&mut *self.connection).await {
            Ok(ended) => ended.map_err(failure::of_http),
            Err(ended) => Err(Error::InternalError(Some(ended.to_string()))),
        }
    }
}
