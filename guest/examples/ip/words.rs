//! The words of the command line: parsing, and error messages as those of ip(8).

use std::collections::VecDeque;
use std::fmt::Display;
use std::str::FromStr;

use xila_network::Error;
use xila_network::control::{Interface, InvalidValue};

/// The result of a command.
pub(crate) type Outcome<T = ()> = Result<T, Failure>;

/// An error message and the exit status.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) text: String,
    pub(crate) status: i32,
}

impl Failure {
    pub(crate) fn new(status: i32, text: impl Into<String>) -> Self {
        Self { text: text.into(), status }
    }
}

/// The error that ip(8) would get from the kernel, with the text of `strerror`.
impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        let text = match error {
            Error::AccessDenied => "Permission denied",
            Error::AddressInUse => "File exists",
            Error::AddressNotAvailable => "Cannot assign requested address",
            Error::InvalidArgument => "Invalid argument",
            Error::LimitReached => "Cannot allocate memory",
            Error::NetworkDown => "Network is down",
            Error::NoFreeSlot => "No space left on device",
            Error::NotFound => "No such device",
            Error::NotSupported => "Operation not supported",
            Error::RemoteUnreachable => "No such process",
            Error::ResourceBusy => "Device or resource busy",
            other => return Self::new(2, format!("RTNETLINK answers: {other}")),
        };
        Self::new(2, format!("RTNETLINK answers: {text}"))
    }
}

impl From<InvalidValue> for Failure {
    fn from(InvalidValue: InvalidValue) -> Self {
        Self::from(Error::InvalidArgument)
    }
}

/// The words that are not parsed yet.
pub(crate) struct Words(VecDeque<String>);

impl Words {
    pub(crate) fn of_the_command_line() -> Self {
        Self(std::env::args().skip(1).collect())
    }

    pub(crate) fn next(&mut self) -> Option<String> {
        self.0.pop_front()
    }

    /// Whether the next word is `help`.
    pub(crate) fn is_help(&self) -> bool {
        self.0.front().is_some_and(|word| !word.is_empty() && "help".starts_with(word.as_str()))
    }

    /// The value of a keyword.
    pub(crate) fn value(&mut self, keyword: &str) -> Outcome<String> {
        self.next()
            .ok_or_else(|| Failure::new(255, format!("Command line is not complete. \"{keyword}\" needs a value.")))
    }

    /// The value of a keyword, parsed.
    pub(crate) fn parse<T: FromStr>(&mut self, keyword: &str) -> Outcome<T> {
        parse(&self.value(keyword)?, keyword)
    }

    /// The first of `commands` of which the next word is a prefix; the first command if there is no word.
    pub(crate) fn command(&mut self, object: &str, commands: &[&'static str]) -> Outcome<&'static str> {
        let Some(word) = self.next() else { return Ok(commands[0]) };
        commands
            .iter()
            .find(|name| name.starts_with(&word))
            .copied()
            .ok_or_else(|| Failure::new(255, format!("Command \"{word}\" is unknown, try \"ip {object} help\".")))
    }

    /// Parses `[dev] NAME`, with nothing after it; returns the interfaces to be shown, with their numbers.
    pub(crate) fn interfaces(mut self) -> Outcome<Vec<(usize, Interface)>> {
        let name = match self.next() {
            Some(word) if word == "dev" => Some(self.value("dev")?),
            other => other,
        };
        self.finish()?;
        let all = all_interfaces()?;
        let Some(name) = name else { return Ok(all) };
        match all.into_iter().find(|(_, interface)| interface.name() == name) {
            Some(found) => Ok(vec![found]),
            None => Err(Failure::new(1, format!("Device \"{name}\" does not exist."))),
        }
    }

    /// Parses `VALUE dev NAME`, in either order, and nothing else.
    pub(crate) fn value_on_interface<T: FromStr>(mut self, what: &str) -> Outcome<(T, Interface)> {
        let (mut value, mut interface) = (None, None);
        while let Some(word) = self.next() {
            match word.as_str() {
                "dev" => interface = Some(open(&self.value("dev")?)?),
                _ if value.is_none() => value = Some(expected(&word, what)?),
                _ => return Err(garbage(&word)),
            }
        }
        let interface = interface.ok_or_else(|| missing("dev"))?;
        Ok((value.ok_or_else(|| missing("local"))?, interface))
    }

    pub(crate) fn finish(mut self) -> Outcome {
        self.next().map_or(Ok(()), |word| Err(garbage(&word)))
    }
}

/// Opens the interface of a name.
pub(crate) fn open(name: &str) -> Outcome<Interface> {
    Interface::open(name).map_err(|error| match error {
        Error::NotFound => Failure::new(1, format!("Cannot find device \"{name}\"")),
        other => other.into(),
    })
}

/// Every interface, with its number: its place in the order in which they were mounted.
pub(crate) fn all_interfaces() -> Outcome<Vec<(usize, Interface)>> {
    let mut interfaces = Vec::new();
    for (index, name) in Interface::list()?.into_iter().enumerate() {
        match Interface::open(&name) {
            Ok(interface) => interfaces.push((index + 1, interface)),
            // It was unmounted after the list was made.
            Err(Error::NotFound) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(interfaces)
}

pub(crate) fn parse<T: FromStr>(word: &str, keyword: &str) -> Outcome<T> {
    word.parse()
        .map_err(|_| Failure::new(255, format!("Error: argument \"{word}\" is wrong: Invalid \"{keyword}\" value\n")))
}

/// Parses a prefix or an address, which `what` describes in the error message.
pub(crate) fn expected<T: FromStr>(word: &str, what: impl Display) -> Outcome<T> {
    word.parse().map_err(|_| Failure::new(1, format!("Error: {what} is expected rather than \"{word}\".")))
}

pub(crate) fn garbage(word: &str) -> Failure {
    Failure::new(255, format!("Error: either \"local\" is duplicate, or \"{word}\" is a garbage."))
}

pub(crate) fn missing(keyword: &str) -> Failure {
    Failure::new(255, format!("Not enough information: \"{keyword}\" argument is required."))
}
