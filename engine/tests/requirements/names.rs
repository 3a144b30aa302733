//! Searches for a test by its name.

use std::fs;
use std::path::{Path, PathBuf};

/// Searches for a test by its name in the table. Returns a message if there is none.
pub(crate) fn find(name: &str) -> Result<(), String> {
    let engine = Path::new(env!("CARGO_MANIFEST_DIR"));
    let Some((file, test)) = name.split_once("::") else {
        let script = engine.join("tests/scripts").join(name);
        let is_script = name.ends_with(".pkt") && script.is_file();
        return if is_script { Ok(()) } else { Err("there is no such script".to_owned()) };
    };
    let path: PathBuf = engine.join("..").join(file);
    let text = fs::read_to_string(path).map_err(|_| "there is no such file".to_owned())?;
    let lines: Vec<&str> = text.lines().collect();
    let Some(at) = lines.iter().position(|line| is_head(line, test)) else {
        return Err("the file has no such function".to_owned());
    };
    if is_test(&lines[..at]) { Ok(()) } else { Err("the function is no test".to_owned()) }
}

/// Whether a line is the head of the function `name`.
fn is_head(line: &str, name: &str) -> bool {
    let line = line.trim_start();
    let line = line.strip_prefix("async ").unwrap_or(line);
    let rest = line.strip_prefix("fn ").and_then(|line| line.strip_prefix(name));
    rest.is_some_and(|rest| rest.starts_with('('))
}

/// Whether the lines before a function mark it as a test: by its attributes, with comments between them.
fn is_test(before: &[&str]) -> bool {
    before
        .iter()
        .rev()
        .map(|line| line.trim())
        .take_while(|line| line.starts_with("#[") || line.starts_with("//"))
        .any(|line| line == "#[test]")
}

#[test]
fn tests_are_distinguished_from_other_functions() {
    let own = |test: &str| find(&format!("engine/tests/requirements/names.rs::{test}"));
    assert_eq!(own("tests_are_distinguished_from_other_functions"), Ok(()));
    assert_eq!(own("is_test"), Err("the function is no test".to_owned()));
    assert_eq!(own("tests_are_told"), Err("the file has no such function".to_owned()));
    assert_eq!(find("engine/tests/nothing.rs::a"), Err("there is no such file".to_owned()));
    assert_eq!(find("data/push.pkt"), Ok(()));
    assert_eq!(find("data/pull.pkt"), Err("there is no such script".to_owned()));
    // Property tests have the attribute too.
    assert_eq!(find("engine/src/tcp/congestion/cubic/tests.rs::competing_windows_converge"), Ok(()));
}
