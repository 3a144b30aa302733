//! The parts of the tests against hostile peers, and against owners who ask in any order.

pub(crate) mod bytes;
mod field;
mod floods;
pub(crate) mod frames;
pub(crate) mod operations;
mod pace;
pub(crate) mod peer;
pub(crate) mod scene;
mod seeded;
pub(crate) mod victim;
mod wire;
