//! The commands of a network interface: their identifiers, their payloads, and the encoding of both.
//!
//! Every interface is a character device, `/devices/network/<name>`, that executes commands by
//! `control(command, input, output)`. A [`Command`] has an identifier of 32 bits ([`CommandId`]), an input type and an
//! output type. Payloads are encoded with [postcard](https://postcard.jamesmunns.com/wire-format): the bytes are the
//! same on every platform, in the host and in a guest. Hosts, drivers and guests share this crate, so that they agree
//! on every payload.
//!
//! | Module | Holds |
//! |---|---|
//! | [`address`] | networks, routes and hardware addresses; every value is valid |
//! | [`interface`] | the payload types of the commands: kind, state, lease, statistics, neighbours |
//! | [`event`] | the changes of an interface that are reported to watchers |
//! | [`command`] | the trait of a command, its identifier, and [`define_command!`] |
//! | [`commands`] | the commands that every interface supports |
//! | [`drivers`] | the commands of the drivers that come with the host crate |

pub mod address;
pub mod command;
pub mod commands;
pub mod drivers;
pub mod event;
pub mod interface;

pub use command::{Command, CommandId, Direction, InvalidPayload};
