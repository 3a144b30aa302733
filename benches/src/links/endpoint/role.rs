//! The roles of an end, and their representation on the command line.

use core::time::Duration;
use std::net::SocketAddr;

use crate::apps::Result;

/// The role of an end.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Role {
    /// Accepts one connection, and prints how many bytes were received in the time from the first byte on, and in how
    /// many seconds.
    Sink {
        /// The port that it listens on.
        port: u16,
        /// How long it receives.
        time: Duration,
    },
    /// Connects, and sends for as long as it can.
    Source {
        /// The address of the [`Sink`](Self::Sink).
        to: SocketAddr,
    },
    /// Reads a number of eight bytes and answers with that many bytes, on any number of connections.
    Serve {
        /// The port that it listens on.
        port: u16,
    },
    /// Fetches bodies from a [`Serve`](Self::Serve), and prints how many milliseconds each took, from connecting to the
    /// end. At the time limit, the times so far of the unfinished fetches are printed, preceded by `unfinished`.
    Fetch {
        /// The address of the server.
        from: SocketAddr,
        /// The size of a body.
        bytes: u64,
        /// The number of bodies.
        count: usize,
        /// The number of fetches at the same time.
        at_once: usize,
        /// The time limit of all fetches together.
        limit: Duration,
    },
}

impl Role {
    /// The arguments that [`from_words`](Self::from_words) parses.
    #[must_use]
    pub fn to_words(&self) -> Vec<String> {
        match *self {
            Self::Sink { port, time } => vec!["sink".into(), port.to_string(), time.as_secs_f64().to_string()],
            Self::Source { to } => vec!["source".into(), to.to_string()],
            Self::Serve { port } => vec!["serve".into(), port.to_string()],
            Self::Fetch { from, bytes, count, at_once, limit } => vec![
                "fetch".into(),
                from.to_string(),
                bytes.to_string(),
                count.to_string(),
                at_once.to_string(),
                limit.as_secs_f64().to_string(),
            ],
        }
    }

    /// # Errors
    /// If the arguments are not a role.
    pub fn from_words(words: &[String]) -> Result<Self> {
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let time = |word: &str| Ok::<_, Box<dyn std::error::Error>>(Duration::from_secs_f64(word.parse()?));
        Ok(match words[..] {
            ["sink", port, seconds] => Self::Sink { port: port.parse()?, time: time(seconds)? },
            ["source", to] => Self::Source { to: to.parse()? },
            ["serve", port] => Self::Serve { port: port.parse()? },
            ["fetch", from, bytes, count, at_once, limit] => Self::Fetch {
                from: from.parse()?,
                bytes: bytes.parse()?,
                count: count.parse()?,
                at_once: at_once.parse()?,
                limit: time(limit)?,
            },
            _ => return Err(format!("{words:?} is nothing that an end does").into()),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_words_of_a_role_are_read_as_that_role() {
        let address = SocketAddr::from(([10, 77, 0, 1], 5000));
        for role in [
            Role::Sink { port: 5000, time: Duration::from_millis(2500) },
            Role::Source { to: address },
            Role::Serve { port: 5000 },
            Role::Fetch { from: address, bytes: 1 << 20, count: 100, at_once: 16, limit: Duration::from_secs(60) },
        ] {
            assert_eq!(Role::from_words(&role.to_words()).expect("it is a role"), role);
        }
        assert!(Role::from_words(&[]).is_err());
    }
}
