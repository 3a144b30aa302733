//! An interpreter of packetdrill scripts over the engine, under virtual time.
//!
//! It runs the scripts in `tests/scripts`, and those under the folder that `XILA_PACKETDRILL` names, which are other
//! people's: the FreeBSD project's suite, for one. For our own, then for theirs, it prints the scripts that failed or were
//! skipped, each with the reason, and `N passed, N failed, N skipped`. With `-- --nocapture`, a failure shows what was on
//! the wire.

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
