//! Assertions about expected errors.

use std::fmt::Debug;

use wasip2::io::error::Error;
use wasip2::io::streams::StreamError;
use wasip2::sockets::network::ErrorCode;

#[allow(unsafe_code, missing_docs, unreachable_pub, unused_qualifications, clippy::all, clippy::use_self)]
#[allow(clippy::semicolon_if_nothing_returned, clippy::needless_pass_by_value, dead_code)]
mod bindings {
    // The crate `wasip2` has no bindings for unstable functions.
    wit_bindgen::generate!({
        path: "../../wit",
        inline: "
            package xila:programs;

            world causes {
                import wasi:sockets/network@0.2.12;
            }
        ",
        world: "xila:programs/causes",
        features: ["network-error-code"],
        with: {
            "wasi:io/error@0.2.12": wasip2::io::error,
            "wasi:sockets/network@0.2.12": generate,
            "wasi:sockets/network@0.2.12/error-code": wasip2::sockets::network::ErrorCode,
        },
        type_section_suffix: "causes",
    });
}

/// Asserts that an operation fails with this code.
#[track_caller]
pub fn assert_error<T: Debug>(result: Result<T, ErrorCode>, code: ErrorCode) {
    assert_eq!(result.expect_err("this was to fail"), code);
}

/// Asserts that a stream is closed.
#[track_caller]
pub fn assert_closed<T: Debug>(result: Result<T, StreamError>) {
    match result {
        Err(StreamError::Closed) => {}
        other => panic!("not closed: {other:?}"),
    }
}

/// Asserts that a stream has failed; returns the error.
#[track_caller]
pub fn assert_failed<T: Debug>(result: Result<T, StreamError>) -> Error {
    match result {
        Err(StreamError::LastOperationFailed(error)) => error,
        other => panic!("not failed: {other:?}"),
    }
}

/// The error code of a stream's failure, if it is a code of the network.
pub fn network_error_code(error: &Error) -> Option<ErrorCode> {
    bindings::wasi::sockets0_2_12::network::network_error_code(error)
}
