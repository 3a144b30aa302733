//! Lists the guest programs, so that a program without a test does not compile.

use std::path::Path;
use std::{env, fs};

fn main() {
    let folder = Path::new("programs/src/bin");
    println!("cargo::rerun-if-changed={}", folder.display());
    let mut programs: Vec<String> = fs::read_dir(folder)
        .unwrap_or_else(|error| panic!("{}: {error}", folder.display()))
        .map(|entry| entry.unwrap_or_else(|error| panic!("{}: {error}", folder.display())).path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "rs") || path.join("main.rs").exists())
        .filter_map(|path| Some(path.file_stem()?.to_str()?.replace('-', "_")))
        .collect();
    programs.sort();

    let mut source = String::from(
        "/// Calls a macro with the name of each program in `tests/programs/src/bin`, dashes as underscores.\n\
         #[macro_export]\nmacro_rules! foreach_program {\n    ($mac:ident) => {\n",
    );
    for program in &programs {
        source += &format!("        $mac!({program});\n");
    }
    source += "    };\n}\n";
    let out = Path::new(&env::var_os("OUT_DIR").expect("cargo sets OUT_DIR")).join("programs.rs");
    fs::write(&out, source).unwrap_or_else(|error| panic!("{}: {error}", out.display()));
}
