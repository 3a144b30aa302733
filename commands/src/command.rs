//! The trait [`Command`], the identifiers of commands, the encoding of payloads, and
//! [`define_command!`](crate::define_command), by which the stack and drivers define their commands.

use core::fmt;

use serde::Serialize;
use serde::de::DeserializeOwned;

/// Whether a command reads or writes. An open device file must have the right for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Direction {
    /// The command only queries: the file must be open for reading.
    Get,
    /// The command changes something: the file must be open for writing.
    Set,
}

/// The identifier of a command.
///
/// From the highest bit down: direction (4 bits: 1 is get, 2 is set), version of the payloads (4 bits), group (12
/// bits), number within the group (12 bits). Groups below [`FIRST_DRIVER_GROUP`](Self::FIRST_DRIVER_GROUP) are the
/// stack's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct CommandId(u32);

impl CommandId {
    /// The first group for commands that drivers define. Each driver decides what its groups mean.
    pub const FIRST_DRIVER_GROUP: u16 = 0x800;

    /// The identifier with these parts.
    ///
    /// # Panics
    /// If a part has more bits than its field. In a constant, as made by [`define_command!`](crate::define_command),
    /// this is a compile error.
    #[must_use]
    pub const fn new(direction: Direction, version: u8, group: u16, number: u16) -> Self {
        assert!(version < 1 << 4 && group < 1 << 12 && number < 1 << 12, "a part of the identifier is too large");
        let direction = match direction {
            Direction::Get => 1,
            Direction::Set => 2,
        };
        Self(direction << 28 | (version as u32) << 24 | (group as u32) << 12 | number as u32)
    }

    /// The identifier with these 32 bits, which come from outside. It may not belong to any command.
    #[must_use]
    pub const fn from_raw(raw: u32) -> Self {
        Self(raw)
    }

    /// The 32 bits.
    #[must_use]
    pub const fn to_raw(self) -> u32 {
        self.0
    }

    /// The direction of the command; `None` if the bits are not a valid direction.
    #[must_use]
    pub const fn direction(self) -> Option<Direction> {
        match self.0 >> 28 {
            1 => Some(Direction::Get),
            2 => Some(Direction::Set),
            _ => None,
        }
    }

    /// The group.
    #[must_use]
    pub const fn group(self) -> u16 {
        (self.0 >> 12 & 0xfff) as u16
    }
}

impl fmt::Display for CommandId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{:#010x}", self.0)
    }
}

/// A command: its identifier, its input and its output.
///
/// Implemented by [`define_command!`](crate::define_command).
pub trait Command {
    /// The identifier, unique among the commands of one device.
    const ID: CommandId;
    /// The human-readable name: `add address`.
    const NAME: &'static str;
    /// The type of the input.
    type Input: Serialize + DeserializeOwned;
    /// The type of the output.
    type Output: Serialize + DeserializeOwned;
}

/// The bytes are not a payload of the command: they are truncated, too long, or contain a value out of its range.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InvalidPayload;

impl fmt::Display for InvalidPayload {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("not a payload of this command")
    }
}

impl std::error::Error for InvalidPayload {}

/// Encodes a payload.
///
/// # Panics
/// Never for the payloads of commands: they are plain data, which postcard can always encode into memory.
#[must_use]
pub fn encode<T: Serialize>(payload: &T) -> Vec<u8> {
    match postcard::to_stdvec(payload) {
        Ok(bytes) => bytes,
        Err(error) => unreachable!("a payload is plain data: {error}"),
    }
}

/// Decodes a payload, which must consist of exactly these bytes.
///
/// # Errors
/// [`InvalidPayload`] if the bytes are not a payload of type `T`, or if bytes are left over.
pub fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, InvalidPayload> {
    match postcard::take_from_bytes(bytes) {
        Ok((payload, [])) => Ok(payload),
        Ok(_) | Err(_) => Err(InvalidPayload),
    }
}

/// Defines commands, each as a type that implements [`Command`], and `ALL`, the list of their identifiers and names.
///
/// All commands of one device family are given in one call. Each entry is
/// `Name = "human-readable name", direction, group, number, version: Input => Output`. Two commands with the same
/// identifier are a compile error, whatever their payloads are:
///
/// ```compile_fail
/// xila_network_commands::define_command! {
///     /// How many frames may wait.
///     pub Depth = "depth", Get, 0x800, 1, 1: () => u32;
///     /// How many frames were lost.
///     pub Lost = "lost", Get, 0x800, 1, 1: () => u64;
/// }
/// ```
///
/// ```
/// use xila_network_commands::{Command, CommandId, Direction};
///
/// xila_network_commands::define_command! {
///     /// How many frames may wait.
///     pub Depth = "depth", Get, 0x800, 1, 1: () => u32;
///     /// Sets how many frames may wait.
///     pub SetDepth = "set depth", Set, 0x800, 1, 1: u32 => ();
/// }
///
/// assert_eq!(Depth::ID, CommandId::new(Direction::Get, 1, 0x800, 1));
/// assert_eq!(ALL[1], (SetDepth::ID, "set depth"));
/// ```
#[macro_export]
macro_rules! define_command {
    ($(
        $(#[$about:meta])*
        $visibility:vis $name:ident = $title:literal, $direction:ident, $group:literal, $number:literal, $version:literal:
            $input:ty => $output:ty;
    )+) => {
        $(
            $(#[$about])*
            #[derive(Clone, Copy, Debug, PartialEq, Eq)]
            $visibility struct $name;

            impl $crate::Command for $name {
                const ID: $crate::CommandId =
                    $crate::CommandId::new($crate::Direction::$direction, $version, $group, $number);
                const NAME: &'static str = $title;
                type Input = $input;
                type Output = $output;
            }
        )+

        /// The identifiers and names of these commands.
        pub const ALL: &[($crate::CommandId, &str)] =
            &[$((<$name as $crate::Command>::ID, <$name as $crate::Command>::NAME)),+];

        const _: () = $crate::command::assert_unique(ALL);
    };
}

/// Checks at compile time that no two commands have the same identifier.
///
/// # Panics
/// If two commands have the same identifier.
#[doc(hidden)]
pub const fn assert_unique(commands: &[(CommandId, &str)]) {
    let mut one = 0;
    while one < commands.len() {
        let mut other = one + 1;
        while other < commands.len() {
            assert!(commands[one].0.0 != commands[other].0.0, "two commands have one identifier");
            other += 1;
        }
        one += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_parts_of_an_identifier_have_separate_fields() {
        let id = CommandId::new(Direction::Set, 3, 0x801, 0x7ff);
        assert_eq!(id.to_raw(), 0x2380_17ff);
        assert_eq!((id.direction(), id.group()), (Some(Direction::Set), 0x801));
        assert_eq!(CommandId::from_raw(0).direction(), None);
        assert_eq!(CommandId::from_raw(u32::MAX).direction(), None);
    }

    #[test]
    fn a_payload_must_have_exactly_its_bytes() {
        let bytes = encode(&(7u32, true));
        assert_eq!(decode::<(u32, bool)>(&bytes), Ok((7, true)));
        assert_eq!(decode::<(u32, bool)>(&bytes[..1]), Err(InvalidPayload));
        assert_eq!(decode::<(u32, bool)>(&[&bytes[..], &[0]].concat()), Err(InvalidPayload));
        assert_eq!(decode::<()>(&[]), Ok(()));
        assert_eq!(decode::<()>(&[0]), Err(InvalidPayload));
    }
}
