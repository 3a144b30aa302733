//! Captures of real traffic, which the tests read back.

use std::io::{self, Write};
use std::net::Shutdown;
use std::process::{self, Command};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::{env, fs};

use etherparse::{NetSlice, SlicedPacket, TransportSlice};
use futures_util::future;
use pcap_file::DataLink;
use pcap_file::pcap::PcapReader;
use xila_network_host::Manager;
use xila_network_host::device::pcap::Pcap;
use xila_network_host::interface::Statistics;
use xila_network_host::socket::{HopLimit, ListenOptions, TcpListener, TcpStream};
use xila_network_tests::link::{self, Bytes};
use xila_network_tests::probe::{Probe, Seen};

use super::mixed::check_checksums;
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

/// The number of capture files so far, for unique names: tests run at the same time.
static FILES: AtomicUsize = AtomicUsize::new(0);

/// The capture of a client that sends [`LENGTH`] bytes by TCP, then a datagram with a hop limit of 9 by IPv4, which is
/// fragmented, and one by IPv6; with the counters of its interface.
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
            sender.set_hop_limit(HopLimit::new(9).unwrap());
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
            // Without loss each byte is sent once, so each payload follows the previous one.
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

/// Captures at both ends of a connection in each family, which carries [`LENGTH`] bytes, on ports that accept large
/// segments and incomplete checksums, or not.
fn captures(offloads: [bool; 2]) -> [Vec<u8>; 2] {
    let (simulation, client) = simulation();
    let server = Manager::new(simulation.platform());
    let hub = hub(&simulation);
    let memories = [(&client, 1), (&server, 2)].map(|(manager, number)| {
        let memory = Memory::default();
        let (probe, _) = Probe::new(hub.port(), offloads[number - 1]);
        let addresses = [format!("10.0.0.{number}/24"), format!("fd00::{number}/64")];
        let config = config(&addresses.each_ref().map(String::as_str));
        manager.mount_interface("eth0", Pcap::new(probe, memory.clone()).unwrap(), config).unwrap();
        memory
    });
    for remote in ["10.0.0.2:80", "[fd00::2]:80"] {
        simulation.block_on(async {
            let listener = TcpListener::bind(&server.network(), at(remote), ListenOptions::default()).unwrap();
            let stream = TcpStream::connect(&client.network(), at(remote)).await.unwrap();
            let (accepted, _) = listener.accept().await.unwrap();
            let sending = async {
                link::send(&stream, 1, LENGTH).await.unwrap();
                stream.shutdown(Shutdown::Write).unwrap();
            };
            assert_eq!(future::join(sending, link::receive(&accepted, 1)).await, ((), Ok(LENGTH)));
        });
    }
    for manager in [client, server] {
        drop(manager.unmount_interface("eth0").unwrap());
    }
    memories.map(|memory| memory.0.lock().unwrap().clone())
}

#[test]
fn a_capture_has_correct_checksums_with_and_without_offloads() {
    for offloads in [[true, true], [true, false], [false, true], [false, false]] {
        let big = captures(offloads).map(|capture| {
            let mut reader = PcapReader::new(&capture[..]).unwrap();
            let (mut frames, mut big) = (0, [0, 0]);
            while let Some(packet) = reader.next_packet() {
                let bytes = packet.unwrap().data.into_owned();
                frames += 1;
                let family = usize::from(bytes[12..14] == [0x86, 0xdd]);
                big[family] += usize::from(bytes.len() > 1514);
                check_checksums(&Seen { bytes, segment: None, unchecked: false });
            }
            assert!(frames > 50);
            big
        });
        let sent = |family: usize| big[0][family] > 0;
        let received = |family: usize| big[1][family] > 0;
        assert_eq!([sent(0), sent(1)], [offloads[0]; 2], "whole, as it left: {big:?}");
        assert_eq!([received(0), received(1)], [offloads == [true, true]; 2], "as it came: {big:?}");
    }
}

#[test]
fn tshark_finds_nothing_wrong_with_a_capture() {
    let (capture, statistics) = capture();
    assert_tshark_finds_nothing_wrong(capture, Some(statistics.sent.packets + statistics.received.packets));
}

#[test]
fn tshark_finds_nothing_wrong_with_a_capture_with_and_without_offloads() {
    for offloads in [[true, true], [true, false], [false, true], [false, false]] {
        captures(offloads).into_iter().for_each(|capture| assert_tshark_finds_nothing_wrong(capture, None));
    }
}

/// Asserts that tshark finds this number of frames and no errors; skipped if tshark is not installed.
fn assert_tshark_finds_nothing_wrong(capture: Vec<u8>, frames: Option<u64>) {
    if !Command::new("tshark").arg("--version").output().is_ok_and(|output| output.status.success()) {
        assert!(env::var_os("CI").is_none(), "`tshark` is missing, and CI counts on this test");
        println!("skipped: `tshark` is missing");
        return;
    }
    let number = FILES.fetch_add(1, Ordering::Relaxed);
    let file = format!("{}/capture-{}-{number}.pcap", env!("CARGO_TARGET_TMPDIR"), process::id());
    fs::write(&file, capture).unwrap();
    let tshark = |filter: &str| {
        let mut command = Command::new("tshark");
        // The streams carry arbitrary bytes, which must not be decoded as a protocol.
        command.args(["-n", "-r", &file, "-d", "tcp.port==80,data", "-Y", filter]);
        for protocol in ["ip", "tcp", "udp"] {
            command.args(["-o", &format!("{protocol}.check_checksum:TRUE")]);
        }
        let output = command.output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    };
    let all = tshark("frame").lines().count() as u64;
    // A checksum status of 0 is a bad checksum. tshark's level "error" means more than an anomaly.
    let wrong = tshark(
        "_ws.malformed || ip.checksum.status == 0 || tcp.checksum.status == 0 || udp.checksum.status == 0 || \
         icmpv6.checksum.status == 0 || _ws.expert.severity == \"Error\" || tcp.analysis.retransmission",
    );
    fs::remove_file(&file).unwrap();
    assert_eq!(wrong, "");
    assert!(all > 0 && frames.is_none_or(|frames| all == frames), "{all} frames");
}
