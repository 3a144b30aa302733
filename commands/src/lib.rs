//! What can be asked of a network interface: the commands, their payloads, and how both are written.
//!
//! Every interface is a character device, `/devices/network/<name>`, that is asked by `control(command, input, output)`.
//! A [`Command`] has an identifier of 32 bits ([`CommandId`]), a type that goes in and a type that comes out. Payloads are
//! written with [postcard](https://postcard.jamesmunns.com/wire-format): the same bytes on every platform, in the host
//! as in a guest. This crate is what both sides share, so that neither can misread the other.
//!
//! | Module | Holds |
//! |---|---|
//! | [`address`] | networks, routes and hardware addresses; one that exists is valid |
//! | [`interface`] | what the commands speak of: kind, state, lease, statistics, neighbours |
//! | [`event`] | what has changed |
//! | [`command`] | what a command is; [`define_command!`] |
//! | [`commands`] | the commands that every interface knows |
//! | [`drivers`] | the commands of the drivers that come with the host crate |

pub mod address;
pub mod command;
pub mod commands;
pub mod drivers;
pub mod event;
pub mod interface;

pub use command::{Command, CommandId, Direction, InvalidPayload};
