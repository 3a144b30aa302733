//! Unmodified programs, which reach the network of this project and no other.

use std::io::ErrorKind;
use std::net::{TcpListener, UdpSocket};

use super::{A, B, Bench};

/// Sockets of the operating system on its loopback.
fn taken() -> (TcpListener, UdpSocket) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let socket = UdpSocket::bind("127.0.0.1:0").expect("a free port");
    listener.set_nonblocking(true).expect("a socket");
    socket.set_nonblocking(true).expect("a socket");
    (listener, socket)
}

tests! {
    /// Sockets of the operating system have the same addresses and ports: they do not conflict, and receive nothing.
    async fn a_program_is_on_the_host_s_network_and_not_on_the_operating_system_s(bench: &Bench) {
        let (listener, socket) = taken();
        for (address, server, client) in [
            (listener.local_addr(), "accept", "connect ADDRESS --seconds 0.01 --wait 30"),
            (socket.local_addr(), "udp-pong", "udp-ping ADDRESS 10 --wait 30"),
        ] {
            let address = address.expect("bound").to_string();
            let (server, client) = (format!("%std_throughput {server} {address}"), client.replace("ADDRESS", &address));
            let client = format!("%std_throughput {client}");
            bench.run(&["--app", &server, "--app", &client]).await.expect(0, &[]);
        }
        assert_eq!(listener.accept().expect_err("nobody connects").kind(), ErrorKind::WouldBlock);
        assert_eq!(socket.recv(&mut [0; 8]).expect_err("nobody sends").kind(), ErrorKind::WouldBlock);
    }

    /// One program of each kind, with the wasmtime engine and linker of the command line.
    async fn programs_of_every_kind_run(bench: &Bench) {
        for program in ["p2_tcp_echo", "p2_names", "p3_tcp_echo", "p3_udp_echo", "std_udp_echo"] {
            bench.run(&[&bench.app(program)]).await.expect(0, &[]);
        }
        // These two are not built everywhere; the suite `wasi` says why, and fails for it in CI.
        if std::path::Path::new(&bench.app("c_sockets")).exists() {
            bench.run(&[&bench.app("c_sockets")]).await.expect(0, &[]);
        }
        if std::path::Path::new(&bench.app("python_serve")).exists() {
            let fetch = "%python_fetch http://localhost:80/ 60";
            let ended = bench.run(&["--app", "%python_serve 127.0.0.1 80 1", "--app", fetch]).await;
            ended.expect(0, &[]);
            assert!(ended.stdout.contains("Hello from CPython."), "{}", ended.stdout);
        }
    }

    async fn a_program_does_not_reach_a_server_of_the_operating_system_s(bench: &Bench) {
        let (listener, _) = taken();
        let address = listener.local_addr().expect("bound");
        let ended = bench.run(&[&bench.app("std_throughput"), "connect", &address.to_string()]).await;
        ended.expect(1, &["Connection refused"]);
        assert_eq!(listener.accept().expect_err("nobody connects").kind(), ErrorKind::WouldBlock);
    }

    async fn programs_on_stacks_of_their_own_talk_over_a_link(bench: &Bench) {
        let ended = bench
            .run(&[
                "--interface", A, "--interface", B,
                "--app", "@a %std_tcp_server 10.0.0.1:7 100000",
                "--app", "@b %std_tcp_client 10.0.0.1:7 100000",
            ])
            .await;
        ended.expect(0, &[]);
    }
}
