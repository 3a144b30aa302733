//! The table, how tests are found, and the tests that are in no script.

mod addresses;
mod answers;
mod checks;
mod failures;
mod host;
mod names;
mod sequence_numbers;
mod table;

pub(crate) use names::find;
pub(crate) use table::{Row, rows};
