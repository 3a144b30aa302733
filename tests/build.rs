//! Lists the guest programs, so that a program without a test does not compile.

use std::path::{Path, PathBuf};
use std::{env, fs};

/// The folders with programs, and how those of each language end.
const FOLDERS: [(&str, &str); 4] =
    [("programs/src/bin", "rs"), ("programs/c", "c"), ("programs/python", "py"), ("programs/javascript", "js")];

/// How the names of programs begin that try what a policy, a limit or another guest must prevent, on any surface.
const ISOLATION: [&str; 2] = ["policy_", "attack_"];

/// How the names of programs begin that send or answer requests by `wasi:http`, or speak TLS by `wasi:tls`.
const HTTP: [&str; 3] = ["http_", "javascript_", "python_https"];

/// How the names of programs begin that use `wasi:sockets`, or something that is built on it, and not `xila:network`.
const WASI: [&str; 5] = ["std_", "p2_", "p3_", "c_", "python_"];

fn main() {
    let mut programs: Vec<_> =
        FOLDERS.iter().flat_map(|(folder, extension)| programs(Path::new(folder), extension)).collect();
    let mut take = |beginnings: &[&str]| {
        let begins = |program: &mut String| beginnings.iter().any(|beginning| program.starts_with(beginning));
        programs.extract_if(.., begins).collect::<Vec<_>>()
    };
    let (isolation, http, wasi) = (take(&ISOLATION), take(&HTTP), take(&WASI));

    let source = list("foreach_program", "that uses `xila:network`", programs)
        + &list("foreach_wasi_program", "that uses `wasi:sockets`", wasi)
        + &list("foreach_http_program", "that uses `wasi:http` or `wasi:tls`", http)
        + &list("foreach_isolation_program", "that tries what must be prevented", isolation);
    let out = Path::new(&env::var_os("OUT_DIR").expect("cargo sets OUT_DIR")).join("programs.rs");
    fs::write(&out, source).unwrap_or_else(|error| panic!("{}: {error}", out.display()));
}

/// The names of the programs in a folder, dashes as underscores: `NAME.EXTENSION`, or `NAME/main.EXTENSION`.
fn programs(folder: &Path, extension: &str) -> Vec<String> {
    println!("cargo::rerun-if-changed={}", folder.display());
    let main = format!("main.{extension}");
    fs::read_dir(folder)
        .unwrap_or_else(|error| panic!("{}: {error}", folder.display()))
        .map(|entry| entry.unwrap_or_else(|error| panic!("{}: {error}", folder.display())).path())
        .filter(|path: &PathBuf| path.extension().is_some_and(|its| its == extension) || path.join(&main).exists())
        .filter_map(|path| Some(path.file_stem()?.to_str()?.replace('-', "_")))
        .collect()
}

/// The macro `name`, which calls a macro with the name of each program.
fn list(name: &str, which: &str, mut programs: Vec<String>) -> String {
    programs.sort();
    let mut source = format!(
        "/// Calls a macro with the name of each program in `tests/programs` {which}, dashes as underscores.\n\
         #[macro_export]\nmacro_rules! {name} {{\n    ($mac:ident) => {{\n"
    );
    for program in &programs {
        source += &format!("        $mac!({program});\n");
    }
    source += "    };\n}\n";
    source
}
