//! Tests of the laboratory: guests, stacks, links and their faults are all driven by one seed.

mod race;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use xila_network_host::Manager;
use xila_network_host::device::Link;
use xila_network_host::device::hub::{Cable, Hub, HubOptions};
use xila_network_host::device::pcap::Pcap;
use xila_network_host::interface::InterfaceConfig;
use xila_network_host::platform::simulated::Simulation;
use xila_network_tests::laboratory::{Output, Program};

/// Ten servers and as many clients, each on a stack of its own.
const PAIRS: usize = 10;
const HOUR: Duration = Duration::from_secs(3600);

/// A capture file in memory.
#[derive(Clone, Default)]
struct Memory(Arc<Mutex<Vec<u8>>>);

impl std::io::Write for Memory {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// The results of an hour.
#[derive(PartialEq, Eq)]
struct Hour {
    printed: Vec<String>,
    capture: Vec<u8>,
    delivered: u64,
}

struct Host {
    manager: Manager,
    cable: Cable,
}

/// A random number below `bound`.
fn draw(simulation: &Simulation, bound: u64) -> u64 {
    let mut bytes = [0; 8];
    simulation.platform().random.fill(&mut bytes);
    u64::from_le_bytes(bytes) % bound
}

/// Runs the hour: links lose, delay and reorder frames, cables are unplugged, servers are stopped and restarted.
fn hour(seed: u64, server: &Program, client: &Program) -> Hour {
    let simulation = Simulation::new(seed);
    let options = HubOptions {
        latency: Duration::from_millis(4),
        jitter: Duration::from_millis(2),
        loss: 0.02,
        reordering: 0.01,
        seed,
        ..HubOptions::default()
    };
    let hub = Hub::new(&simulation.platform(), options);
    let capture = Memory::default();
    let hosts: Vec<Host> = (0..2 * PAIRS)
        .map(|number| {
            let (manager, port) = (Manager::without_loopback(simulation.platform()), hub.port());
            let cable = port.cable();
            let addresses = vec![format!("10.0.0.{}/24", number + 1).parse().expect("an address")];
            let config = InterfaceConfig { addresses, ..InterfaceConfig::default() };
            let mounted = if number == 0 {
                let captured = Pcap::with_origin(port, capture.clone(), Duration::ZERO).expect("memory");
                manager.mount_interface("eth0", captured, config)
            } else {
                manager.mount_interface("eth0", port, config)
            };
            mounted.expect("an interface");
            Host { manager, cable }
        })
        .collect();
    let serve = |number: usize| {
        let address = format!("10.0.0.{}:7", number + 1);
        let (run, output) = server.run(&simulation, hosts[number].manager.network(), &[&address]);
        (Box::pin(run), output)
    };
    let outputs: Vec<Output> = simulation.block_on(async {
        let mut servers: Vec<_> = (0..PAIRS).map(|number| Some(serve(number))).collect();
        let clients = (0..PAIRS).map(|number| {
            let arguments = format!("10.0.0.{}:7 {} 5000 {}", number + 1, HOUR.as_secs(), seed * 1000 + number as u64);
            let arguments: Vec<&str> = arguments.split(' ').collect();
            client.run(&simulation, hosts[PAIRS + number].manager.network(), &arguments)
        });
        let (runs, outputs): (Vec<_>, Vec<_>) = clients.unzip();
        let mut clients = Box::pin(futures_util::future::join_all(runs));
        let mut trouble = Box::pin(simulation.sleep(Duration::from_secs(1)));
        let mut broken: Option<usize> = None;
        std::future::poll_fn(|context| {
            for server in servers.iter_mut().flatten() {
                assert!(server.0.as_mut().poll(context).is_pending(), "a server has ended: {}", server.1.printed());
            }
            while trouble.as_mut().poll(context).is_ready() {
                trouble.set(simulation.sleep(Duration::from_secs(5 + draw(&simulation, 20))));
                match (broken.take(), draw(&simulation, 2)) {
                    (Some(number), _) => hosts[number].cable.set_link(Link::Up),
                    (None, 0) => {
                        let number = draw(&simulation, 2 * PAIRS as u64) as usize;
                        hosts[number].cable.set_link(Link::Down);
                        broken = Some(number);
                    }
                    (None, _) => {
                        let number = draw(&simulation, PAIRS as u64) as usize;
                        // The old server is stopped first, or its port would still be in use.
                        drop(servers[number].take());
                        servers[number] = Some(serve(number));
                    }
                }
                context.waker().wake_by_ref();
            }
            clients.as_mut().poll(context).map(drop)
        })
        .await;
        outputs
    });
    let printed = outputs.iter().map(Output::printed).collect();
    for output in &outputs {
        assert_eq!(output.quota().usage(), Default::default(), "a guest that has ended holds something");
    }
    // Connections that linger have ended by then.
    simulation.advance(Duration::from_secs(600));
    for (number, host) in hosts.iter().enumerate() {
        let statistics = host.manager.interface("eth0").expect("it is mounted").statistics();
        assert_eq!(
            (statistics.tcp_flows, statistics.tcp_listeners, statistics.udp_sockets),
            (0, 0, 0),
            "host {number}"
        );
        drop(host.manager.unmount_interface("eth0").expect("it is mounted"));
    }
    let capture = capture.0.lock().expect("nothing has panicked").clone();
    Hour { printed, capture, delivered: hub.statistics().delivered }
}

/// Twenty apps run through an hour of partitions, losses and restarts: no byte is lost and no resource leaks. The same
/// seed gives the same hour.
#[test]
fn an_hour_of_trouble_is_the_same_for_the_same_seed() {
    let compile = |name| Program::compile(name).unwrap_or_else(|error| panic!("{name}: {error:?}"));
    let (server, client) = (compile("echo-server"), compile("std_tcp_steadfast"));
    let began = std::time::Instant::now();
    let first = hour(1, &server, &client);
    let took = began.elapsed();
    println!("{} apps, {} frames, an hour in {took:.1?}:\n{}", 2 * PAIRS, first.delivered, first.printed.join(""));
    for printed in &first.printed {
        let whole: u64 = printed.split(' ').next().and_then(|count| count.parse().ok()).expect(printed);
        assert!(whole > 300, "{printed}");
    }
    let broken = |printed: &String| !printed.contains(", 0 broken off");
    assert!(first.printed.iter().any(broken), "nothing went wrong in that hour");
    let again = hour(1, &server, &client);
    assert!(first.printed == again.printed, "{:?}\n{:?}", first.printed, again.printed);
    assert!(first == again, "the captures differ");
    assert!(first != hour(2, &server, &client));
}
