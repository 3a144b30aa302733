//! Tests of the engine as its link sees it: frames that arrive, frames that leave, and events. Time is virtual.

mod addresses;
mod batches;
mod bench;
mod configuration;
mod conflicts;
mod device;
mod errors;
mod fragments;
mod groups;
mod hostile;
mod information;
mod neighbours;
mod packets;
mod paths;
mod routers;
mod temporary;
mod unreachability;
mod write;
