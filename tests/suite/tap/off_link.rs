//! A prefix for autoconfiguration without the on-link flag: its addresses are reached through the router (RFC 5942).

use std::io::{self, Write};
use std::net::{Ipv6Addr, SocketAddr};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use pcap_file::pcap::PcapReader;
use xila_network_host::InterfaceConfig;
use xila_network_host::address::{Cidr, MacAddress};
use xila_network_host::device::pcap::Pcap;
use xila_network_host::interface::{Change, Event, Notice, Watch};
use xila_network_host::socket::{PingOptions, ping};
use xila_network_tests::segment::mount;

use super::routers::advertise;
use super::{ask_until, socket, with_segment};

/// Answers a datagram to port 5005 of any address with the hop limit that it arrived with.
const HOP_LIMIT: &str = "
server = socket(AF_INET6, SOCK_DGRAM)
server.setsockopt(IPPROTO_IPV6, IPV6_RECVHOPLIMIT, 1)
server.bind(('::', 5005))
print('ready')
while True:
    _, [(_, _, hop_limit)], _, peer = server.recvmsg(100, 100)
    server.sendto(str(int.from_bytes(hop_limit, sys.byteorder)).encode(), peer)
";

/// A capture file in memory of the frames that pass a device.
#[derive(Clone, Default)]
struct Capture(Arc<Mutex<Vec<u8>>>);

impl Write for Capture {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Capture {
    /// The addresses that a station has sent neighbour solicitations for.
    fn solicited_by(&self, station: MacAddress) -> Vec<Ipv6Addr> {
        const SOLICITATION: u8 = 135;
        let bytes = self.0.lock().unwrap().clone();
        let mut reader = PcapReader::new(&bytes[..]).unwrap();
        let mut targets = Vec::new();
        // The last packet may be truncated, as it is not flushed yet.
        while let Some(Ok(packet)) = reader.next_packet() {
            let frame = &packet.data;
            if frame.get(6..14) == Some(&[&station.octets()[..], &[0x86, 0xdd]].concat())
                && frame.get(54) == Some(&SOLICITATION)
            {
                targets.push(Ipv6Addr::from(<[u8; 16]>::try_from(&frame[62..78]).unwrap()));
            }
        }
        targets
    }
}

/// Waits until the interface has a verified address of the prefix.
async fn until_configured(watch: &mut Watch) {
    let prefix: Cidr = "fd00:5::/64".parse().unwrap();
    loop {
        match watch.next().await {
            Notice::Changed(Event { change: Change::AddressAdded(cidr), .. }) if prefix.contains(cidr.address()) => {
                return;
            }
            Notice::Changed(_) => {}
            Notice::Lost(count) => panic!("{count} events were lost"),
        }
    }
}

#[test]
fn neighbours_of_a_prefix_are_reached_through_the_router_unless_it_is_said_to_be_on_the_link() {
    // The flags of the prefix: `40` is autonomous only (A), `c0` is autonomous and on-link (A and L).
    for (flags, is_on_link) in [("40", false), ("c0", true)] {
        with_segment(&["python3"], "", async |segment| {
            let router = segment.kernel(&["fe80::1/64", "fd00:5::1/64"]);
            router.forward();
            let neighbour = segment.kernel(&["fe80::9/64", "fd00:5::9/64"]);
            let mut server = neighbour.python(HOP_LIMIT, &[]);
            assert_eq!(server.line().await, "ready");
            let capture = Capture::default();
            let device = Pcap::new(segment.tap().0, capture.clone()).unwrap();
            let manager = mount(device, InterfaceConfig { autoconfiguration: true, ..InterfaceConfig::default() });
            let interface = manager.interface("tap0").unwrap();
            let mut watch = interface.watch();
            let _advertising = advertise(&router, 1, flags).await;
            until_configured(&mut watch).await;

            let remote: SocketAddr = "[fd00:5::9]:5005".parse().unwrap();
            let socket = socket(&manager, remote.ip());
            let hop_limit = if is_on_link { "64" } else { "63" };
            // The router sends a redirect each time. The host must not act on it.
            for _ in 0..5 {
                let patience = Duration::from_secs(20);
                assert_eq!(ask_until(&socket, remote, patience, |_| true).await.0, hop_limit, "flags {flags}");
            }
            let options = PingOptions { timeout: Duration::from_secs(20), ..PingOptions::default() };
            assert_eq!(ping(&manager.network(), remote.ip(), &options).await.unwrap().source, remote.ip());
            let solicited = capture.solicited_by(interface.hardware_address().unwrap());
            let neighbour = "fd00:5::9".parse().unwrap();
            assert_eq!(solicited.contains(&neighbour), is_on_link, "flags {flags}: {solicited:?}");
        });
    }
}
