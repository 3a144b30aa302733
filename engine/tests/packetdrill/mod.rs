//! The modules of the interpreter.

mod checks;
mod code;
mod commands;
mod executor;
mod kernel;
mod lexer;
mod options;
mod packets;
mod parser;
mod report;
mod script;
mod selftest;
mod settings;
mod sockets;
mod sockopts;
mod state;
mod symbols;
mod syscalls;
mod tolerances;
mod transfer;
mod values;
mod wire;
mod world;

pub(crate) use report::{Arguments, Report};
