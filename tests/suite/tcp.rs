//! TCP between two hosts on one segment, under virtual time: the behaviour of the host crate's sockets.

#[path = "tcp/bound.rs"]
mod bound;
#[path = "tcp/budget.rs"]
mod budget;
#[path = "tcp/chaos.rs"]
mod chaos;
#[path = "tcp/close.rs"]
mod close;
#[path = "tcp/congestion.rs"]
mod congestion;
#[path = "tcp/connect.rs"]
mod connect;
#[path = "tcp/deadlines.rs"]
mod deadlines;
#[path = "tcp/fairness.rs"]
mod fairness;
#[path = "tcp/interface.rs"]
mod interface;
#[path = "tcp/listen.rs"]
mod listen;
#[path = "tcp/local.rs"]
mod local;
#[path = "tcp/memory.rs"]
mod memory;
#[path = "tcp/options.rs"]
mod options;
#[path = "tcp/pieces.rs"]
mod pieces;
#[path = "tcp/ports.rs"]
mod ports;
#[path = "tcp/reset.rs"]
mod reset;
#[path = "tcp/timers.rs"]
mod timers;
#[path = "tcp/transfer.rs"]
mod transfer;
#[path = "tcp/waiting.rs"]
mod waiting;
