//! How the host resolves names: by its DNS servers (resolv.conf(5)), after its file of hosts (hosts(5)).
//!
//! Both files are read for each question, because they change when the host moves to another network.

use core::net::{IpAddr, SocketAddr};
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use hickory_proto::op::{Message, ResponseCode};
use hickory_proto::rr::{RData, Record, RecordType};
use hickory_proto::serialize::binary::{BinDecodable as _, BinEncodable as _};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpStream, UdpSocket};

use super::resolv_conf::{self, ResolvConf};
use crate::address::Family;
use crate::platform::Clock;
use crate::services::dns::upstream::{ask_each, first_answer};
use crate::services::dns::{Answering, PORT, Transport, Upstream, UpstreamError};

/// See the [module](self).
pub(super) struct HostResolvers {
    clock: Arc<dyn Clock>,
    servers: PathBuf,
    hosts: PathBuf,
    port: u16,
}

/// How long an answer from the file of hosts is valid, in seconds.
const TTL: u32 = 10;
/// The longest DNS message.
const LONGEST: usize = 65535;

impl HostResolvers {
    pub(super) fn new(clock: Arc<dyn Clock>) -> Self {
        Self { clock, servers: resolv_conf::PATH.into(), hosts: "/etc/hosts".into(), port: PORT }
    }

    /// The addresses of a name in the file of hosts. `None` if it is not there.
    fn hosts(&self, name: &str) -> Option<Vec<IpAddr>> {
        let text = std::fs::read_to_string(&self.hosts).ok()?;
        let addresses: Vec<IpAddr> = text
            .lines()
            .filter_map(|line| {
                let mut words = line.split('#').next()?.split_whitespace();
                let address: IpAddr = words.next()?.parse().ok()?;
                words.any(|known| known.eq_ignore_ascii_case(name)).then_some(address)
            })
            // The loopback of the host is not that of the app.
            .filter(|address| !address.is_loopback())
            .collect();
        (!addresses.is_empty()).then_some(addresses)
    }

    /// The answer of the file of hosts.
    fn local_answer(&self, query: &[u8]) -> Option<Vec<u8>> {
        let query = Message::from_bytes(query).ok()?;
        let [question] = query.queries.as_slice() else { return None };
        if ![RecordType::A, RecordType::AAAA].contains(&question.query_type()) {
            return None;
        }
        let name = question.name().to_ascii();
        let addresses = self.hosts(name.trim_end_matches('.'))?;
        let mut answer = Message::response(query.metadata.id, query.metadata.op_code);
        answer.metadata.recursion_desired = query.metadata.recursion_desired;
        answer.metadata.recursion_available = true;
        answer.metadata.response_code = ResponseCode::NoError;
        answer.add_query(question.clone());
        for address in addresses {
            let data = match (address, question.query_type()) {
                (IpAddr::V4(address), RecordType::A) => RData::A(address.into()),
                (IpAddr::V6(address), RecordType::AAAA) => RData::AAAA(address.into()),
                _ => continue,
            };
            answer.add_answer(Record::from_rdata(question.name().clone(), TTL, data));
        }
        answer.to_bytes().ok()
    }

    async fn ask_servers(&self, query: &[u8], transport: Transport) -> Result<Vec<u8>, UpstreamError> {
        let ask = |server| async move {
            match transport {
                Transport::Udp => by_udp(server, query).await,
                Transport::Tcp => by_tcp(server, query).await.map_err(|error| failed(server, &error)),
            }
        };
        ask_each(&*self.clock, ResolvConf::read(&self.servers).servers(self.port), ask).await
    }
}

impl Upstream for HostResolvers {
    fn ask<'a>(&'a self, query: &'a [u8], transport: Transport) -> Answering<'a> {
        Box::pin(async move {
            match self.local_answer(query) {
                Some(answer) => Ok(answer),
                None => self.ask_servers(query, transport).await,
            }
        })
    }
}

/// Sends a datagram from a random port, and waits for the answer.
async fn by_udp(server: SocketAddr, query: &[u8]) -> Result<Vec<u8>, UpstreamError> {
    let failed = |error: io::Error| failed(server, &error);
    let socket = UdpSocket::bind((Family::of(server.ip()).unspecified(), 0)).await.map_err(failed)?;
    socket.connect(server).await.map_err(failed)?;
    socket.send(query).await.map_err(failed)?;
    let receive = || async {
        let mut datagram = vec![0; LONGEST];
        let length = socket.recv(&mut datagram).await.map_err(failed)?;
        datagram.truncate(length);
        Ok(datagram)
    };
    first_answer(query, receive).await
}

/// Sends a message and receives one on a connection of its own, each with its length in front (RFC 1035 section 4.2.2).
async fn by_tcp(server: SocketAddr, query: &[u8]) -> io::Result<Vec<u8>> {
    let mut stream = TcpStream::connect(server).await?;
    let length = u16::try_from(query.len()).map_err(io::Error::other)?;
    stream.write_all(&[&length.to_be_bytes(), query].concat()).await?;
    let mut answer = vec![0; usize::from(stream.read_u16().await?)];
    stream.read_exact(&mut answer).await?;
    Ok(answer)
}

fn failed(server: SocketAddr, error: &io::Error) -> UpstreamError {
    UpstreamError::Failed(format!("{server}: {error}"))
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;
    use std::path::Path;

    use hickory_proto::op::Query;
    use hickory_proto::rr::Name;

    use super::*;
    use crate::platform::tokio::platform;

    const NOWHERE: &str = "/nonexistent";

    /// The resolvers of a host with these files, and of servers on this port.
    fn host(servers: &Path, hosts: &Path, port: u16) -> HostResolvers {
        let clock = platform().clock;
        HostResolvers { clock, servers: servers.into(), hosts: hosts.into(), port }
    }

    /// A file that is removed when this is dropped.
    struct Temporary(PathBuf);

    impl Temporary {
        fn new(name: &str, text: &str) -> Self {
            let path = std::env::temp_dir().join(format!("xila-network-{}-{name}", std::process::id()));
            let mut file = std::fs::File::create(&path).expect("a file");
            file.write_all(text.as_bytes()).expect("room");
            Self(path)
        }
    }

    impl Drop for Temporary {
        fn drop(&mut self) {
            std::fs::remove_file(&self.0).expect("it is there");
        }
    }

    fn question(name: &str, kind: RecordType) -> Vec<u8> {
        let mut message = Message::query();
        message.add_query(Query::query(Name::from_ascii(name).expect("a name"), kind));
        message.to_bytes().expect("a message")
    }

    #[tokio::test]
    async fn the_file_of_hosts_answers_before_servers_and_its_loopback_stays_at_home() {
        let text =
            "127.0.0.1 localhost me\n192.0.2.7 Printer printer.lan # it\n2001:db8::7 printer.lan\n#192.0.2.8 no\n";
        let file = Temporary::new("hosts", text);
        let resolvers = host(NOWHERE.as_ref(), &file.0, PORT);
        let answers = |name, kind| {
            let answer = resolvers.local_answer(&question(name, kind))?;
            let answer = Message::from_bytes(&answer).expect("a message");
            Some(answer.answers.iter().map(|record| record.data.to_string()).collect::<Vec<_>>())
        };
        assert_eq!(answers("printer.lan.", RecordType::A), Some(vec!["192.0.2.7".to_owned()]));
        assert_eq!(answers("PRINTER.lan.", RecordType::AAAA), Some(vec!["2001:db8::7".to_owned()]));
        assert_eq!(answers("printer.", RecordType::AAAA), Some(Vec::new()), "it has no such address");
        assert_eq!(answers("printer.lan.", RecordType::MX), None);
        assert_eq!(answers("me.", RecordType::A), None);
        assert_eq!(answers("no.", RecordType::A), None);
    }

    #[tokio::test]
    async fn the_second_server_is_asked_if_the_first_fails_and_tcp_answers_are_whole() {
        let server = tokio::net::TcpListener::bind("127.0.0.2:0").await.expect("a server");
        let port = server.local_addr().expect("an end").port();
        let file = Temporary::new("resolv-2", "nameserver 127.0.0.1\nnameserver 127.0.0.2\n");
        let resolvers = host(&file.0, NOWHERE.as_ref(), port);
        let serving = tokio::spawn(async move {
            let (mut stream, _) = server.accept().await.expect("a connection");
            let mut query = vec![0; usize::from(stream.read_u16().await.expect("a length"))];
            stream.read_exact(&mut query).await.expect("a query");
            query.resize(4000, 7);
            stream.write_u16(4000).await.expect("room");
            stream.write_all(&query).await.expect("room");
        });
        let query = question("example.org.", RecordType::A);
        let answer = resolvers.ask(&query, Transport::Tcp).await.expect("an answer");
        assert_eq!((answer.len(), &answer[..query.len()]), (4000, &query[..]));
        serving.await.expect("the server");
        let error = resolvers.ask(&query, Transport::Tcp).await.expect_err("it has gone");
        assert!(matches!(error, UpstreamError::Failed(_)), "{error}");
    }

    #[tokio::test]
    async fn a_server_that_does_not_want_to_answer_is_passed_over_unless_no_other_answers() {
        const SERVFAIL: u8 = 2;
        const REFUSED: u8 = 5;
        let first = UdpSocket::bind("127.0.0.1:0").await.expect("a server");
        let port = first.local_addr().expect("an end").port();
        let second = UdpSocket::bind(("127.0.0.2", port)).await.expect("another server");
        let file = Temporary::new("resolv-5", "nameserver 127.0.0.1\nnameserver 127.0.0.2\n");
        let resolvers = host(&file.0, NOWHERE.as_ref(), port);
        let query = question("example.org.", RecordType::A);
        for (codes, expected) in [([REFUSED, 0], 0), ([SERVFAIL, 3], 3), ([SERVFAIL, REFUSED], SERVFAIL)] {
            let serve = async {
                for (server, code) in [&first, &second].into_iter().zip(codes) {
                    let mut buffer = vec![0; LONGEST];
                    let (length, client) = server.recv_from(&mut buffer).await.expect("a query");
                    buffer[2] |= 0x80;
                    buffer[3] = code;
                    server.send_to(&buffer[..length], client).await.expect("room");
                }
            };
            let (asked, ()) = tokio::join!(resolvers.ask(&query, Transport::Udp), serve);
            assert_eq!(asked.expect("an answer")[3], expected, "{codes:?}");
        }
    }

    #[tokio::test]
    async fn what_is_no_answer_is_passed_over_but_not_for_ever() {
        let server = UdpSocket::bind("127.0.0.1:0").await.expect("a server");
        let port = server.local_addr().expect("an end").port();
        let file = Temporary::new("resolv-3", "nameserver 127.0.0.1\n");
        let resolvers = host(&file.0, NOWHERE.as_ref(), port);
        let query = question("example.org.", RecordType::A);
        for (misfits, is_answered) in [(10, true), (100, false)] {
            let serve = async {
                let mut buffer = vec![0; LONGEST];
                let (length, client) = server.recv_from(&mut buffer).await.expect("a query");
                let mut answer = buffer[..length].to_vec();
                answer[2] |= 0x80;
                for number in 0..misfits {
                    // Another identifier, another name, or the query itself.
                    let at = [0, 13, 2][number % 3];
                    let mut misfit = answer.clone();
                    misfit[at] ^= 0x80;
                    server.send_to(&misfit, client).await.expect("room");
                }
                server.send_to(&answer, client).await.expect("room");
            };
            let (asked, ()) = tokio::join!(resolvers.ask(&query, Transport::Udp), serve);
            match asked {
                Ok(answer) => assert!(is_answered && answer[13] == b'e', "{misfits}"),
                Err(error) => assert_eq!((error, is_answered), (UpstreamError::Unreachable, false)),
            }
        }
    }
}
