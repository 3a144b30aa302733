//! The code that `bindgen!` generates from `wasi:sockets` 0.3.

#[allow(missing_docs, unreachable_pub, unused_qualifications, clippy::all)]
mod generated {
    wasmtime::component::bindgen!({
        path: "../wit",
        inline: "
            package xila:wasi-sockets;

            world imports {
                import wasi:sockets/types@0.3.0;
                import wasi:sockets/ip-name-lookup@0.3.0;
            }
        ",
        world: "xila:wasi-sockets/imports",
        imports: {
            "wasi:sockets/types.[method]tcp-socket.listen": store | trappable,
            "wasi:sockets/types.[method]tcp-socket.send": store | trappable,
            "wasi:sockets/types.[method]tcp-socket.receive": store | trappable,
            default: trappable,
        },
        with: {
            "wasi:clocks": wasmtime_wasi::p3::bindings::clocks,
            "wasi:sockets/types.tcp-socket": crate::wasm::p3::tcp::TcpSocket,
            "wasi:sockets/types.udp-socket": crate::wasm::p3::udp::UdpSocket,
        },
        trappable_error_type: {
            "wasi:sockets/types.error-code" => crate::wasm::p3::SocketError,
        },
    });
}

pub use generated::wasi::sockets0_3_0::*;
