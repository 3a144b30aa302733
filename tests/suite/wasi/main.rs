//! Programs that do not use `xila:network`, but `wasi:sockets` or an API that is built on it.
//!
//! Each program of `tests/programs` named `std_*`, `p2_*` or `p3_*`, and each in C and in Python, except `python_https*`,
//! has a test of its name in a module of this suite; otherwise this file does not compile.

mod languages;
mod p2;
mod p3;
mod std_net;

// One line for each module with tests of programs.
use {languages::*, p2::*, p3::*, std_net::*};

macro_rules! assert_test_exists {
    ($program:ident) => {
        #[expect(unused_imports, reason = "a program without a test of its name does not compile")]
        use self::$program as _;
    };
}

xila_network_tests::foreach_wasi_program!(assert_test_exists);

/// Otherwise the tests would not test `wasi:sockets`.
#[test]
fn programs_import_no_network_but_that_of_wasi() {
    let mut looked_at = 0;
    macro_rules! look_at {
        ($program:ident) => {
            let path = xila_network_tests::guests::path(stringify!($program)).expect("a folder of programs");
            if path.exists() {
                let bytes = std::fs::read(&path).expect("a program");
                let imports = |package: &[u8]| bytes.windows(package.len()).any(|window| window == package);
                assert!(imports(b"wasi:sockets/"), "{}", path.display());
                assert!(!imports(b"xila:network/"), "{}", path.display());
                looked_at += 1;
            }
        };
    }
    xila_network_tests::foreach_wasi_program!(look_at);
    assert_ne!(looked_at, 0);
}
