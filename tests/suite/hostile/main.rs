//! What anybody on the link may send: no frame may panic the stack, stop it, or make it hold memory without bound, and
//! its honest peers are served all the while.

mod arp;
mod bare;
mod errors;
mod fragments;
mod frames;
mod fuzz;
mod groups;
mod inject;
mod mutation;
mod packets;
mod reset;
mod segments;
mod synflood;
mod victim;

use victim::{ATTACKER, Victim};
