//! The modules of the simulated worlds.

mod dice;
mod end;
mod host;
mod link;
mod plan;
mod trace;
mod world;

pub(crate) use dice::Dice;
pub(crate) use plan::Plan;
pub(crate) use world::World;
