//! Tests of a TAP interface with the kernel, in a network namespace of their own. They need root, `/dev/net/tun` and
//! iproute2.

use core::future::{Future, poll_fn};
use core::sync::atomic::{AtomicUsize, Ordering};
use core::time::Duration;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use parking_lot::Mutex;
use smoltcp::wire::{Ipv4Packet, UdpPacket};

use super::*;
use crate::socket::{ListenOptions, TcpListener};
use crate::{InterfaceConfig, Manager, platform};

/// Time for the kernel to answer on a busy machine; a test that reaches it fails.
const PATIENCE: Duration = Duration::from_secs(20);

const NOW: Instant = Instant::ORIGIN;

/// A network namespace, and the name of a TAP interface that is in it or will be moved to it. Both are deleted with
/// this value.
struct Namespace {
    name: String,
    interface: String,
}

impl Namespace {
    /// `None` if this machine cannot have one. The reason is printed, and is fatal where CI requires the test.
    fn new(test: &str) -> Option<Self> {
        let identity = std::process::id();
        let name = format!("xila-{test}-{identity}");
        let made = if Path::new("/dev/net/tun").exists() {
            Command::new("ip").args(["netns", "add", &name]).output().map_err(|error| format!("ip: {error}")).and_then(
                |output| {
                    let words = String::from_utf8_lossy(&output.stderr).into_owned();
                    if output.status.success() { Ok(()) } else { Err(words) }
                },
            )
        } else {
            Err("there is no /dev/net/tun".to_owned())
        };
        if let Err(reason) = made {
            println!("skipped: a TAP test needs root, /dev/net/tun and iproute2: {reason}");
            assert!(std::env::var_os("CI").is_none(), "CI must run the TAP tests");
            return None;
        }
        Some(Self { name, interface: format!("{test}{identity}") })
    }

    /// Runs a command of iproute2 in this namespace.
    fn ip(&self, arguments: &str) {
        run(Command::new("ip").args(["-n", &self.name]).args(arguments.split(' ')));
    }

    /// Moves the interface to the namespace and gives the kernel's end an address, as an administrator would.
    fn set_up(&self) {
        run(Command::new("ip").args(["link", "set", &self.interface, "netns", &self.name]));
        self.ip(&format!("address add 192.0.2.1/24 dev {}", self.interface));
        self.ip(&format!("link set {} up", self.interface));
    }

    /// Makes the kernel send a datagram to 192.0.2.2.
    fn send_datagram(&self, payload: &str) {
        let script = format!("echo -n {payload} >/dev/udp/192.0.2.2/9");
        run(Command::new("ip").args(["netns", "exec", &self.name, "bash", "-c", &script]));
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        // Either may be gone already.
        let _ = Command::new("ip").args(["link", "delete", &self.interface]).output();
        let _ = Command::new("ip").args(["netns", "delete", &self.name]).output();
    }
}

fn run(command: &mut Command) {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
}

fn block_on<T>(future: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async { tokio::time::timeout(PATIENCE, future).await.expect("the kernel answers") })
}

/// The next frame for which `wanted` holds. The kernel also sends other frames on its own.
async fn receive(tap: &mut Tap, wanted: impl Fn(&[u8]) -> bool) -> io::Result<Frame> {
    loop {
        while let Some(frame) = tap.receive(NOW)? {
            if wanted(&frame) {
                return Ok(frame);
            }
        }
        poll_fn(|context| tap.poll_readable(context)).await;
    }
}

/// Waits until the link is as wanted, woken only by the device. Frames are dropped.
async fn until(tap: &mut Tap, wanted: Link) {
    poll_fn(|context| {
        while tap.poll_readable(context).is_ready() && tap.link() != wanted {
            while tap.receive(NOW).unwrap().is_some() {}
        }
        if tap.link() == wanted { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
}

fn is_arp_request(frame: &[u8]) -> bool {
    frame[12..14] == [8, 6] && frame[20..22] == [0, 1] && frame[38..42] == [192, 0, 2, 2]
}

/// Makes the answer to an ARP request in `frame`.
fn answer_arp(frame: &mut [u8], request: &[u8]) {
    const HERE: [u8; 6] = [2, 0, 0, 0, 0, 2];
    frame[..6].copy_from_slice(&request[6..12]);
    frame[6..12].copy_from_slice(&HERE);
    frame[12..22].copy_from_slice(&[8, 6, 0, 1, 8, 0, 6, 4, 0, 2]);
    frame[22..28].copy_from_slice(&HERE);
    frame[28..32].copy_from_slice(&[192, 0, 2, 2]);
    frame[32..42].copy_from_slice(&request[22..32]);
}

#[test]
fn frames_pass_both_ways_and_a_deleted_interface_is_one_error_and_then_a_link_that_is_down() {
    [true, false].into_iter().for_each(frames_pass_both_ways);
}

/// With or without the kernel's offloads.
fn frames_pass_both_ways(offloads: bool) {
    let Some(namespace) = Namespace::new("pass") else {
        return;
    };
    block_on(async {
        let mut tap = Tap::open_with(&namespace.interface, None, offloads).unwrap();
        assert_eq!(tap.capabilities().mtu, 1500);
        namespace.set_up();
        namespace.send_datagram("knock");
        let request = receive(&mut tap, is_arp_request).await.unwrap();
        let mut answer = tap.allocate(NOW, 42).unwrap();
        answer_arp(&mut answer, &request);
        tap.transmit(NOW, answer).unwrap();
        // The datagram waited in the kernel for the ARP reply.
        let datagram = receive(&mut tap, |frame| frame.ends_with(b"knock")).await.unwrap();
        let ip = Ipv4Packet::new_checked(&datagram[ETHERNET_HEADER..]).unwrap();
        let udp = UdpPacket::new_checked(ip.payload()).unwrap();
        assert!(udp.verify_checksum(&ip.src_addr().into(), &ip.dst_addr().into()), "the kernel had left it");

        namespace.ip(&format!("link delete {}", tap.name()));
        let error = receive(&mut tap, |_| false).await.unwrap_err();
        println!("a deleted interface: {error}");
        assert_eq!(tap.link(), Link::Down);
        assert!(tap.receive(NOW).unwrap().is_none());
        let frame = tap.allocate(NOW, 60).unwrap();
        tap.transmit(NOW, frame).unwrap();
        let mut context = Context::from_waker(Waker::noop());
        assert!(tap.poll_readable(&mut context).is_pending());
        assert!(tap.poll_writable(&mut context).is_ready());
    });
}

/// A stack receives a stream from the kernel, which hands over many segments as one if it has offloads.
#[test]
fn a_stream_from_the_kernel_arrives_with_offloads_and_without() {
    const BYTES: usize = 20 << 20;
    let mut frames = Vec::new();
    for offloads in [true, false] {
        let Some(namespace) = Namespace::new("stream") else {
            return;
        };
        block_on(async {
            let tap = Tap::open_with(&namespace.interface, None, offloads).unwrap();
            namespace.set_up();
            let manager = Manager::new(platform::tokio::platform());
            let config = InterfaceConfig { addresses: vec!["192.0.2.2/24".parse().unwrap()], ..Default::default() };
            let interface = manager.mount_interface("eth0", tap, config).unwrap();
            let local = "192.0.2.2:9".parse().unwrap();
            let listener = TcpListener::bind(&manager.network(), local, ListenOptions::default()).unwrap();
            let script = format!("head -c {BYTES} /dev/zero >/dev/tcp/192.0.2.2/9");
            let mut kernel = Command::new("ip");
            let mut kernel = kernel.args(["netns", "exec", &namespace.name, "bash", "-c", &script]).spawn().unwrap();
            let (stream, _) = listener.accept().await.unwrap();
            let mut buffer = vec![1; 1 << 20];
            let mut total = 0;
            loop {
                let count = stream.read(&mut buffer).await.unwrap();
                assert!(buffer[..count].iter().all(|byte| *byte == 0));
                total += count;
                if count == 0 {
                    break;
                }
            }
            assert_eq!(total, BYTES);
            assert!(kernel.wait().unwrap().success());
            frames.push(interface.statistics().received.packets);
        });
    }
    println!("{frames:?} frames");
    if let [with, without] = frames[..] {
        // There are fewer frames than segments, because some came merged.
        let segments = (BYTES / 1460) as u64;
        assert!(with < segments && segments <= without, "{with} and {without}");
    }
}

#[test]
fn a_waiting_reader_sends_what_was_held_when_it_was_transmitted() {
    let Some(namespace) = Namespace::new("held") else {
        return;
    };
    block_on(async {
        let tap = Arc::new(Mutex::new(Tap::open(&namespace.interface, None).unwrap()));
        let (reading, polls) = (tap.clone(), Arc::new(AtomicUsize::new(0)));
        let counted = polls.clone();
        let reader = tokio::spawn(poll_fn(move |context| {
            let mut tap = reading.lock();
            let _ = tap.poll_readable(context);
            // The first poll is before the transmission.
            if counted.fetch_add(1, Ordering::SeqCst) > 0 && tap.held.is_empty() {
                Poll::Ready(())
            } else {
                Poll::Pending
            }
        }));
        while tap.lock().reader.is_none() {
            tokio::task::yield_now().await;
        }
        // The interface is down, so the frame is held.
        let mut announcement = tap.lock().allocate(NOW, 42).unwrap();
        answer_arp(&mut announcement, &[0xff; 42]);
        tap.lock().transmit(NOW, announcement).unwrap();
        assert_eq!(tap.lock().held.len(), 1);
        tokio::task::yield_now().await;
        assert_eq!(polls.load(Ordering::SeqCst), 2, "the transmission wakes the reader");
        namespace.set_up();
        reader.await.unwrap();
        assert!(tap.lock().failure.is_none());
    });
}

#[test]
fn a_frame_for_an_interface_that_is_down_waits_or_is_an_error_and_up_again_all_works() {
    let Some(namespace) = Namespace::new("down") else {
        return;
    };
    block_on(async {
        let mut tap = Tap::open(&namespace.interface, None).unwrap();
        // The interface was never up: the kernel takes nothing, and signals when it does.
        for _ in 0..HELD {
            let mut announcement = tap.allocate(NOW, 42).unwrap();
            answer_arp(&mut announcement, &[0xff; 42]);
            tap.transmit(NOW, announcement).unwrap();
        }
        assert!(tap.allocate(NOW, 42).is_none());
        tokio::task::yield_now().await;
        assert!(tap.poll_writable(&mut Context::from_waker(Waker::noop())).is_pending());
        namespace.set_up();
        poll_fn(|context| tap.poll_writable(context)).await;
        assert!(tap.held.is_empty());

        // The interface goes down while tokio believes that it is writable.
        namespace.ip(&format!("link set {} down", tap.name()));
        let frame = tap.allocate(NOW, 60).unwrap();
        let error = tap.transmit(NOW, frame).unwrap_err();
        println!("an interface that is down: {error}");
        namespace.ip(&format!("link set {} up", tap.name()));
        namespace.send_datagram("knock");
        receive(&mut tap, is_arp_request).await.unwrap();
    });
}

#[test]
fn an_mtu_that_is_asked_for_is_set() {
    let Some(namespace) = Namespace::new("mtu") else { return };
    block_on(async {
        let tap = Tap::open(&namespace.interface, Some(9000)).unwrap();
        assert_eq!(tap.capabilities().mtu, 9000);
        let kernel = std::fs::read_to_string(format!("/sys/class/net/{}/mtu", namespace.interface));
        assert_eq!(kernel.unwrap().trim(), "9000");
        let error = Tap::open(&namespace.interface, None).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::ResourceBusy, "{error}");
    });
}

#[test]
fn bad_names_bad_mtus_and_a_missing_runtime_are_errors() {
    assert!(Tap::open("tap0", None).unwrap_err().to_string().contains("tokio"));
    block_on(async {
        for name in ["", "sixteen-letters!", "a b", "a/b", "tap%d", "..", "é"] {
            assert_eq!(Tap::open(name, None).unwrap_err().kind(), io::ErrorKind::InvalidInput, "{name}");
        }
        for mtu in [0, 1279, 65522, usize::MAX] {
            assert_eq!(Tap::open("tap0", Some(mtu)).unwrap_err().kind(), io::ErrorKind::InvalidInput, "{mtu}");
        }
    });
}

/// Runs a command of iproute2 in the namespace of this process.
fn ip(arguments: &str) {
    run(Command::new("ip").args(arguments.split(' ')));
}

#[test]
fn the_link_is_up_while_the_kernels_end_is_up_and_has_carrier_whatever_its_name() {
    let Some(namespace) = Namespace::new("link") else { return };
    block_on(async {
        let name = &namespace.interface;
        let mut tap = Tap::open(name, None).unwrap();
        assert_eq!(tap.link(), Link::Down, "nobody has set it up");
        ip(&format!("link set {name} up"));
        until(&mut tap, Link::Up).await;
        ip(&format!("link set {name} carrier off"));
        until(&mut tap, Link::Down).await;
        let _ = tap.poll_readable(&mut Context::from_waker(Waker::noop()));
        assert_eq!(tap.link(), Link::Down, "it stays so");
        ip(&format!("link set {name} carrier on"));
        until(&mut tap, Link::Up).await;
        ip(&format!("link set {name} down"));
        until(&mut tap, Link::Down).await;
        ip(&format!("link set {name} name {name}x"));
        ip(&format!("link set {name}x up"));
        until(&mut tap, Link::Up).await;
        ip(&format!("link set {name}x down"));
        until(&mut tap, Link::Down).await;
        ip(&format!("link set {name}x name {name}"));

        // An interface that was set up before it is opened is up from the start, although it had no carrier.
        drop(tap);
        ip(&format!("tuntap add dev {name} mode tap"));
        ip(&format!("link set {name} up"));
        assert_eq!(Tap::open(name, None).unwrap().link(), Link::Up);
    });
}

#[test]
fn a_link_that_was_down_between_two_polls_is_reported_as_down_first() {
    let Some(namespace) = Namespace::new("blink") else {
        return;
    };
    block_on(async {
        let name = &namespace.interface;
        let mut tap = Tap::open(name, None).unwrap();
        ip(&format!("link set {name} up"));
        until(&mut tap, Link::Up).await;
        for (away, back) in [("down", "up"), ("carrier off", "carrier on")] {
            ip(&format!("link set {name} {away}"));
            ip(&format!("link set {name} {back}"));
            until(&mut tap, Link::Down).await;
            until(&mut tap, Link::Up).await;
        }
        // In another namespace, the kernel's count of carrier losses shows it.
        namespace.set_up();
        until(&mut tap, Link::Down).await;
        until(&mut tap, Link::Up).await;
        namespace.ip(&format!("link set {name} carrier off"));
        namespace.ip(&format!("link set {name} carrier on"));
        until(&mut tap, Link::Down).await;
        until(&mut tap, Link::Up).await;
    });
}

#[test]
fn messages_about_other_interfaces_and_about_a_bridge_port_do_not_change_the_link() {
    let Some(namespace) = Namespace::new("port") else { return };
    block_on(async {
        let name = &namespace.interface;
        let mut tap = Tap::open(name, None).unwrap();
        ip(&format!("link set {name} up"));
        until(&mut tap, Link::Up).await;
        let bridge = format!("{name}b");
        ip(&format!("link add {bridge} type bridge"));
        ip(&format!("link set {name} master {bridge}"));
        ip(&format!("link set {name} nomaster"));
        ip(&format!("link delete {bridge}"));
        // This is the last message of those above.
        ip(&format!("link set {name} alias last"));
        let mut seen = Vec::new();
        let _ = tokio::time::timeout(
            Duration::from_millis(200),
            poll_fn(|context| {
                while tap.poll_readable(context).is_ready() {
                    while tap.receive(NOW).unwrap().is_some() {}
                }
                seen.push(tap.link());
                Poll::<()>::Pending
            }),
        )
        .await;
        assert!(seen.iter().all(|link| *link == Link::Up), "{seen:?}");
        assert!(tap.watch.is_some());
    });
}

#[test]
fn the_kernel_is_asked_again_after_messages_were_lost() {
    let Some(namespace) = Namespace::new("flood") else {
        return;
    };
    block_on(async {
        let name = &namespace.interface;
        let mut tap = Tap::open(name, None).unwrap();
        ip(&format!("link set {name} up"));
        until(&mut tap, Link::Up).await;
        let other = format!("{name}b");
        // While an interface is down, the kernel does not report changes of its alias.
        ip(&format!("link add {other} type bridge"));
        ip(&format!("link set {other} up"));
        let commands: String = (0..1000).map(|number| format!("link set {other} alias {number}\n")).collect();
        let file = std::env::temp_dir().join(name);
        std::fs::write(&file, commands).unwrap();
        ip(&format!("-batch {}", file.display()));
        std::fs::remove_file(file).unwrap();
        // The kernel's message about this is lost.
        ip(&format!("link set {name} down"));
        ip(&format!("link delete {other}"));
        until(&mut tap, Link::Down).await;
        ip(&format!("link set {name} up"));
        until(&mut tap, Link::Up).await;
        assert!(tap.watch.is_some());
    });
}

#[test]
fn the_link_is_watched_in_another_namespace_where_its_index_is_another() {
    let Some(namespace) = Namespace::new("moved") else {
        return;
    };
    block_on(async {
        let mut tap = Tap::open(&namespace.interface, None).unwrap();
        let index = tap.device.if_index().unwrap();
        namespace.ip(&format!("link add other index {index} type bridge"));
        namespace.set_up();
        until(&mut tap, Link::Up).await;
        namespace.ip("link set other up");
        namespace.ip(&format!("link set {} carrier off", tap.name()));
        until(&mut tap, Link::Down).await;
        namespace.ip(&format!("link set {} carrier on", tap.name()));
        until(&mut tap, Link::Up).await;
        namespace.ip("link delete other");
        namespace.ip(&format!("link set {} down", tap.name()));
        until(&mut tap, Link::Down).await;
        namespace.ip(&format!("link set {} up", tap.name()));
        until(&mut tap, Link::Up).await;
        namespace.send_datagram("knock");
        receive(&mut tap, is_arp_request).await.unwrap();
        assert!(tap.watch.is_some());
    });
}

#[test]
fn a_link_that_is_not_reported_counts_as_up() {
    let (Some(first), Some(second)) = (Namespace::new("astray"), Namespace::new("further")) else {
        return;
    };
    block_on(async {
        let mut tap = Tap::open(&first.interface, None).unwrap();
        first.set_up();
        until(&mut tap, Link::Up).await;
        // Moved from another namespace to a third one: the kernel does not tell this process's namespace where.
        first.ip(&format!("link set {} netns {}", first.interface, second.name));
        poll_fn(|context| {
            while tap.watch.is_some() && tap.poll_readable(context).is_ready() {
                while tap.receive(NOW).unwrap().is_some() {}
            }
            if tap.watch.is_none() { Poll::Ready(()) } else { Poll::Pending }
        })
        .await;
        assert_eq!(tap.link(), Link::Up);
        assert!(!tap.is_gone);
    });
}
