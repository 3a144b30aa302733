//! The modules of the tests with hostile peers, and with owners that perform operations in any order.

pub(crate) mod bytes;
pub(crate) mod craft;
pub(crate) mod dhcp;
pub(crate) mod engine;
mod field;
mod floods;
pub(crate) mod fragments;
pub(crate) mod frames;
pub(crate) mod groups;
pub(crate) mod headers;
pub(crate) mod icmp;
pub(crate) mod information;
pub(crate) mod lender;
pub(crate) mod loans;
pub(crate) mod neighbours;
pub(crate) mod operations;
pub(crate) mod owner;
mod pace;
pub(crate) mod peer;
pub(crate) mod routers;
pub(crate) mod runs;
pub(crate) mod scene;
mod seeded;
pub(crate) mod sent;
pub(crate) mod station;
pub(crate) mod victim;
mod wire;
