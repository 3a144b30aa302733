//! `setsockopt`, `getsockopt` and `fcntl`.

use std::time::Duration;

use xila_network_engine::wire::HopLimit;

use super::kernel::Errno;
use super::script::{Call, Value};
use super::settings::Settings;
use super::sockets::{Attempt, Role};
use super::state::State;
use super::symbols;
use super::tolerances::Tolerance;
use super::world::World;

/// Options that have no effect on TCP here, so that any value is accepted.
const WITHOUT_EFFECT: [&str; 10] = [
    "SO_REUSEPORT",
    "SO_TIMESTAMP",
    "SO_DEBUG",
    "SO_MARK",
    "SO_PRIORITY",
    "TCP_QUICKACK",
    "IP_MTU_DISCOVER",
    "IPV6_MTU_DISCOVER",
    "IPV6_V6ONLY",
    "TCP_LOG",
];

impl World {
    pub(crate) fn set_option(&mut self, descriptor: i64, call: &Call) -> Attempt {
        let (Some(name), Some(value)) = (name(call), call.arguments.get(3)) else {
            return Attempt::Unsupported("an option of setsockopt".to_owned());
        };
        let mut settings = self.sockets[&descriptor].settings.clone();
        let attempt = set(&mut settings, &name, value.inner());
        if attempt != Attempt::Done(0) {
            return attempt;
        }
        if name == "SO_RCVBUF" {
            settings.receive_buffer = settings.receive_buffer.min(self.host.receive_limit);
        }
        if let Some(connection) = self.sockets[&descriptor].connection() {
            let now = self.now;
            if let Err(error) = self.kernel().configure(now, connection, &settings) {
                return Attempt::Failed(error);
            }
        }
        self.sockets.get_mut(&descriptor).expect("known").settings = settings;
        attempt
    }

    pub(crate) fn option(&mut self, descriptor: i64, call: &Call) -> Attempt {
        let (Some(name), Some(wanted)) = (name(call), call.arguments.get(3)) else {
            return Attempt::Unsupported("an option of getsockopt".to_owned());
        };
        let settings = self.sockets[&descriptor].settings.clone();
        let connection = self.sockets[&descriptor].connection();
        if name == "TCP_CONGESTION" {
            return match wanted.inner() {
                Value::Text(wanted) if *wanted != settings.congestion => Attempt::Wrong(settings.congestion),
                _ => Attempt::Done(0),
            };
        }
        if name == "SO_LINGER" {
            let is_on = wanted.inner().field("onoff").and_then(symbols::number).unwrap_or_default() != 0;
            return if is_on == settings.linger.is_some() {
                Attempt::Done(0)
            } else {
                Attempt::Wrong("linger".to_owned())
            };
        }
        let value = match name.as_str() {
            "SO_ERROR" => connection
                .and_then(|connection| self.kernel().take_error(connection))
                .map_or(0, |Errno(error)| symbols::number_of(error).unwrap_or(-1)),
            "SO_RCVBUF" => self.buffer(descriptor, settings.receive_buffer),
            "SO_SNDBUF" => self.buffer(descriptor, settings.send_buffer),
            "SO_TYPE" => 1,
            "SO_ACCEPTCONN" => i64::from(matches!(self.sockets[&descriptor].role, Role::Listening(..))),
            "TCP_MAXSEG" => {
                let facts = connection.map(|connection| self.kernel().facts(connection));
                match (facts.filter(|facts| facts.send_mss > 0), settings.maximum_segment) {
                    (Some(facts), _) => facts.send_mss as i64,
                    (None, Some(mss)) => i64::from(mss),
                    (None, None) => 536,
                }
            }
            _ => match get(&settings, &name) {
                Some(value) => value,
                None => return Attempt::Unsupported(format!("the socket option {name}")),
            },
        };
        let number = symbols::number(wanted.inner());
        let is_end = name == "SO_ERROR" && value == 0 && number == symbols::number_of("ECONNRESET");
        match wanted {
            Value::Any => Attempt::Done(0),
            _ if number.is_none_or(|wanted| wanted == value) => Attempt::Done(0),
            _ if is_end && self.has_ended(descriptor) && self.tolerances.allow(Tolerance::ResetAtTheEnd) => {
                Attempt::Done(0)
            }
            wanted => Attempt::Wrong(format!("{name} is {value} where the script has {wanted:?}")),
        }
    }

    /// The size of a buffer: the socket's setting until its handshake has ended, then the connection's.
    fn buffer(&mut self, descriptor: i64, mut size: usize) -> i64 {
        let connection = self.sockets[&descriptor].connection();
        let facts = connection.map(|connection| self.kernel().facts(connection));
        if let Some(facts) = facts.filter(|facts| facts.state != State::SynSent) {
            self.round_buffer(&mut size, Some(facts.send_mss).filter(|mss| *mss > 0));
        }
        size as i64
    }

    /// Whether both ends had closed the connection of a socket that is closed.
    fn has_ended(&self, descriptor: i64) -> bool {
        self.sockets[&descriptor].flow.is_some_and(|flow| self.flows[flow].has_ended())
    }

    pub(crate) fn fcntl(&mut self, descriptor: i64, call: &Call) -> Attempt {
        let socket = self.sockets.get_mut(&descriptor).expect("known");
        let flags = symbols::number_of("O_RDWR").unwrap_or_default();
        let non_blocking = symbols::number_of("O_NONBLOCK").unwrap_or_default();
        match call.arguments.get(1).and_then(symbols::number) {
            Some(3) => match symbols::number(&call.result) {
                // The numbers of the flags depend on the system: scripts have their own.
                Some(wanted) if wanted >= 0 && (wanted & 3) == flags => Attempt::Done(wanted),
                _ => Attempt::Done(flags),
            },
            Some(4) => {
                let wanted = call.arguments.get(2).and_then(symbols::number).unwrap_or_default();
                socket.non_blocking = wanted & non_blocking != 0 || wanted & 4 != 0;
                Attempt::Done(0)
            }
            _ => Attempt::Unsupported("a command of fcntl".to_owned()),
        }
    }
}

fn name(call: &Call) -> Option<String> {
    match call.arguments.get(2)? {
        Value::Word(name) => Some(name.clone()),
        _ => None,
    }
}

fn set(settings: &mut Settings, name: &str, value: &Value) -> Attempt {
    if WITHOUT_EFFECT.contains(&name) {
        return Attempt::Done(0);
    }
    match (name, value) {
        ("SO_LINGER", Value::Fields(_)) => {
            let field = |name: &str| value.field(name).and_then(symbols::number).unwrap_or_default();
            settings.linger = (field("onoff") != 0).then(|| Duration::from_secs(field("linger").unsigned_abs()));
            return Attempt::Done(0);
        }
        ("TCP_CONGESTION", Value::Text(name)) => {
            settings.congestion.clone_from(name);
            return if name == "cubic" { Attempt::Done(0) } else { unsupported(&format!("congestion control {name}")) };
        }
        ("TCP_FUNCTION_BLK", Value::Fields(_))
            if value.field("function_set_name") == Some(&Value::Text("freebsd".to_owned())) =>
        {
            return Attempt::Done(0);
        }
        ("TCP_FUNCTION_BLK", _) => return unsupported("another TCP stack of FreeBSD's"),
        _ => {}
    }
    let Some(number) = symbols::number(value) else { return unsupported(&format!("the socket option {name}")) };
    let is_set = number != 0;
    let seconds = Duration::from_secs(number.unsigned_abs());
    let is_invalid = number < 0 || (number == 0 && matches!(name, "TCP_KEEPIDLE" | "TCP_KEEPINTVL" | "TCP_KEEPCNT"));
    if is_invalid {
        return Attempt::Failed(Errno("EINVAL"));
    }
    match name {
        "SO_REUSEADDR" => settings.reuse_address = is_set,
        "SO_RCVBUF" => settings.receive_buffer = usize::try_from(number).unwrap_or_default(),
        "SO_SNDBUF" => settings.send_buffer = usize::try_from(number).unwrap_or_default(),
        "SO_KEEPALIVE" => settings.keep_alive = is_set,
        "TCP_NODELAY" => settings.no_delay = is_set,
        "TCP_CORK" | "TCP_NOPUSH" => {
            settings.cork = is_set;
            if is_set {
                return unsupported("segments that wait until TCP_CORK is taken off");
            }
        }
        "TCP_KEEPIDLE" | "TCP_KEEPALIVE" => settings.keep_idle = seconds,
        "TCP_KEEPINTVL" => settings.keep_interval = seconds,
        "TCP_KEEPCNT" => settings.keep_count = u32::try_from(number).unwrap_or(u32::MAX),
        "TCP_KEEPINIT" => settings.connect_timeout = seconds,
        "TCP_USER_TIMEOUT" => {
            settings.user_timeout = is_set.then(|| Duration::from_millis(number.unsigned_abs()));
        }
        "TCP_MAXSEG" => {
            settings.maximum_segment = u16::try_from(number).ok().filter(|mss| *mss > 0);
            return unsupported("an MSS of its own for a socket");
        }
        "TCP_NOOPT" => {
            settings.no_options = is_set;
            return if is_set { unsupported("SYNs without options") } else { Attempt::Done(0) };
        }
        "IP_TTL" | "IPV6_UNICAST_HOPS" => match u8::try_from(number).map(HopLimit::new) {
            Ok(None) => return Attempt::Failed(Errno("EINVAL")),
            Ok(hop_limit) => settings.hop_limit = hop_limit,
            // -1 stands for the default.
            Err(_) => settings.hop_limit = None,
        },
        "IP_TOS" | "IPV6_TCLASS" => {
            settings.traffic_class = u8::try_from(number & 0xff).unwrap_or_default();
        }
        _ => return unsupported(&format!("the socket option {name}")),
    }
    Attempt::Done(0)
}

fn unsupported(what: &str) -> Attempt {
    Attempt::Unsupported(format!("the engine has no option for {what}"))
}

fn get(settings: &Settings, name: &str) -> Option<i64> {
    let seconds = |duration: Duration| i64::try_from(duration.as_secs()).unwrap_or(i64::MAX);
    Some(match name {
        "SO_REUSEADDR" => i64::from(settings.reuse_address),
        "SO_KEEPALIVE" => i64::from(settings.keep_alive),
        "TCP_NODELAY" => i64::from(settings.no_delay),
        "TCP_CORK" | "TCP_NOPUSH" => i64::from(settings.cork),
        "TCP_NOOPT" => i64::from(settings.no_options),
        "TCP_KEEPIDLE" | "TCP_KEEPALIVE" => seconds(settings.keep_idle),
        "TCP_KEEPINTVL" => seconds(settings.keep_interval),
        "TCP_KEEPCNT" => i64::from(settings.keep_count),
        "TCP_KEEPINIT" => seconds(settings.connect_timeout),
        "TCP_USER_TIMEOUT" => settings.user_timeout.map_or(0, |timeout| timeout.as_millis() as i64),
        "IP_TTL" | "IPV6_UNICAST_HOPS" => i64::from(settings.hop_limit.unwrap_or_default().octet()),
        "IP_TOS" | "IPV6_TCLASS" => i64::from(settings.traffic_class),
        _ => return None,
    })
}
