//! A plain smoltcp device as an interface.

use std::collections::VecDeque;
use std::net::Shutdown;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::future;
use smoltcp::phy::{self, DeviceCapabilities, Medium};
use smoltcp::time::Instant;
use xila_network_host::Manager;
use xila_network_host::device::polled::Polled;
use xila_network_host::socket::{ListenOptions, TcpListener, TcpStream};
use xila_network_tests::link;

use super::{at, bind, config, simulation};

type Queue = Arc<Mutex<VecDeque<Vec<u8>>>>;

/// One end of a wire that holds 32 packets, as a driver without wakers.
struct Wire {
    medium: Medium,
    incoming: Queue,
    outgoing: Queue,
}

impl Wire {
    fn pair(medium: Medium) -> [Self; 2] {
        let (one, two) = (Queue::default(), Queue::default());
        [Self { medium, incoming: one.clone(), outgoing: two.clone() }, Self { medium, incoming: two, outgoing: one }]
    }
}

struct Received(Vec<u8>);

impl phy::RxToken for Received {
    fn consume<R, F: FnOnce(&[u8]) -> R>(self, take: F) -> R {
        take(&self.0)
    }
}

struct Room(Queue);

impl phy::TxToken for Room {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, length: usize, fill: F) -> R {
        let mut packet = vec![0; length];
        let result = fill(&mut packet);
        self.0.lock().unwrap().push_back(packet);
        result
    }
}

impl phy::Device for Wire {
    type RxToken<'a> = Received;
    type TxToken<'a> = Room;

    fn receive(&mut self, _: Instant) -> Option<(Received, Room)> {
        let packet = self.incoming.lock().unwrap().pop_front()?;
        Some((Received(packet), Room(self.outgoing.clone())))
    }

    fn transmit(&mut self, _: Instant) -> Option<Room> {
        let room = self.outgoing.lock().unwrap().len() < 32;
        room.then(|| Room(self.outgoing.clone()))
    }

    fn capabilities(&self) -> DeviceCapabilities {
        let mut capabilities = DeviceCapabilities::default();
        capabilities.medium = self.medium;
        capabilities.max_transmission_unit = if self.medium == Medium::Ethernet { 1514 } else { 1500 };
        capabilities
    }
}

#[test]
fn a_plain_smoltcp_device_carries_sockets_when_it_is_polled() {
    for medium in [Medium::Ip, Medium::Ethernet] {
        let (simulation, client) = simulation();
        let server = Manager::new(simulation.platform());
        let ends = Wire::pair(medium);
        for ((manager, wire), host) in [&client, &server].into_iter().zip(ends).zip(1..) {
            let polled = Polled::new(wire, "wire", Duration::from_micros(100), &simulation.platform()).unwrap();
            let addresses = [format!("10.0.0.{host}/24"), format!("fd00::{host}/64")];
            let config = config(&addresses.each_ref().map(String::as_str));
            let interface = manager.mount_interface("wire0", polled, config).unwrap();
            assert_eq!((interface.driver(), interface.mtu()), ("wire", 1500));
            assert_eq!(interface.hardware_address().is_some(), medium == Medium::Ethernet);
        }
        simulation.block_on(async {
            for remote in ["10.0.0.2:80", "[fd00::2]:80"] {
                let listener = TcpListener::bind(&server.network(), at(remote), ListenOptions::default()).unwrap();
                let network = client.network();
                let connecting = TcpStream::connect(&network, at(remote));
                let (stream, accepted) = future::join(connecting, listener.accept()).await;
                let (stream, (accepted, _)) = (stream.unwrap(), accepted.unwrap());
                let sending = async {
                    link::send(&stream, 1, 1 << 20).await.unwrap();
                    stream.shutdown(Shutdown::Write).unwrap();
                };
                let ((), received) = future::join(sending, link::receive(&accepted, 1)).await;
                assert_eq!(received, Ok(1 << 20));
            }
            let receiver = bind(&server.network(), "10.0.0.2:9");
            let sender = bind(&client.network(), "10.0.0.1:0");
            sender.send_to(&[7; 9000], receiver.local_addr()).await.unwrap();
            assert_eq!(receiver.recv_datagram().await.unwrap().data, [7; 9000]);
        });
    }
}
