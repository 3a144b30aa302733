//! The code that `bindgen!` generates from the WIT package `wasi:sockets` 0.2. `wasi:io` and `wasi:clocks` are those of
//! wasmtime's own crates, so that their streams and pollables have the same types as ours.

#[allow(missing_docs, unreachable_pub, unused_qualifications, clippy::all)]
mod generated {
    wasmtime::component::bindgen!({
        path: "../wit",
        inline: "
            package xila:wasi-two;

            world sockets {
                import wasi:sockets/network@0.2.12;
                import wasi:sockets/instance-network@0.2.12;
                import wasi:sockets/tcp@0.2.12;
                import wasi:sockets/tcp-create-socket@0.2.12;
                import wasi:sockets/udp@0.2.12;
                import wasi:sockets/udp-create-socket@0.2.12;
                import wasi:sockets/ip-name-lookup@0.2.12;
            }
        ",
        world: "xila:wasi-two/sockets",
        imports: { default: trappable },
        require_store_data_send: true,
        with: {
            "wasi:io": wasmtime_wasi_io::bindings::wasi::io,
            "wasi:clocks": wasmtime_wasi::p2::bindings::clocks,
            "wasi:sockets/network.network": crate::wasm::p2::Network,
            "wasi:sockets/tcp.tcp-socket": crate::wasm::p2::TcpSocket,
            "wasi:sockets/udp.udp-socket": crate::wasm::p2::UdpSocket,
            "wasi:sockets/udp.incoming-datagram-stream": crate::wasm::p2::IncomingDatagramStream,
            "wasi:sockets/udp.outgoing-datagram-stream": crate::wasm::p2::OutgoingDatagramStream,
            "wasi:sockets/ip-name-lookup.resolve-address-stream": crate::wasm::p2::ResolveAddressStream,
        },
        trappable_error_type: {
            "wasi:sockets/network.error-code" => crate::wasm::p2::SocketError,
        },
    });
}

pub use generated::wasi::sockets0_2_12::*;
