//! What an end does, and how that is said on a command line.

use core::time::Duration;
use std::net::SocketAddr;

use crate::apps::Result;

/// What an end does.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Role {
    /// Takes one connection, and prints how many bytes came in this time from the first on, and in how many seconds.
    Sink {
        /// Where it listens.
        port: u16,
        /// For how long it receives.
        time: Duration,
    },
    /// Connects, and sends for as long as it can.
    Source {
        /// The [`Sink`](Self::Sink).
        to: SocketAddr,
    },
    /// Answers a number of eight bytes with so many bytes, on any number of connections.
    Serve {
        /// Where it listens.
        port: u16,
    },
    /// Gets bodies from a [`Serve`](Self::Serve), and prints how many milliseconds each took, from connecting to the
    /// end. At the limit those under way are printed as they are, with `unfinished` before them.
    Fetch {
        /// Whom it connects to.
        from: SocketAddr,
        /// The size of a body.
        bytes: u64,
        /// How many it gets.
        count: usize,
        /// How many at the same time.
        at_once: usize,
        /// For how long in all.
        limit: Duration,
    },
}

impl Role {
    /// The words that [`from_words`](Self::from_words) reads.
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
    /// If the words are no role.
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
