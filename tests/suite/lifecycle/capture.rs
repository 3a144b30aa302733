//! A capture of real traffic, read back.

use std::io::{self, Write};
use std::net::Shutdown;
use std::process::{self, Command};
use std::sync::{Arc, Mutex};
use std::{env, fs};

use etherparse::{NetSlice, SlicedPacket, TransportSlice};
use futures_util::future;
use pcap_file::DataLink;
use pcap_file::pcap::PcapReader;
use xila_network_host::Manager;
use xila_network_host::device::pcap::Pcap;
use xila_network_host::interface::Statistics;
use xila_network_host::socket::{ListenOptions, TcpListener, TcpStream};
use xila_network_tests::link::{self, Bytes};

use super::{at, bind, config, hub, simulation};

#[derive(Clone, Default)]
struct Memory(Arc<Mutex<Vec<u8>>>);

impl Write for Memory {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

const LENGTH: u64 = 200_000;

/// The capture of a client that sends [`LENGTH`] bytes by TCP, then a datagram with a hop limit of 9 each by IPv4, where
/// it takes fragments, and by IPv6; and what its interface counted.
fn capture() -> (Vec<u8>, Statistics) {
    let (simulation, client) = simulation();
    let server = Manager::new(simulation.platform());
    let hub = hub(&simulation);
    let memory = Memory::default();
    let device = Pcap::new(hub.port(), memory.clone()).unwrap();
    let interface = client.mount_interface("eth0", device, config(&["10.0.0.1/24", "fd00::1/64"])).unwrap();
    server.mount_interface("eth0", hub.port(), config(&["10.0.0.2/24", "fd00::2/64"])).unwrap();
    simulation.block_on(async {
        let listener = TcpListener::bind(&server.network(), at("10.0.0.2:80"), ListenOptions::default()).unwrap();
        let network = client.network();
        let connecting = TcpStream::connect(&network, at("10.0.0.2:80"));
        let (stream, accepted) = future::join(connecting, listener.accept()).await;
        let (stream, (accepted, _)) = (stream.unwrap(), accepted.unwrap());
        let sending = async {
            link::send(&stream, 1, LENGTH).await.unwrap();
            stream.shutdown(Shutdown::Write).unwrap();
        };
        let ((), received) = future::join(sending, link::receive(&accepted, 1)).await;
        assert_eq!(received, Ok(LENGTH));
        for (local, remote, size) in [("10.0.0.1:0", "10.0.0.2:9", 4000), ("[fd00::1]:0", "[fd00::2]:9", 1000)] {
            let receiver = bind(&server.network(), remote);
            let sender = bind(&network, local);
            sender.set_hop_limit(9).unwrap();
            sender.send_to(&vec![7; size], at(remote)).await.unwrap();
            receiver.recv_datagram().await.unwrap();
        }
    });
    let statistics = interface.statistics();
    drop(client.unmount_interface("eth0").unwrap());
    let capture = memory.0.lock().unwrap().clone();
    (capture, statistics)
}

#[test]
fn a_capture_holds_every_frame_that_was_counted_in_order_and_whole() {
    let (capture, statistics) = capture();
    let mut reader = PcapReader::new(&capture[..]).unwrap();
    assert_eq!(reader.header().datalink, DataLink::ETHERNET);
    let (mut frames, mut bytes, mut last) = (0, 0, None);
    let mut content = Bytes::new(1);
    let mut next = None;
    let mut low_hop_limits = 0;
    while let Some(packet) = reader.next_packet() {
        let packet = packet.unwrap();
        assert_eq!(packet.orig_len as usize, packet.data.len(), "nothing is cut off");
        assert!(last.is_none_or(|last| packet.timestamp >= last), "in the order of time");
        last = Some(packet.timestamp);
        frames += 1;
        bytes += packet.data.len() as u64;
        let sliced = SlicedPacket::from_ethernet(&packet.data).unwrap();
        low_hop_limits += usize::from(match &sliced.net {
            Some(NetSlice::Ipv4(ip)) => ip.header().ttl() == 9,
            Some(NetSlice::Ipv6(ip)) => ip.header().hop_limit() == 9,
            _ => false,
        });
        if let Some(TransportSlice::Tcp(tcp)) = sliced.transport
            && tcp.destination_port() == 80
        {
            // On a perfect segment each byte is sent once, so the payloads follow on each other.
            let sequence = tcp.sequence_number();
            assert!(next.is_none_or(|next| next == sequence));
            let flags = u32::from(tcp.syn()) + u32::from(tcp.fin());
            next = Some(sequence.wrapping_add(u32::try_from(tcp.payload().len()).unwrap() + flags));
            content.check(tcp.payload());
        }
    }
    assert_eq!(frames, statistics.sent.packets + statistics.received.packets);
    assert_eq!(bytes, statistics.sent.bytes + statistics.received.bytes);
    assert_eq!(content.position(), LENGTH);
    assert_eq!(low_hop_limits, 3 + 1, "three fragments, and one packet");
}

#[test]
fn tshark_finds_nothing_wrong_with_a_capture() {
    if !Command::new("tshark").arg("--version").output().is_ok_and(|output| output.status.success()) {
        assert!(env::var_os("CI").is_none(), "`tshark` is missing, and CI counts on this test");
        println!("skipped: `tshark` is missing");
        return;
    }
    let (capture, statistics) = capture();
    let file = format!("{}/capture-{}.pcap", env!("CARGO_TARGET_TMPDIR"), process::id());
    fs::write(&file, capture).unwrap();
    let tshark = |filter: &str| {
        let mut command = Command::new("tshark");
        // What the streams carry is no protocol, though here and there it looks like one.
        command.args(["-n", "-r", &file, "-d", "tcp.port==80,data", "-Y", filter]);
        for protocol in ["ip", "tcp", "udp"] {
            command.args(["-o", &format!("{protocol}.check_checksum:TRUE")]);
        }
        let output = command.output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    };
    let all = tshark("frame").lines().count() as u64;
    // A status of 0 is a bad checksum. What tshark calls an error is more than a peculiarity.
    let wrong = tshark(
        "_ws.malformed || ip.checksum.status == 0 || tcp.checksum.status == 0 || udp.checksum.status == 0 || \
         icmpv6.checksum.status == 0 || _ws.expert.severity == \"Error\" || tcp.analysis.retransmission",
    );
    fs::remove_file(&file).unwrap();
    assert_eq!(wrong, "");
    assert_eq!(all, statistics.sent.packets + statistics.received.packets);
}
