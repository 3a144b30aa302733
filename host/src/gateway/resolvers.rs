//! How the host resolves names: by its file of hosts (hosts(5)), and by its DNS servers (resolv.conf(5)).
//!
//! Both files are read for each question, because they change when the host moves to another network.

use core::net::{IpAddr, SocketAddr};
use std::io;
use std::path::PathBuf;
use std::str::SplitWhitespace;
use std::sync::Arc;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpStream, UdpSocket};

use super::resolv_conf::{self, ResolvConf};
use crate::address::Family;
use crate::platform::Clock;
use crate::services::dns::upstream::{ask_each, by_datagrams};
use crate::services::dns::{Answering, Names, PORT, Transport, Upstream, UpstreamError};

/// The host's DNS servers.
pub(super) struct HostResolvers {
    clock: Arc<dyn Clock>,
    servers: PathBuf,
    port: u16,
}

/// The longest DNS message.
const LONGEST: usize = 65535;

impl HostResolvers {
    pub(super) fn new(clock: Arc<dyn Clock>) -> Self {
        Self { clock, servers: resolv_conf::PATH.into(), port: PORT }
    }

    async fn ask_servers(&self, query: &[u8], transport: Transport) -> Result<Vec<u8>, UpstreamError> {
        let ask = |server| async move {
            match transport {
                Transport::Udp => self.by_udp(server, query).await,
                Transport::Tcp => by_tcp(server, query).await.map_err(|error| failed(server, &error)),
            }
        };
        ask_each(&*self.clock, &ResolvConf::read(&self.servers).servers(self.port), ask).await
    }

    /// Sends datagrams from a random port, and waits for the answer.
    async fn by_udp(&self, server: SocketAddr, query: &[u8]) -> Result<Vec<u8>, UpstreamError> {
        let failed = |error: io::Error| failed(server, &error);
        let socket = UdpSocket::bind((Family::of(server.ip()).unspecified(), 0)).await.map_err(failed)?;
        socket.connect(server).await.map_err(failed)?;
        let send = || async { socket.send(query).await.map(drop).map_err(failed) };
        let receive = || async {
            let mut datagram = vec![0; LONGEST];
            let length = socket.recv(&mut datagram).await.map_err(failed)?;
            datagram.truncate(length);
            Ok(datagram)
        };
        by_datagrams(&*self.clock, query, send, receive).await
    }
}

impl Upstream for HostResolvers {
    fn ask<'a>(&'a self, query: &'a [u8], transport: Transport) -> Answering<'a> {
        Box::pin(self.ask_servers(query, transport))
    }
}

/// The host's file of hosts. The loopback of the host is not that of the app, so addresses of that are left out.
pub(super) struct HostsFile(PathBuf);

impl HostsFile {
    pub(super) fn new() -> Self {
        Self("/etc/hosts".into())
    }

    /// Those entries of the file, each an address and its names, of which the first is the usual one, that are wanted.
    fn entries<T>(&self, wanted: impl Fn(IpAddr, SplitWhitespace<'_>) -> Option<T>) -> Vec<T> {
        let text = std::fs::read_to_string(&self.0).unwrap_or_default();
        let entry = |line: &str| {
            let mut words = line.split('#').next()?.split_whitespace();
            let address: IpAddr = words.next()?.parse().ok()?;
            if address.is_loopback() { None } else { wanted(address, words) }
        };
        text.lines().filter_map(entry).collect()
    }
}

impl Names for HostsFile {
    fn lookup(&self, name: &str) -> Option<Vec<IpAddr>> {
        let addresses =
            self.entries(|address, mut names| names.any(|known| known.eq_ignore_ascii_case(name)).then_some(address));
        (!addresses.is_empty()).then_some(addresses)
    }

    fn reverse(&self, address: IpAddr) -> Option<String> {
        let names = self.entries(|known, mut names| names.next().filter(|_| known == address).map(str::to_owned));
        names.into_iter().next()
    }
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
    use core::time::Duration;
    use std::io::Write as _;
    use std::path::Path;

    use hickory_proto::op::{Message, Query};
    use hickory_proto::rr::{Name, RecordType};
    use hickory_proto::serialize::binary::BinEncodable as _;

    use super::*;
    use crate::platform::tokio::platform;

    /// The resolvers of a host with this configuration, and of servers on this port.
    fn host(servers: &Path, port: u16) -> HostResolvers {
        HostResolvers { clock: platform().clock, servers: servers.into(), port }
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

    #[test]
    fn the_file_of_hosts_has_names_and_addresses_and_its_loopback_stays_at_home() {
        let text =
            "127.0.0.1 localhost me\n192.0.2.7 Printer printer.lan # it\n2001:db8::7 printer.lan\n#192.0.2.8 no\n";
        let file = Temporary::new("hosts", text);
        let hosts = HostsFile(file.0.clone());
        let found = |name| hosts.lookup(name).map(|found| found.iter().map(ToString::to_string).collect::<Vec<_>>());
        assert_eq!(found("printer.lan"), Some(vec!["192.0.2.7".to_owned(), "2001:db8::7".to_owned()]));
        assert_eq!(found("printer"), Some(vec!["192.0.2.7".to_owned()]));
        for name in ["me", "localhost", "no", "192.0.2.7", ""] {
            assert_eq!(found(name), None, "{name}");
        }
        let name = |text: &str| hosts.reverse(text.parse().expect("an address"));
        assert_eq!(name("192.0.2.7").as_deref(), Some("Printer"));
        assert_eq!(name("2001:db8::7").as_deref(), Some("printer.lan"));
        assert_eq!((name("127.0.0.1"), name("192.0.2.8")), (None, None));
        assert_eq!(HostsFile("/nonexistent".into()).lookup("printer"), None);
    }

    /// Answers a query after `delay`, which is for how many datagrams of it this waits.
    async fn answer_after(server: &UdpSocket, datagrams: usize, delay: Duration) {
        let mut buffer = vec![0; LONGEST];
        for _ in 1..datagrams {
            server.recv_from(&mut buffer).await.expect("a query");
        }
        let (length, client) = server.recv_from(&mut buffer).await.expect("a query");
        tokio::time::sleep(delay).await;
        buffer[2] |= 0x80;
        server.send_to(&buffer[..length], client).await.expect("room");
    }

    #[tokio::test]
    async fn a_slow_server_has_time_if_it_is_the_only_one_and_a_lost_datagram_is_sent_again() {
        let server = UdpSocket::bind("127.0.0.1:0").await.expect("a server");
        let file = Temporary::new("resolv-6", "nameserver 127.0.0.1\n");
        let resolvers = host(&file.0, server.local_addr().expect("an end").port());
        let query = question("example.org.", RecordType::A);
        for (datagrams, delay) in [(1, Duration::from_secs(3)), (2, Duration::ZERO)] {
            let answered = answer_after(&server, datagrams, delay);
            let (asked, ()) = tokio::join!(resolvers.ask(&query, Transport::Udp), answered);
            assert_eq!(asked.expect("an answer")[..2], query[..2], "{datagrams} {delay:?}");
            // What was sent again meanwhile.
            while server.try_recv_from(&mut [0; 512]).is_ok() {}
        }
    }

    #[tokio::test]
    async fn the_second_server_is_asked_if_the_first_fails_and_tcp_answers_are_whole() {
        let server = tokio::net::TcpListener::bind("127.0.0.2:0").await.expect("a server");
        let port = server.local_addr().expect("an end").port();
        let file = Temporary::new("resolv-2", "nameserver 127.0.0.1\nnameserver 127.0.0.2\n");
        let resolvers = host(&file.0, port);
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
        let resolvers = host(&file.0, port);
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
        let resolvers = host(&file.0, port);
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
