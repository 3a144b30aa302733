//! What the sender's end sends and gets, as a file for tcpdump and Wireshark.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;
use std::time::SystemTime;

use pcap_file::pcap::{PcapHeader, PcapPacket, PcapWriter};
use pcap_file::{DataLink, TsResolution};

/// Of each frame the headers are kept.
const SNAP: usize = 128;

/// A capture file. It is the link's and not our stack's, so that the kernel's TCP can be looked at beside it.
#[derive(Debug)]
pub struct Capture(PcapWriter<BufWriter<File>>);

impl Capture {
    /// Makes the file.
    ///
    /// # Errors
    /// If it cannot be made; so for the others.
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

    /// Records a frame as of now.
    ///
    /// # Errors
    /// See [`new`](Self::new).
    pub fn record(&mut self, frame: &[u8]) -> io::Result<()> {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_err(io::Error::other)?;
        let packet = PcapPacket::new(now, frame.len() as u32, &frame[..frame.len().min(SNAP)]);
        self.0.write_packet(&packet).map(drop).map_err(io::Error::other)
    }

    /// Writes the rest.
    ///
    /// # Errors
    /// See [`new`](Self::new).
    pub fn finish(self) -> io::Result<()> {
        self.0.into_writer().flush()
    }
}
