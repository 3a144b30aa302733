//! A race between two guests: a defect shows for some orders of their messages only, and the seed that finds it
//! reproduces it.

use std::time::Duration;

use xila_network_host::Manager;
use xila_network_host::device::hub::{Hub, HubOptions};
use xila_network_host::device::pcap::Pcap;
use xila_network_host::interface::InterfaceConfig;
use xila_network_host::platform::simulated::Simulation;
use xila_network_tests::laboratory::Program;

use super::Memory;

/// About one seed in seven shows the defect.
const MOST_SEEDS: u64 = 200;

/// The results of a run.
#[derive(PartialEq, Eq)]
struct Run {
    /// The value of the server's counter after two clients have added one each.
    counted: String,
    /// The frames that passed the server's end of the link.
    capture: Vec<u8>,
}

/// A server and two clients, each on a stack of its own.
fn run(seed: u64, counter: &Program) -> Run {
    let simulation = Simulation::new(seed);
    let (latency, jitter) = (Duration::from_millis(4), Duration::from_millis(2));
    let hub = Hub::new(&simulation.platform(), HubOptions { latency, jitter, seed, ..HubOptions::default() });
    let capture = Memory::default();
    let begin = |number: usize, arguments: &[&str]| {
        let manager = Manager::without_loopback(simulation.platform());
        let addresses = vec![format!("10.0.0.{number}/24").parse().expect("an address")];
        let config = InterfaceConfig { addresses, ..InterfaceConfig::default() };
        let port = hub.port();
        let mounted = if number == 1 {
            let captured = Pcap::with_origin(port, capture.clone(), Duration::ZERO).expect("memory");
            manager.mount_interface("eth0", captured, config)
        } else {
            manager.mount_interface("eth0", port, config)
        };
        mounted.expect("an interface");
        let (run, output) = counter.run(&simulation, manager.network(), arguments);
        (manager, run, output)
    };
    let (_server, server, output) = begin(1, &["serve", "10.0.0.1:7", "2"]);
    let (_first, first, _) = begin(2, &["add", "10.0.0.1:7"]);
    let (_second, second, _) = begin(3, &["add", "10.0.0.1:7"]);
    simulation.block_on(async { futures_util::join!(server, first, second) });
    let capture = capture.0.lock().expect("nothing has panicked").clone();
    Run { counted: output.printed(), capture }
}

#[test]
fn a_defect_that_one_seed_shows_is_there_again_with_it_byte_by_byte() {
    let counter = Program::compile("std_udp_counter").unwrap_or_else(|error| panic!("{error:?}"));
    let (mut sound, mut lost) = (None, None);
    for seed in 1..=MOST_SEEDS {
        let run = run(seed, &counter);
        match run.counted.trim() {
            "2" => sound = sound.or(Some((seed, run))),
            "1" => lost = lost.or(Some((seed, run))),
            other => panic!("seed {seed}: two have added one each to {other}"),
        }
        if sound.is_some() && lost.is_some() {
            break;
        }
    }
    let (sound, lost) = (sound.expect("no seed hides the defect"), lost.expect("no seed shows the defect"));
    println!("seed {} hides it, seed {} shows it", sound.0, lost.0);
    for (seed, before) in [sound, lost] {
        let again = run(seed, &counter);
        assert_eq!(again.counted, before.counted, "seed {seed}");
        assert!(again.capture == before.capture, "seed {seed}: other frames");
    }
}
