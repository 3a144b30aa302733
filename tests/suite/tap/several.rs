//! A host with three networks: two segments inside the process, and the kernel's.

use std::net::SocketAddr;

use xila_network_host::address::Route;
use xila_network_host::device::hub::{Hub, HubOptions};
use xila_network_host::socket::{ListenOptions, TcpListener, TcpStream};
use xila_network_host::{InterfaceConfig, Manager};
use xila_network_tests::netns::{KERNEL_V4, STACK_V4};

use super::with_kernel;

fn config(addresses: &[&str]) -> InterfaceConfig {
    let addresses = addresses.iter().map(|address| address.parse().unwrap()).collect();
    InterfaceConfig { addresses, ..InterfaceConfig::default() }
}

/// Tells each client the address that its connection comes from.
async fn serve(listener: TcpListener) {
    loop {
        let (stream, peer) = listener.accept().await.unwrap();
        let text = peer.ip().to_string();
        assert_eq!(stream.write(text.as_bytes()).await.unwrap(), text.len());
    }
}

/// Returns the answer of the server at `remote`.
async fn ask(manager: &Manager, remote: &str) -> String {
    let remote: SocketAddr = remote.parse().unwrap();
    let stream =
        TcpStream::connect(&manager.network(), remote).await.unwrap_or_else(|error| panic!("{remote}: {error}"));
    let (mut text, mut buffer) = (Vec::new(), [0; 64]);
    while let count @ 1.. = stream.read(&mut buffer).await.unwrap() {
        text.extend(&buffer[..count]);
    }
    String::from_utf8(text).unwrap()
}

#[test]
fn each_network_is_reached_by_its_route_and_a_wildcard_listener_serves_all() {
    with_kernel(&["python3"], 1500, async |namespace, manager| {
        let platform = manager.platform().clone();
        let listener =
            TcpListener::bind(&manager.network(), ([0, 0, 0, 0], 80).into(), ListenOptions::default()).unwrap();
        tokio::spawn(serve(listener));

        // The segments are mounted after the listener was opened, which accepts connections from them too.
        let peers = [1, 2].map(|number| {
            let hub = Hub::new(&platform, HubOptions::default());
            let own = config(&[&format!("10.{number}.0.1/24")]);
            let eth = manager.mount_interface(&format!("eth{number}"), hub.port(), own).unwrap();
            eth.add_route(
                Route::new(format!("10.{number}.0.0/16").parse().unwrap(), format!("10.{number}.0.2").parse().unwrap())
                    .unwrap(),
            )
            .unwrap();
            let peer = Manager::new(platform.clone());
            let far = config(&[&format!("10.{number}.0.2/24"), &format!("10.{number}.7.7/32")]);
            peer.mount_interface("eth0", hub.port(), far).unwrap();
            let server =
                TcpListener::bind(&peer.network(), ([0, 0, 0, 0], 80).into(), ListenOptions::default()).unwrap();
            tokio::spawn(serve(server));
            peer
        });

        for (number, peer) in [1, 2].into_iter().zip(&peers) {
            assert_eq!(ask(peer, &format!("10.{number}.0.1:80")).await, format!("10.{number}.0.2"));
            assert_eq!(ask(manager, &format!("10.{number}.0.2:80")).await, format!("10.{number}.0.1"));
            assert_eq!(ask(manager, &format!("10.{number}.7.7:80")).await, format!("10.{number}.0.1"), "by its route");
        }
        assert_eq!(ask(manager, "127.0.0.1:80").await, "127.0.0.1");

        let script = "
server = create_server((sys.argv[1], 80))
client = create_connection((sys.argv[2], 80))
print(client.recv(64).decode())
connection, peer = server.accept()
connection.sendall(peer[0].encode())
connection.close()
";
        let mut python = namespace.python(script, &[&KERNEL_V4.to_string(), &STACK_V4.to_string()]);
        assert_eq!(python.line().await, KERNEL_V4.to_string());
        assert_eq!(ask(manager, &format!("{KERNEL_V4}:80")).await, STACK_V4.to_string());
        python.succeed().await;
    });
}
