//! The code that `bindgen!` generates from the WIT package `xila:network`.
//!
//! An embedder whose own world imports these interfaces maps them to this module, with
//! `with: { "xila:network": xila_network_host::wasm::bindings }` in its `bindgen!`.

#[allow(missing_docs, unreachable_pub, unused_qualifications, clippy::all)]
mod generated {
    wasmtime::component::bindgen!({
        path: "../wit",
        world: "xila:network/admin",
        imports: {
            "xila:network/tcp.[method]tcp-listener.connections": store | trappable,
            "xila:network/tcp.[method]tcp-connection.send": store | trappable,
            "xila:network/tcp.[method]tcp-connection.receive": store | trappable,
            "xila:network/control.watch": store | trappable,
            default: trappable,
        },
        with: {
            "xila:network/tcp.tcp-listener": crate::wasm::xila::tcp::TcpListener,
            "xila:network/tcp.tcp-connection": crate::wasm::xila::tcp::TcpConnection,
            "xila:network/udp.udp-socket": crate::wasm::xila::udp::UdpSocket,
            "xila:network/icmp.icmp-socket": crate::wasm::xila::icmp::IcmpSocket,
            "xila:network/control.network-interface": crate::wasm::xila::control::NetworkInterface,
            "xila:network/control.device": crate::wasm::xila::control::Device,
        },
        trappable_error_type: {
            "xila:network/types.error-code" => crate::wasm::xila::NetworkError,
        },
    });
}

pub use generated::xila::network::*;
