//! Tests of what guests of one interface notice of each other, with real sockets in virtual time.

#[path = "isolation/errors.rs"]
mod errors;
#[path = "isolation/fairness.rs"]
mod fairness;
#[path = "isolation/leaving.rs"]
mod leaving;
#[path = "isolation/neighbours.rs"]
mod neighbours;
#[path = "isolation/rates.rs"]
mod rates;
#[path = "isolation/tables.rs"]
mod tables;
#[path = "isolation/world.rs"]
mod world;
