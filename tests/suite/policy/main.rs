//! What a policy, the limits and the walls between guests must prevent, tried by guest programs in virtual time.
//!
//! Each program of `tests/programs` named `policy_*` or `attack_*` has a test of its name in a module of this suite;
//! otherwise this file does not compile.

mod control;
mod endurance;
mod handles;
mod limits;
mod matrix;
mod names;
mod ports;
mod rebinding;
mod world;

// One line for each module with tests of programs.
use {endurance::*, handles::*, limits::*, matrix::*, rebinding::*};

macro_rules! assert_test_exists {
    ($program:ident) => {
        #[expect(unused_imports, reason = "a program without a test of its name does not compile")]
        use self::$program as _;
    };
}

xila_network_tests::foreach_isolation_program!(assert_test_exists);
