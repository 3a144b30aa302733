//! The engine as its link sees it: frames arrive, frames leave, and events say the rest. Time is virtual.

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
