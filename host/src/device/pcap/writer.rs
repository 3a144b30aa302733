//! The writer of capture files.

use core::time::Duration;
use std::io::{self, BufWriter, Write};
use std::sync::Arc;
use std::time::SystemTime;

use parking_lot::Mutex;
use pcap_file::pcap::{PcapHeader, PcapPacket, PcapWriter};
use pcap_file::{DataLink, Endianness, PcapError, TsResolution};
use xila_network_engine::ip::segmentation::complete_checksum;

use crate::device::{Capabilities, ETHERNET_HEADER, Frame, Medium};
use crate::platform::Instant;

/// The maximum number of buffered bytes.
const BUFFER: usize = 64 * 1024;

/// The maximum length of an Ethernet frame with an IP packet.
const LONGEST: usize = 65535 + ETHERNET_HEADER;

/// A frame may carry an 802.1Q tag beyond the device's own header.
const VLAN_TAG: usize = 4;

type Output = BufWriter<Box<dyn Write + Send>>;

pub(super) struct CaptureWriter {
    records: PcapWriter<Shared>,
    output: Arc<Mutex<Output>>,
    /// The wall clock's time since 1970 at the origin of the monotonic clock. `None` until the first frame if it is to
    /// be read from the wall clock.
    origin: Option<Duration>,
    /// The buffer in which the parts of a frame are put together.
    whole: Vec<u8>,
    /// The offset of the IP packet in a frame.
    ip: usize,
}

/// A shared writer: `PcapWriter` owns its writer and does not give access to it, but it must be flushed.
struct Shared(Arc<Mutex<Output>>);

impl Write for Shared {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.lock().flush()
    }
}

impl CaptureWriter {
    pub(super) fn new(
        capabilities: &Capabilities,
        writer: Box<dyn Write + Send>,
        origin: Option<Duration>,
    ) -> io::Result<Self> {
        let output = Arc::new(Mutex::new(BufWriter::with_capacity(BUFFER, writer)));
        let header = PcapHeader {
            version_major: 2,
            version_minor: 4,
            ts_correction: 0,
            ts_accuracy: 0,
            // A frame may have the data of several segments, and so exceed the MTU.
            snaplen: u32::try_from(capabilities.frame_length().max(LONGEST) + VLAN_TAG).unwrap_or(u32::MAX),
            datalink: match capabilities.medium {
                Medium::Ethernet => DataLink::ETHERNET,
                Medium::Ip => DataLink::RAW,
            },
            ts_resolution: TsResolution::NanoSecond,
            endianness: Endianness::native(),
        };
        let records = PcapWriter::with_header(Shared(output.clone()), header).map_err(into_io)?;
        output.lock().flush()?;
        let ip = capabilities.frame_length() - capabilities.mtu;
        Ok(Self { records, output, origin, whole: Vec::new(), ip })
    }

    pub(super) fn record(&mut self, now: Instant, frame: &Frame) -> io::Result<()> {
        let origin = *self.origin.get_or_insert_with(|| {
            // A wall clock before 1970 does not prevent capturing.
            let calendar = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
            calendar.saturating_sub(now.since_origin())
        });
        let timestamp = origin.saturating_add(now.since_origin());
        let length = u32::try_from(frame.len()).map_err(io::Error::other)?;
        self.whole.resize(frame.len(), 0);
        frame.copy_to(&mut self.whole);
        if frame.is_unchecked() {
            // A reader of the file would take the packet for damaged.
            complete_checksum(self.whole.get_mut(self.ip..).unwrap_or_default(), &[]);
        }
        self.records.write_packet(&PcapPacket::new(timestamp, length, &self.whole)).map(drop).map_err(into_io)
    }

    pub(super) fn flush(&mut self) -> io::Result<()> {
        self.output.lock().flush()
    }
}

impl Drop for CaptureWriter {
    fn drop(&mut self) {
        if let Err(error) = self.flush() {
            tracing::warn!(%error, "the end of a packet capture is lost");
        }
    }
}

fn into_io(error: PcapError) -> io::Error {
    match error {
        PcapError::IoError(error) => error,
        other => io::Error::other(other),
    }
}
