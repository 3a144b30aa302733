//! The table of requirements, the search for tests by name, and tests of requirements that no script covers.

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
