//! Hostile hosts on the link: no frame may make the stack panic, stop, or use memory without bound, and legitimate
//! peers are served all the time.

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
