//! Symbolic constants. Their values do not matter, as long as flags are different bits.

use super::script::Value;

const NAMES: &[(&str, i64)] = &[
    ("O_RDONLY", 0),
    ("O_WRONLY", 1),
    ("O_RDWR", 2),
    ("O_NONBLOCK", 0x800),
    ("F_GETFL", 3),
    ("F_SETFL", 4),
    ("SHUT_RD", 0),
    ("SHUT_WR", 1),
    ("SHUT_RDWR", 2),
    ("MSG_PEEK", 0x2),
    ("MSG_DONTWAIT", 0x40),
    ("MSG_EOR", 0x80),
    ("MSG_WAITALL", 0x100),
    ("MSG_NOSIGNAL", 0x4000),
    ("MSG_MORE", 0x8000),
    ("MSG_TRUNC", 0x20),
    ("MSG_EOF", 0x200),
    ("MSG_OOB", 0x1),
    ("MSG_FASTOPEN", 0x2000_0000),
    ("MSG_ZEROCOPY", 0x400_0000),
    ("MSG_ERRQUEUE", 0x1_0000),
    ("POLLIN", 1),
    ("POLLPRI", 2),
    ("POLLOUT", 4),
    ("POLLERR", 8),
    ("POLLHUP", 0x10),
    ("POLLNVAL", 0x20),
    ("POLLRDNORM", 0x40),
    ("POLLWRNORM", 0x100),
    ("POLLRDHUP", 0x2000),
    ("IPTOS_DSCP_CS1", 0x20),
    ("IPTOS_DSCP_CS7", 0xe0),
    ("IPTOS_LOWDELAY", 0x10),
    ("EPERM", 1),
    ("EAGAIN", 11),
    ("EWOULDBLOCK", 11),
    ("EINVAL", 22),
    ("EPIPE", 32),
    ("EDESTADDRREQ", 89),
    ("EMSGSIZE", 90),
    ("ENOPROTOOPT", 92),
    ("EOPNOTSUPP", 95),
    ("EADDRINUSE", 98),
    ("EADDRNOTAVAIL", 99),
    ("ENETUNREACH", 101),
    ("ECONNABORTED", 103),
    ("ECONNRESET", 104),
    ("ENOBUFS", 105),
    ("EISCONN", 106),
    ("ENOTCONN", 107),
    ("ETIMEDOUT", 110),
    ("ECONNREFUSED", 111),
    ("EHOSTUNREACH", 113),
    ("EALREADY", 114),
    ("EINPROGRESS", 115),
];

/// The value of a name.
pub(crate) fn number_of(name: &str) -> Option<i64> {
    NAMES.iter().find(|(known, _)| *known == name).map(|(_, number)| *number)
}

/// The value of an expression.
pub(crate) fn number(value: &Value) -> Option<i64> {
    match value {
        Value::Number(number) => Some(*number),
        Value::Word(word) => number_of(word),
        Value::Or(members) => members.iter().try_fold(0, |bits, member| Some(bits | number(member)?)),
        Value::List(members) if members.len() == 1 => number(&members[0]),
        Value::Function(name, arguments) if matches!(name.as_str(), "htons" | "htonl") => number(arguments.first()?),
        Value::Any | Value::Text(_) | Value::List(_) | Value::Fields(_) | Value::Function(..) => None,
    }
}

/// Whether `flag` is set in an expression.
pub(crate) fn has(value: &Value, flag: &str) -> bool {
    number(value).zip(number_of(flag)).is_some_and(|(bits, flag)| bits & flag != 0)
}

/// Whether two names stand for the same error.
pub(crate) fn is_same_error(one: &str, other: &str) -> bool {
    one == other || number_of(one).is_some_and(|number| number_of(other) == Some(number))
}
