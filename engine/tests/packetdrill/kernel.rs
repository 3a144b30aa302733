//! The engine behind the calls of a socket layer: errors by their `errno` names, times in microseconds, and the
//! handling of ICMP that a shell around the engine does.

use std::collections::{HashSet, VecDeque};
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use xila_network_engine::ip::output::{Blocked, Outlet, Packet};
use xila_network_engine::ports::Owner;
use xila_network_engine::random::Random;
use xila_network_engine::tcp::sequence::Sequence;
use xila_network_engine::tcp::{
    Attempt, Cause, Config, ConnectError, ConnectionId, EcnUse, Info, KeepAlive, Link, ListenerId, Options, Places,
    ReadError, RecoveryState, Tcp, TcpState, Tuple, WriteError,
};
use xila_network_engine::time::Instant;

use super::script::{Icmp, Micros};
use super::settings::{Host, Settings};
use super::state::State;
use super::wire::LiveSegment;

/// The `errno` name of an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Errno(pub(crate) &'static str);

const WOULD_BLOCK: Errno = Errno("EAGAIN");

pub(crate) type Listener = ListenerId;
pub(crate) type Connection = ConnectionId;

/// The properties of a connection.
#[derive(Clone, Debug)]
pub(crate) struct Facts {
    pub(crate) state: State,
    pub(crate) send_mss: usize,
    pub(crate) send_buffer: usize,
    /// Octets that can be read.
    pub(crate) readable: usize,
    /// Octets that were written and not acknowledged by the peer.
    pub(crate) unacknowledged: usize,
    /// Octets that were written and not sent yet.
    pub(crate) unsent: usize,
    /// Whether the peer's stream has ended and its end can be read.
    pub(crate) is_read_ended: bool,
    /// Whether data may be sent.
    pub(crate) is_writable: bool,
    pub(crate) has_error: bool,
}

/// The engine with its outlet.
pub(crate) struct Kernel {
    tcp: Tcp,
    outlet: Queue,
    host: Host,
    /// Connections whose error was already returned.
    told: HashSet<ConnectionId>,
}

/// An outlet that accepts every packet.
struct Queue {
    packets: VecDeque<Vec<u8>>,
    mtu: usize,
    /// The path MTU that routers have reported.
    path: Option<usize>,
}

impl Outlet for Queue {
    fn send(&mut self, packet: &Packet<'_>) -> Result<(), Blocked> {
        let mut octets = vec![0; packet.length()];
        packet.emit(&mut octets, true);
        self.packets.push_back(octets);
        Ok(())
    }

    fn mtu(&self, _destination: IpAddr) -> usize {
        self.path.map_or(self.mtu, |path| path.min(self.mtu))
    }
}

impl Kernel {
    pub(crate) fn new(host: &Host) -> Self {
        let mut config = Config::new(Link { mtu: host.mtu, lossless: false, checksums: true });
        config.time_wait = host.time_wait;
        config.most_half_open = host.half_open;
        let outlet = Queue { packets: VecDeque::new(), mtu: host.mtu, path: None };
        Self { tcp: Tcp::new(config, Random::new([7; 32])), outlet, host: host.clone(), told: HashSet::new() }
    }

    /// Takes the packets that were sent since the last call.
    pub(crate) fn take_sent(&mut self) -> VecDeque<Vec<u8>> {
        while self.tcp.poll_event().is_some() {}
        std::mem::take(&mut self.outlet.packets)
    }

    pub(crate) fn listen(&mut self, local: SocketAddr, backlog: usize, settings: &Settings) -> Result<Listener, Errno> {
        let listener = self.tcp.bind(local.ip(), local.port(), Owner::HOST).map_err(|_| Errno("EADDRINUSE"))?;
        self.tcp.listen(listener, Places::new(backlog.max(1)), self.options(settings));
        Ok(listener)
    }

    pub(crate) fn unlisten(&mut self, now: Micros, listener: Listener) {
        self.tcp.unbind(listener, instant(now), &mut self.outlet);
    }

    pub(crate) fn accept(&mut self, listener: Listener) -> Option<(Connection, SocketAddr)> {
        self.tcp.accept(listener).map(|accepted| (accepted.id, accepted.remote))
    }

    pub(crate) fn has_waiting(&self, listener: Listener) -> bool {
        self.tcp.is_acceptable(listener)
    }

    pub(crate) fn connect(
        &mut self,
        now: Micros,
        local: SocketAddr,
        remote: SocketAddr,
        settings: &Settings,
    ) -> Result<Connection, Errno> {
        let options = self.options(settings);
        let attempt = Attempt::new(Owner::HOST, local, remote, settings.connect_timeout);
        self.tcp.connect(&attempt, options, instant(now)).map_err(|error| match error {
            ConnectError::AddressInUse => Errno("EADDRINUSE"),
            ConnectError::InvalidAddress => Errno("EINVAL"),
            ConnectError::LimitReached | ConnectError::ShareExhausted => Errno("ENOBUFS"),
        })
    }

    /// The result of a handshake; `None` while it is in progress.
    pub(crate) fn connected(&self, connection: Connection) -> Option<Result<(), Errno>> {
        Some(self.tcp.is_connected(connection)?.map_err(errno))
    }

    pub(crate) fn read(&mut self, now: Micros, id: Connection, into: &mut [u8], peeks: bool) -> Result<usize, Errno> {
        let result = if peeks { self.tcp.peek(id, into, instant(now)) } else { self.tcp.read(id, into, instant(now)) };
        match result {
            Ok(length) => Ok(length),
            Err(ReadError::WouldBlock) => Err(WOULD_BLOCK),
            Err(ReadError::Ended(cause)) if self.told.insert(id) => Err(errno(cause)),
            Err(ReadError::Ended(_)) => Ok(0),
            Err(ReadError::Unknown) => Err(Errno("ENOTCONN")),
        }
    }

    pub(crate) fn write(&mut self, now: Micros, id: Connection, from: &[u8]) -> Result<usize, Errno> {
        self.tcp.write(id, from, instant(now)).map_err(|error| match error {
            WriteError::WouldBlock => WOULD_BLOCK,
            WriteError::Ended(cause) if self.told.insert(id) => errno(cause),
            WriteError::Ended(_) | WriteError::Finished => Errno("EPIPE"),
            WriteError::Unknown => Errno("ENOTCONN"),
        })
    }

    pub(crate) fn shutdown_write(&mut self, now: Micros, id: Connection) -> Result<(), Errno> {
        self.tcp.shutdown_write(id, instant(now)).map_err(|_| Errno("ENOTCONN"))
    }

    pub(crate) fn shutdown_read(&mut self, now: Micros, id: Connection) {
        self.tcp.shutdown_read(id, instant(now));
    }

    pub(crate) fn release(&mut self, now: Micros, id: Connection) {
        self.tcp.release(id, instant(now));
    }

    /// Aborts and releases a connection.
    pub(crate) fn abort(&mut self, now: Micros, id: Connection) {
        self.tcp.abort(id, Cause::Aborted, instant(now));
        self.tcp.release(id, instant(now));
    }

    pub(crate) fn configure(&mut self, now: Micros, id: Connection, settings: &Settings) -> Result<(), Errno> {
        let wanted = self.options(settings);
        self.tcp.configure(id, |options| *options = wanted, instant(now)).map_err(|_| Errno("EINVAL"))
    }

    /// The engine's options for a socket's settings.
    fn options(&self, settings: &Settings) -> Options {
        let keep = KeepAlive { idle: settings.keep_idle, interval: settings.keep_interval, count: settings.keep_count };
        let default = Options::default();
        Options {
            receive_buffer: settings.receive_buffer,
            window_limit: self.host.receive_limit,
            budget: None,
            send_buffer: settings.send_buffer,
            no_delay: settings.no_delay,
            keep_alive: settings.keep_alive.then_some(keep),
            hop_limit: settings.hop_limit.unwrap_or(default.hop_limit),
            traffic_class: settings.traffic_class,
            user_timeout: settings.user_timeout,
            linger: settings.linger.unwrap_or(default.linger),
            congestion: default.congestion,
            ecn: match self.host.ecn {
                0 => EcnUse::Off,
                1 => EcnUse::Request,
                _ => EcnUse::Accept,
            },
            timestamps: self.host.timestamps,
            window_scaling: self.host.window_scale,
            selective: self.host.sack,
        }
    }

    /// Applies host settings to sockets that are created from now on.
    pub(crate) fn set_host(&mut self, host: &Host) {
        self.host = host.clone();
    }

    pub(crate) fn facts(&mut self, id: Connection) -> Facts {
        let info = self.tcp.info(id);
        let cause = self.tcp.is_connected(id).and_then(Result::err);
        let is_read_ended = self.tcp.is_readable(id) && info.receive_queue == 0 && cause.is_none();
        let state = match info.state {
            // The engine no longer has a connection in TIME-WAIT, but its owner may still hold it.
            TcpState::Closed if cause.is_none() && self.tcp.time_wait_count() > 0 => State::TimeWait,
            state => State::from(state),
        };
        Facts {
            state,
            send_mss: info.segment,
            send_buffer: self.tcp.options(id).map_or(0, |options| options.send_buffer),
            readable: info.receive_queue,
            unacknowledged: info.send_queue,
            unsent: info.send_queue.saturating_sub(outstanding(&info)),
            is_read_ended,
            is_writable: self.tcp.is_writable(id),
            has_error: cause.is_some() && !self.told.contains(&id),
        }
    }

    /// The error that a connection ended with. It is returned once.
    pub(crate) fn take_error(&mut self, id: Connection) -> Option<Errno> {
        let cause = self.tcp.is_connected(id)?.err()?;
        self.told.insert(id).then(|| errno(cause))
    }

    /// The value of `tcpi_...`. Windows are counted in segments, as on Linux, or in octets, as on FreeBSD.
    pub(crate) fn statistic(&mut self, id: Connection, name: &str, counts_segments: bool) -> Option<f64> {
        let state = self.facts(id).state;
        let info = self.tcp.info(id);
        let micros = |duration: Option<Duration>| duration.map_or(0.0, |duration| duration.as_micros() as f64);
        let segments = |octets: usize| octets.div_ceil(info.segment.max(1)) as f64;
        let window =
            |octets: usize| if counts_segments { (octets / info.segment.max(1)) as f64 } else { octets as f64 };
        Some(match name {
            "tcpi_state" => f64::from(state as u8),
            "tcpi_snd_cwnd" => window(info.congestion_window),
            "tcpi_snd_ssthresh" => window(info.threshold),
            "tcpi_rto" => micros(Some(info.timeout)),
            "tcpi_rtt" => micros(info.rtt),
            "tcpi_rttvar" => micros(info.rtt_variance),
            "tcpi_min_rtt" => micros(info.minimum_rtt),
            "tcpi_unacked" => segments(outstanding(&info)),
            "tcpi_sacked" => segments(info.sacked),
            "tcpi_lost" => segments(info.lost_now),
            "tcpi_total_retrans" | "tcpi_snd_rexmitpack" => info.retransmitted as f64,
            "tcpi_snd_mss" => info.segment as f64,
            "tcpi_snd_wnd" => info.send_window as f64,
            "tcpi_rcv_space" => info.receive_window as f64,
            "tcpi_backoff" | "tcpi_retransmits" => f64::from(info.backoff),
            "tcpi_ca_state" => f64::from(congestion_state(info.recovery)),
            "TCP_CA_Open" => 0.0,
            "TCP_CA_Disorder" => 1.0,
            "TCP_CA_CWR" => 2.0,
            "TCP_CA_Recovery" => 3.0,
            "TCP_CA_Loss" => 4.0,
            _ => return None,
        })
    }

    /// The number of handshakes in progress at listeners.
    pub(crate) fn half_open(&self) -> usize {
        self.tcp.half_open_count()
    }

    pub(crate) fn receive(&mut self, now: Micros, packet: &[u8]) {
        self.tcp.receive(instant(now), packet, &mut self.outlet);
    }

    /// Processes an ICMP error that quotes `quoted`. The TCP engine has no ICMP: this is what its shell does with an
    /// error about a segment in flight (RFC 5927 section 4.1).
    pub(crate) fn receive_error(&mut self, now: Micros, quoted: &LiveSegment, icmp: &Icmp) {
        let tuple = Tuple::new(quoted.source, quoted.destination);
        if !self.tcp.is_in_flight(&tuple, Sequence(quoted.sequence)) {
            return;
        }
        let code = icmp.code.as_deref().unwrap_or_default();
        match (icmp.kind.as_str(), code) {
            ("unreachable", "frag_needed") | ("packet_too_big", _) => {
                let least = if quoted.source.is_ipv4() { 68 } else { 1280 };
                let mtu = icmp.mtu.map_or(least, |mtu| mtu as usize).max(least);
                if mtu < self.outlet.mtu(tuple.remote().ip()) {
                    self.outlet.path = Some(mtu);
                    self.tcp.set_path_mtu(tuple.remote().ip(), mtu, instant(now));
                }
            }
            // Hard errors end only a handshake (RFC 1122 section 4.2.3.9, RFC 5927 section 5.2).
            ("unreachable", "port_unreachable" | "protocol_unreachable" | "admin_prohibited") => {
                if let Some(id) = self.tcp.find(&tuple) {
                    self.tcp.fail_connecting(id, Cause::Refused, instant(now));
                }
            }
            _ => {}
        }
    }

    pub(crate) fn transmit(&mut self, now: Micros) {
        self.tcp.transmit(instant(now), &mut self.outlet);
    }

    pub(crate) fn handle_timeout(&mut self, now: Micros) {
        self.tcp.handle_timeout(instant(now));
    }

    /// When the next timer expires, rounded up.
    pub(crate) fn next_timeout(&self) -> Option<Micros> {
        let nanos = self.tcp.next_timeout()?.since_origin().as_nanos();
        Some(Micros::try_from(nanos.div_ceil(1000)).unwrap_or(Micros::MAX))
    }
}

fn instant(now: Micros) -> Instant {
    Instant::from_origin(Duration::from_micros(now.unsigned_abs()))
}

const fn errno(cause: Cause) -> Errno {
    Errno(match cause {
        Cause::Refused => "ECONNREFUSED",
        Cause::Reset => "ECONNRESET",
        Cause::TimedOut => "ETIMEDOUT",
        Cause::Aborted => "ECONNABORTED",
        Cause::Unreachable => "EHOSTUNREACH",
        Cause::AddressGone => "EADDRNOTAVAIL",
    })
}

const fn congestion_state(state: RecoveryState) -> u8 {
    match state {
        RecoveryState::Open => 0,
        RecoveryState::Disorder => 1,
        RecoveryState::Cwr => 2,
        RecoveryState::Recovery => 3,
        RecoveryState::Loss => 4,
    }
}

const fn outstanding(info: &Info) -> usize {
    info.in_flight + info.sacked + info.lost_now
}
