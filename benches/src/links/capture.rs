//! A capture of the frames that the sender's end sends and receives, as a file for tcpdump and Wireshark.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;
use std::time::SystemTime;

use pcap_file::pcap::{PcapHeader, PcapPacket, PcapWriter};
use pcap_file::{DataLink, TsResolution};

/// Bytes that are stored of each frame: enough for the headers.
const SNAP: usize = 128;

/// A capture file. The link writes it, not our stack, so that the kernel's TCP can be captured in the same way.
#[derive(Debug)]
pub struct Capture(PcapWriter<BufWriter<File>>);

impl Capture {
    /// Creates the file.
    ///
    /// # Errors
    /// If the file cannot be created or written; the same holds for the other functions.
    pub fn new(path: &Path) -> io::Result<Self> {
        let header = PcapHeader {
            snaplen: SNAP as u32,
            datalink: DataLink::ETHERNET,
            ts_resolution: TsResolution::NanoSecond,
            ..PcapHeader::default()
        };
        let file = BufWriter::with_capacity(1 << 20, File::create(path)?);
        PcapWriter::with_header(file, header).map(Self).map_err(io::Error::other)
    }

    /// Records a frame with the current time.
    ///
    /// # Errors
    /// See [`new`](Self::new).
    pub fn record(&mut self, frame: &[u8]) -> io::Result<()> {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_err(io::Error::other)?;
        let packet = PcapPacket::new(now, frame.len() as u32, &frame[..frame.len().min(SNAP)]);
        self.0.write_packet(&packet).map(drop).map_err(io::Error::other)
    }

    /// Writes the buffered rest of the file.
    ///
    /// # Errors
    /// See [`new`](Self::new).
    pub fn finish(self) -> io::Result<()> {
        self.0.into_writer().flush()
    }
}
