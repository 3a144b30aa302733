//! Ten thousand connections are opened and closed, and nothing is left of them. This test has its own process, because
//! it measures the memory of the process.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::time::Duration;

use futures_util::future::{join, join_all, try_join_all};
use xila_network_host::device::hub::HubOptions;
use xila_network_host::socket::{ConnectOptions, ListenOptions, TcpListener, TcpOptions, TcpStream};
use xila_network_host::{Error, Result};
use xila_network_tests::link::{Bytes, Family, Link, PORT, receive, receive_next, send};

const CONNECTIONS: u64 = 10_000;
const WAVE: u64 = 100;
/// The allowed growth of the process's memory, in KiB: enough for what the allocator keeps, but less than 100 bytes for
/// each end of each connection.
const GROWTH: u64 = 2048;

/// The resident memory of this process, in KiB.
#[cfg(target_os = "linux")]
fn resident() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").expect("Linux says how a process is");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("a process has memory");
    Some(line.trim().trim_end_matches(" kB").trim().parse().expect("a number"))
}

#[cfg(not(target_os = "linux"))]
fn resident() -> Option<u64> {
    println!("skipped: the memory of a process can be read on Linux only");
    None
}

/// Makes all connections of a wave at once. The listener may return them in another order.
async fn wave(link: &Link, family: Family, listener: &TcpListener) -> Result<Vec<(TcpStream, TcpStream)>> {
    let remote = link.server.at(family, PORT);
    let connecting = (0..WAVE).map(|_| {
        let tcp = TcpOptions { receive_buffer: 2048, send_buffer: 2048, ..TcpOptions::default() };
        let connect = ConnectOptions { tcp, ..ConnectOptions::default() };
        TcpStream::connect_with(&link.client.network, remote, connect)
    });
    let accepting = (0..WAVE).map(|_| listener.accept());
    let (clients, servers) = join(try_join_all(connecting), try_join_all(accepting)).await;
    let mut servers: HashMap<SocketAddr, TcpStream> =
        servers?.into_iter().map(|(server, peer)| (peer, server)).collect();
    let pair = |client: TcpStream| {
        let server = servers.remove(&client.local_addr()).expect("every client is accepted");
        (client, server)
    };
    Ok(clients?.into_iter().map(pair).collect())
}

/// Ends a connection in one of several ways, by its number: the client closes first, the server does, both at once, or
/// the client aborts.
async fn connection(client: TcpStream, server: TcpStream, number: u64) -> Result<()> {
    let serving = async {
        receive_next(&server, &mut Bytes::new(0), 100).await?;
        Ok::<_, Error>(send(&server, 1, 100).await?)
    };
    let asking = async {
        send(&client, 0, 100).await?;
        Ok::<_, Error>(receive_next(&client, &mut Bytes::new(1), 100).await?)
    };
    let (served, asked) = join(serving, asking).await;
    served?;
    asked?;
    match number % 4 {
        0 => {
            drop(client);
            assert_eq!(receive(&server, 0).await?, 0);
        }
        1 => {
            drop(server);
            assert_eq!(receive(&client, 0).await?, 0);
        }
        2 => drop((client, server)),
        _ => client.abort(),
    }
    Ok(())
}

fn run(link: &Link, family: Family, from: u64, count: u64) {
    let options = TcpOptions { receive_buffer: 2048, send_buffer: 2048, ..TcpOptions::default() };
    let listen = ListenOptions { backlog: 2 * WAVE as usize, tcp: options };
    link.block_on(async {
        let listener = link.server.listen(family, PORT, listen).expect("a free port");
        for first in (from..from + count).step_by(WAVE as usize) {
            let pairs = wave(link, family, &listener).await.expect("every connection is made");
            let ways = (first..).zip(pairs).map(|(number, (client, server))| connection(client, server, number));
            for result in join_all(ways).await {
                result.expect("every connection does its work");
            }
        }
    });
    // The last FINs, and 10 s of TIME-WAIT after them.
    link.simulation.advance(Duration::from_secs(11));
    for host in [&link.client, &link.server] {
        host.assert_empty();
    }
}

#[test]
fn ten_thousand_connections_leave_nothing() {
    for family in Family::BOTH {
        let link = Link::new(1, HubOptions { latency: Duration::from_millis(1), ..HubOptions::default() });
        // Pools and tables that are made once are made before the memory is measured.
        run(&link, family, 0, 1000);
        let before = resident();
        run(&link, family, 1000, CONNECTIONS);
        if let (Some(before), Some(after)) = (before, resident()) {
            println!("{family:?}: {before} KiB before, {after} KiB after");
            assert!(after <= before + GROWTH, "{before} KiB before, {after} KiB after");
        }
        assert_eq!(link.client.interface().statistics().tcp_timeouts, 0);
    }
}
