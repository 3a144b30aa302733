//! The stored record of an interface between runs, which anyone may have changed in between.

use core::time::Duration;
use std::io;
use std::sync::{Arc, Mutex};

use xila_network_host::device::hub::{Hub, HubOptions};
use xila_network_host::platform::memory::LONGEST;
use xila_network_host::platform::simulated::Simulation;
use xila_network_host::platform::{Memory, Record};
use xila_network_host::{InterfaceConfig, Manager};

use super::bytes::Bytes;

/// A memory with one record, whatever its name.
#[derive(Clone)]
struct Desk(Arc<Mutex<Vec<u8>>>);

impl Memory for Desk {
    fn open(&self, _: &str) -> io::Result<Option<Box<dyn Record>>> {
        Ok(Some(Box::new(self.clone())))
    }
}

impl Record for Desk {
    fn load(&mut self) -> io::Result<Option<Vec<u8>>> {
        let written = self.0.lock().expect("nobody panics with it").clone();
        Ok(Some(written).filter(|written| !written.is_empty()))
    }

    fn store(&mut self, bytes: &[u8]) -> io::Result<()> {
        assert!(bytes.len() <= LONGEST && bytes.iter().all(|byte| matches!(byte, b'\n' | b' '..=b'~')), "{bytes:?}");
        *self.0.lock().expect("nobody panics with it") = bytes.to_vec();
        Ok(())
    }
}

/// Mounts an interface twice with a stored record. The second time it has the same addresses.
pub(crate) fn remember(bytes: &mut Bytes<'_>) {
    let desk = Desk(Arc::new(Mutex::new(written(bytes))));
    let dhcp = bytes.flag();
    let hosts = [1, 2].map(|seed| {
        let simulation = Simulation::new(seed);
        let mut platform = simulation.platform();
        platform.memory = Some(Arc::new(desk.clone()));
        let manager = Manager::new(platform.clone());
        let hub = Hub::new(&platform, HubOptions::default());
        let config = InterfaceConfig { dhcp, ..InterfaceConfig::default() };
        let interface = manager.mount_interface("eth0", hub.port(), config).expect("a name that is free");
        simulation.advance(Duration::from_secs(5));
        let host = (interface.hardware_address(), interface.addresses());
        drop(manager.unmount_interface("eth0"));
        host
    });
    assert_eq!(hosts[0], hosts[1], "it is another host");
}

/// A record that is almost valid.
fn written(bytes: &mut Bytes<'_>) -> Vec<u8> {
    let mut record = b"xila-network interface 1\n".to_vec();
    for _ in 0..bytes.byte() % 5 {
        let line = match bytes.byte() % 6 {
            0 => format!("hardware-address 02:00:00:00:00:{:02x}", bytes.byte()),
            1 => format!("secret {}", "5a".repeat(32 + usize::from(bytes.byte() > 200))),
            2 => format!("lease 192.0.2.{} of 02:00:00:00:00:{:02x} current", bytes.byte(), bytes.byte()),
            3 => format!("lease {}.0.0.1 of 02:00:00:00:00:01 ended", bytes.byte()),
            4 => format!("hardware-address {:02x}:00:00:00:00:01", bytes.byte()),
            _ => {
                let length = bytes.below(30);
                String::from_utf8_lossy(bytes.take(length)).into_owned()
            }
        };
        record.extend(line.into_bytes());
        record.extend(bytes.pick(&[&b"\n"[..], b"\n", b"\n", b"\r\n", b"", b"\n\n"]));
    }
    match bytes.byte() {
        0..200 => {}
        200..230 => {
            let at = bytes.below(record.len());
            record[at] = bytes.byte();
        }
        230..250 => record.truncate(bytes.below(record.len())),
        250.. => {
            let length = bytes.below(60);
            record = bytes.take(length).to_vec();
        }
    }
    record
}
