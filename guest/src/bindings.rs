//! The bindings that wit-bindgen generates from the WIT packages.
//!
//! This is the only module of the crate with unsafe code, all of it generated: calls across the component boundary.
#![allow(unsafe_code, missing_docs, unreachable_pub, unused_qualifications, clippy::all, clippy::use_self)]
#![allow(clippy::semicolon_if_nothing_returned, clippy::needless_pass_by_value)]

/// The imports: `xila:network`. A component imports only the WIT interfaces that it uses: an app that does not
/// configure network interfaces does not import `control`.
mod network {
    wit_bindgen::generate!({ path: "../wit", world: "admin" });
}

/// The export of a program with an async `main`: the run interface of WASI 0.3.
#[doc(hidden)]
pub mod command {
    wit_bindgen::generate!({
        inline: "
            package xila:app;

            world command {
                export wasi:cli/run@0.3.0;
            }

            package wasi:cli@0.3.0 {
                interface run {
                    run: async func() -> result;
                }
            }
        ",
        world: "command",
        pub_export_macro: true,
        export_macro_name: "export_command",
        default_bindings_module: "xila_network::bindings::command",
    });
}

pub(crate) use network::wit_stream;
pub(crate) use network::xila::network::{control, dns, icmp, tcp, types, udp};
