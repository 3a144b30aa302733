//! Helpers that the tests of the examples share.

use std::env;
use std::path::PathBuf;

/// The file of a guest program: in the folder `XILA_GUESTS`, or else in `guests` of the target directory that this test
/// is in.
///
/// # Panics
/// If the program was not built.
pub(crate) fn guest(name: &str) -> PathBuf {
    let folder = env::var_os("XILA_GUESTS").map(PathBuf::from).or_else(|| {
        let test = env::current_exe().ok()?;
        test.ancestors().map(|folder| folder.join("guests")).find(|folder| folder.is_dir())
    });
    let path = folder.expect("there are no guest programs: run `just guests`").join(name).with_extension("wasm");
    assert!(path.exists(), "{}: run `just guests` first", path.display());
    path
}
