//! An interpreter of packetdrill scripts that runs them against the engine, under virtual time.
//!
//! It runs the scripts in `tests/scripts`, and foreign scripts in the folder that `XILA_PACKETDRILL` names, such as the
//! FreeBSD project's suite. For each of the two sets it prints the scripts that failed or were skipped, with the
//! reason, and then `N passed, N failed, N skipped`. With `-- --nocapture`, a failure also shows the packets on the
//! wire.

#[path = "packetdrill/mod.rs"]
mod packetdrill;

use std::path::Path;
use std::process::ExitCode;

use packetdrill::{Arguments, Report};

fn main() -> ExitCode {
    let arguments = Arguments::new(std::env::args().skip(1));
    let ours = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/scripts");
    let theirs = std::env::var_os("XILA_PACKETDRILL").filter(|folder| !folder.is_empty());
    let mut reports = vec![Report::of_ours(&ours, &arguments)];
    reports.extend(theirs.map(|theirs| Report::of_others(Path::new(&theirs), &arguments)));
    for report in reports.iter().filter(|_| !arguments.is_list()) {
        println!("{report}");
    }
    if reports.iter().all(Report::is_success) { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
