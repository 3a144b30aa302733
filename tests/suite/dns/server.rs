//! A DNS server whose replies a test determines.

use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex};

use hickory_proto::op::{Message, MessageType, OpCode, Query, ResponseCode};
use xila_network_host::socket::{ListenOptions, Network, TcpListener, TcpStream, UdpSocket};
use xila_network_tests::link::Link;

/// A received query.
#[derive(Clone, Debug)]
pub(crate) struct Asked {
    pub message: Message,
    pub from: SocketAddr,
    pub by_tcp: bool,
}

impl Asked {
    pub(crate) fn query(&self) -> &Query {
        &self.message.queries[0]
    }

    /// The name in small letters; the case in the query is random.
    pub(crate) fn name(&self) -> String {
        self.query().name().to_ascii().to_lowercase()
    }

    pub(crate) fn kind(&self) -> String {
        self.query().query_type().to_string()
    }

    /// An answer without records.
    pub(crate) fn response(&self) -> Message {
        let mut response = Message::new(self.message.id, MessageType::Response, OpCode::Query);
        response.metadata.recursion_desired = true;
        response.metadata.recursion_available = true;
        response.add_query(self.query().clone());
        response
    }

    pub(crate) fn failing(&self, code: ResponseCode) -> Reply {
        let mut response = self.response();
        response.metadata.response_code = code;
        Reply::Answer(response)
    }
}

/// The server's reaction to a query.
pub(crate) enum Reply {
    Answer(Message),
    /// It sends these messages, which may be malformed.
    Raw(Vec<Vec<u8>>),
    Silence,
}

impl Reply {
    fn messages(self) -> Vec<Vec<u8>> {
        match self {
            Self::Answer(message) => vec![message.to_vec().unwrap()],
            Self::Raw(messages) => messages,
            Self::Silence => Vec::new(),
        }
    }
}

type Behaviour = Arc<Mutex<dyn FnMut(&Asked) -> Reply + Send>>;

/// A server on port 53.
pub(crate) struct Server(Arc<Mutex<Vec<Asked>>>);

impl Server {
    /// Starts a server that answers by UDP and TCP.
    pub(crate) fn start(
        link: &Link,
        network: &Network,
        address: IpAddr,
        reply: impl FnMut(&Asked) -> Reply + Send + 'static,
    ) -> Self {
        let behaviour: Behaviour = Arc::new(Mutex::new(reply));
        let listener = TcpListener::bind(network, SocketAddr::new(address, 53), ListenOptions::default()).unwrap();
        let this = Self::behave_by_udp(link, network, address, behaviour.clone());
        link.simulation.spawn(by_tcp(link.simulation.clone(), listener, behaviour, Arc::clone(&this.0)));
        this
    }

    /// Starts a server that answers by UDP only: TCP connections are refused.
    pub(crate) fn start_by_udp(
        link: &Link,
        network: &Network,
        address: IpAddr,
        reply: impl FnMut(&Asked) -> Reply + Send + 'static,
    ) -> Self {
        Self::behave_by_udp(link, network, address, Arc::new(Mutex::new(reply)))
    }

    fn behave_by_udp(link: &Link, network: &Network, address: IpAddr, behaviour: Behaviour) -> Self {
        let log = Arc::new(Mutex::default());
        let socket = UdpSocket::bind(network, SocketAddr::new(address, 53)).unwrap();
        link.simulation.spawn(by_udp(socket, behaviour, Arc::clone(&log)));
        Self(log)
    }

    /// The queries since the last call.
    pub(crate) fn take(&self) -> Vec<Asked> {
        std::mem::take(&mut self.0.lock().unwrap())
    }
}

fn reply_to(bytes: &[u8], from: SocketAddr, by_tcp: bool, behaviour: &Behaviour, log: &Mutex<Vec<Asked>>) -> Reply {
    let asked = Asked { message: Message::from_vec(bytes).expect("the resolver sends messages"), from, by_tcp };
    log.lock().unwrap().push(asked.clone());
    (behaviour.lock().unwrap())(&asked)
}

async fn by_udp(socket: UdpSocket, behaviour: Behaviour, log: Arc<Mutex<Vec<Asked>>>) {
    loop {
        // The interface may be down, or may have been unmounted.
        let Ok(datagram) = socket.recv_datagram().await else { return };
        for message in reply_to(&datagram.data, datagram.remote, false, &behaviour, &log).messages() {
            socket.send_to(&message, datagram.remote).await.unwrap();
        }
    }
}

async fn by_tcp(
    simulation: xila_network_host::platform::simulated::Simulation,
    listener: TcpListener,
    behaviour: Behaviour,
    log: Arc<Mutex<Vec<Asked>>>,
) {
    while let Ok((stream, peer)) = listener.accept().await {
        let (behaviour, log) = (behaviour.clone(), log.clone());
        simulation.spawn(async move {
            while let Some(query) = read(&stream).await {
                for message in reply_to(&query, peer, true, &behaviour, &log).messages() {
                    let length = u16::try_from(message.len()).unwrap().to_be_bytes();
                    // The client may have closed the connection.
                    if stream.write_all(&[&length, &message[..]].concat()).await.is_err() {
                        return;
                    }
                }
            }
        });
    }
}

/// Reads a message that is preceded by its length; `None` at the end of the stream.
async fn read(stream: &TcpStream) -> Option<Vec<u8>> {
    let mut length = [0; 2];
    fill(stream, &mut length).await?;
    let mut message = vec![0; usize::from(u16::from_be_bytes(length))];
    fill(stream, &mut message).await?;
    Some(message)
}

async fn fill(stream: &TcpStream, mut buffer: &mut [u8]) -> Option<()> {
    while !buffer.is_empty() {
        match stream.read(buffer).await {
            Ok(0) | Err(_) => return None,
            Ok(count) => buffer = &mut buffer[count..],
        }
    }
    Some(())
}
