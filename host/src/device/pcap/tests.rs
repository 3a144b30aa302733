//! Tests that read captures back.

use core::task::Waker;
use core::time::Duration;
use std::sync::Arc;

use parking_lot::Mutex;
use pcap_file::DataLink;
use pcap_file::pcap::PcapReader;

use super::*;
use crate::device::hub::{Hub, HubOptions};
use crate::device::loopback::Loopback;
use crate::platform::simulated::Simulation;

/// A file in memory that fails once it holds `most` bytes.
#[derive(Clone)]
struct File {
    bytes: Arc<Mutex<Vec<u8>>>,
    most: usize,
}

impl File {
    fn new(most: usize) -> Self {
        Self { bytes: Arc::default(), most }
    }
}

impl Write for File {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut written = self.bytes.lock();
        if written.len() + bytes.len() > self.most {
            return Err(io::ErrorKind::StorageFull.into());
        }
        written.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn send(device: &mut impl Device, now: Instant, length: usize, mark: u8) {
    let mut frame = device.allocate(now, length).unwrap();
    frame[..12].fill(0xff);
    frame[length - 1] = mark;
    device.transmit(now, frame).unwrap();
}

/// The link type, and the time, length and last byte of each frame.
fn read(file: &File) -> (DataLink, Vec<(Duration, usize, u8)>) {
    let bytes = file.bytes.lock().clone();
    let mut reader = PcapReader::new(&bytes[..]).unwrap();
    let link = reader.header().datalink;
    let mut frames = Vec::new();
    while let Some(packet) = reader.next_packet() {
        let packet = packet.unwrap();
        assert_eq!(packet.orig_len as usize, packet.data.len());
        frames.push((packet.timestamp, packet.data.len(), packet.data[packet.data.len() - 1]));
    }
    (link, frames)
}

#[test]
fn both_directions_are_captured_with_the_distances_in_time_kept() {
    let simulation = Simulation::new(0);
    let hub = Hub::new(&simulation.platform(), HubOptions::default());
    let file = File::new(usize::MAX);
    let (mut near, mut far) = (Pcap::new(hub.port(), file.clone()).unwrap(), hub.port());
    send(&mut near, simulation.now(), 60, 1);
    simulation.advance(Duration::from_nanos(1_500_000_123));
    send(&mut far, simulation.now(), 1514, 2);
    assert_eq!(near.receive(simulation.now()).unwrap().unwrap().len(), 1514);
    drop(near);
    let (link, frames) = read(&file);
    assert_eq!(link, DataLink::ETHERNET);
    let [(first, 60, 1), (second, 1514, 2)] = frames[..] else { panic!("{frames:?}") };
    assert_eq!(second - first, Duration::from_nanos(1_500_000_123));
    let calendar = std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap();
    assert!(calendar.saturating_sub(first) < Duration::from_secs(60));
}

#[test]
fn a_loopback_frame_is_captured_once_as_raw_ip_and_flushed_when_the_burst_ends() {
    let file = File::new(usize::MAX);
    let mut device = Pcap::new(Loopback::new(), file.clone()).unwrap();
    assert_eq!(file.bytes.lock().len(), 24, "the header is there at once");
    send(&mut device, Instant::ORIGIN, 65535, 1);
    device.receive(Instant::ORIGIN).unwrap().unwrap();
    assert!(device.poll_readable(&mut Context::from_waker(Waker::noop())).is_pending());
    let (link, frames) = read(&file);
    assert_eq!((link, frames.len(), frames[0].1), (DataLink::RAW, 1, 65535));
    let (_, result) = device.finish();
    result.unwrap();
}

#[test]
fn a_failed_write_ends_the_capture_and_not_the_device() {
    let mut device = Pcap::new(Loopback::new(), File::new(100)).unwrap();
    for _ in 0..2 {
        send(&mut device, Instant::ORIGIN, 200, 1);
        assert_eq!(device.receive(Instant::ORIGIN).unwrap().unwrap().len(), 200);
        assert!(device.poll_readable(&mut Context::from_waker(Waker::noop())).is_pending());
    }
    assert_eq!(device.failure().unwrap().kind(), io::ErrorKind::StorageFull);
    assert_eq!(device.finish().1.unwrap_err().kind(), io::ErrorKind::StorageFull);
}

#[test]
fn a_header_that_cannot_be_written_is_an_error() {
    assert_eq!(Pcap::new(Loopback::new(), File::new(10)).unwrap_err().kind(), io::ErrorKind::StorageFull);
}
