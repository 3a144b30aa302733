//! One query to one server, by UDP and TCP.

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use core::time::Duration;

use hickory_proto::ProtoError;
use hickory_proto::op::{Message, Query};

use super::question::{Fit, Question, ReadError as MessageError};
use super::servers::Server;
use crate::error::{BindError, ConnectError, PeerError, ReadError, ReceiveError, SendError, WriteError};
use crate::platform::Instant;
use crate::socket::tcp::{ConnectOptions, TcpStream};
use crate::socket::udp::UdpSocket;

/// The port of DNS servers.
pub(super) const PORT: u16 = 53;

/// The number of datagrams from the server's address and port that may mismatch the query before the server is asked by
/// TCP. An attacker who sends so many guesses has found the port already, and must not get more attempts (RFC 5452
/// section 9.3).
const MOST_MISFITS: usize = 16;

/// The complete answer of a server.
#[derive(Clone, Debug)]
pub(super) struct Response {
    pub(super) message: Message,
    /// The server that answered.
    pub(super) server: IpAddr,
    /// It came by TCP, because the answer by UDP was truncated or not trustworthy.
    pub(super) by_tcp: bool,
    /// The time of arrival.
    pub(super) arrived: Instant,
}

/// The cause why there is no answer.
#[derive(Debug, thiserror::Error)]
pub(super) enum ExchangeError {
    #[error("the question cannot be written: {0}")]
    Question(#[from] ProtoError),
    #[error("there is no socket: {0}")]
    Bind(#[from] BindError),
    #[error("the server's address is none: {0}")]
    Peer(#[from] PeerError),
    #[error("the question is not sent: {0}")]
    Send(#[from] SendError),
    #[error("nothing is received: {0}")]
    Receive(#[from] ReceiveError),
    #[error("by TCP there is no connection: {0}")]
    Connect(#[from] ConnectError),
    #[error("by TCP the question is not sent: {0}")]
    Write(#[from] WriteError),
    #[error("by TCP nothing is received: {0}")]
    Read(#[from] ReadError),
    #[error("by TCP the connection ended before the answer")]
    Ended,
    #[error("by TCP there is an answer to another question")]
    Misfit,
    #[error(transparent)]
    Message(#[from] MessageError),
}

/// What an [`ExchangeError`] says of the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ErrorKind {
    /// It did not answer.
    Silence,
    /// It did answer, but with an invalid message.
    Nonsense,
    /// It was not asked, because the policy denies that.
    Denied,
}

impl ExchangeError {
    pub(super) const fn kind(&self) -> ErrorKind {
        match self {
            Self::Misfit | Self::Message(_) => ErrorKind::Nonsense,
            Self::Bind(BindError::AccessDenied)
            | Self::Peer(PeerError::AccessDenied)
            | Self::Send(SendError::AccessDenied)
            | Self::Connect(ConnectError::AccessDenied) => ErrorKind::Denied,
            Self::Question(_)
            | Self::Bind(_)
            | Self::Peer(_)
            | Self::Send(_)
            | Self::Receive(_)
            | Self::Connect(_)
            | Self::Write(_)
            | Self::Read(_)
            | Self::Ended => ErrorKind::Silence,
        }
    }
}

/// About how many bytes the packet has that carries a query.
pub(super) fn length(query: &Query) -> u64 {
    // The headers of IPv4, UDP and DNS, the type and the class, and the record of EDNS.
    const OTHERS: usize = 20 + 8 + 12 + 4 + 11;
    (query.name().len() + OTHERS) as u64
}

/// Asks a server by UDP, and then by TCP if no complete and trustworthy answer came by UDP.
///
/// # Errors
/// See [`ExchangeError`].
pub(super) async fn exchange(server: &Server, query: &Query, extended: bool) -> Result<Response, ExchangeError> {
    let platform = server.network.platform();
    let question = Question::new(query, extended, &*platform.random)?;
    let (message, by_tcp) = match by_udp(server, &question).await? {
        Some(message) => (message, false),
        None => (by_tcp(server, &question).await?, true),
    };
    Ok(Response { message, server: server.address, by_tcp, arrived: platform.clock.now() })
}

/// Sends one datagram from a random port of its own. `None` if the query must be repeated by TCP: the answer was
/// truncated, the case of its letters differs, or an attacker seems to guess answers.
async fn by_udp(server: &Server, question: &Question) -> Result<Option<Message>, ExchangeError> {
    let any = match server.address {
        IpAddr::V4(_) => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
        IpAddr::V6(_) => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
    };
    let socket = UdpSocket::bind(&server.network, SocketAddr::new(any, 0))?;
    // A connected socket receives datagrams from the server only, and ICMP errors if nobody listens there.
    socket.connect(SocketAddr::new(server.address, PORT))?;
    socket.send(question.octets()).await?;
    for _ in 0..MOST_MISFITS {
        let mut datagram = socket.recv_datagram().await?;
        match question.fit(&datagram.data) {
            Fit::None => tracing::debug!(server = %server.address, "a datagram answers another question"),
            Fit::OtherCase => {
                tracing::debug!(server = %server.address, "the answer's name is in letters of another case");
                return Ok(None);
            }
            Fit::Exact => match question.read(&mut datagram.data) {
                Ok(message) => return Ok(Some(message)),
                Err(error @ MessageError::Cut(_)) => {
                    tracing::debug!(server = %server.address, %error, "asking by TCP");
                    return Ok(None);
                }
                Err(error @ MessageError::NoResponse) => return Err(error.into()),
            },
        }
    }
    tracing::warn!(server = %server.address, "somebody guesses an answer of the name server: asking by TCP");
    Ok(None)
}

/// Sends one message and receives one, each with its length in front, on a connection of its own (RFC 7766). A peer
/// that has completed the handshake can receive at the server's address, so the case of letters proves nothing more.
async fn by_tcp(server: &Server, question: &Question) -> Result<Message, ExchangeError> {
    let mut options = ConnectOptions::default();
    // One query and one answer: a connection that is given up has no data to deliver.
    options.tcp.linger = Duration::ZERO;
    let remote = SocketAddr::new(server.address, PORT);
    let connection = TcpStream::connect_with(&server.network, remote, options).await?;
    // A query is far shorter than the maximum of this field.
    let length = u16::try_from(question.octets().len()).unwrap_or(u16::MAX).to_be_bytes();
    connection.write_all(&[&length, question.octets()].concat()).await?;
    let mut length = [0; 2];
    fill(&connection, &mut length).await?;
    let mut answer = vec![0; usize::from(u16::from_be_bytes(length))];
    fill(&connection, &mut answer).await?;
    match question.fit(&answer) {
        Fit::Exact | Fit::OtherCase => Ok(question.read(&mut answer)?),
        Fit::None => Err(ExchangeError::Misfit),
    }
}

async fn fill(connection: &TcpStream, mut buffer: &mut [u8]) -> Result<(), ExchangeError> {
    while !buffer.is_empty() {
        match connection.read(buffer).await? {
            0 => return Err(ExchangeError::Ended),
            count => buffer = &mut buffer[count..],
        }
    }
    Ok(())
}
