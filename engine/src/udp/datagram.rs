//! UDP datagrams (RFC 768): parsing and emitting.

use core::net::{IpAddr, SocketAddr};

use smoltcp::wire::IpProtocol;
use thiserror::Error;

use crate::buffer::Payload;
use crate::ip::output::Checksums;
use crate::wire::transport_checksum;

#[cfg(test)]
mod tests;

/// Bytes of a UDP header.
pub const HEADER: usize = 8;

/// The longest payload in bytes to a destination of each family: limited by the IPv4 total length field (RFC 791
/// section 3.1), or by the UDP length field (RFC 768). Jumbograms (RFC 2675) are not supported.
#[must_use]
pub const fn longest_payload(destination: IpAddr) -> usize {
    match destination {
        IpAddr::V4(_) => 65_535 - crate::wire::IPV4_HEADER - HEADER,
        IpAddr::V6(_) => 65_535 - HEADER,
    }
}

/// A parsed datagram.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Received<'a> {
    /// The source. Its port is 0 if no answer is expected. An IPv6 address has no scope yet, because only the caller
    /// knows the interface.
    pub source: SocketAddr,
    /// The destination.
    pub destination: SocketAddr,
    /// The payload. It begins [`HEADER`] bytes after the start of the parsed bytes.
    pub payload: &'a [u8],
}

/// Why a received datagram is dropped silently.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum Malformed {
    /// It is shorter than its header.
    #[error("there is no whole header")]
    Short,
    /// Its length field is greater than its actual length, or less than the header.
    #[error("the length is wrong")]
    Length,
    /// The checksum is wrong (RFC 1122 section 4.1.3.4).
    #[error("the checksum is wrong")]
    Checksum,
    /// It is an IPv6 datagram without a checksum. Without one, a damaged address would not be detected (RFC 8200
    /// section 8.1).
    #[error("there is no checksum")]
    NoChecksum,
    /// Its destination port is 0, which no socket has.
    #[error("the destination port is 0")]
    NoPort,
    /// The addresses are not of one family.
    #[error("the addresses are not of one family")]
    Families,
}

/// Parses a datagram. `segment` is the payload of an IP packet between these addresses. Bytes beyond the datagram's
/// length field are padding. `verify` says whether to verify the checksum: it is false if the device has verified it or
/// nobody needs to.
///
/// # Errors
/// See [`Malformed`].
pub fn read(source: IpAddr, destination: IpAddr, segment: &[u8], verify: bool) -> Result<Received<'_>, Malformed> {
    if source.is_ipv4() != destination.is_ipv4() {
        return Err(Malformed::Families);
    }
    let (header, _) = segment.split_first_chunk::<HEADER>().ok_or(Malformed::Short)?;
    let [source_port, destination_port, length, checksum] = fields(header);
    let segment = segment.get(..usize::from(length)).ok_or(Malformed::Length)?;
    let payload = segment.get(HEADER..).ok_or(Malformed::Length)?;
    if verify && checksum == 0 && source.is_ipv6() {
        return Err(Malformed::NoChecksum);
    }
    let is_right =
        || transport_checksum(source, destination, IpProtocol::Udp, segment.len(), core::iter::once(segment)) == 0;
    if verify && checksum != 0 && !is_right() {
        return Err(Malformed::Checksum);
    }
    if destination_port == 0 {
        return Err(Malformed::NoPort);
    }
    let [source, destination] =
        [(source, source_port), (destination, destination_port)].map(|(address, port)| SocketAddr::new(address, port));
    Ok(Received { source, destination, payload })
}

/// Why a datagram cannot be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum WriteError {
    /// The payload is longer than [`longest_payload`].
    #[error("the payload is too long")]
    TooLong,
    /// The buffer is too small for the datagram.
    #[error("there is no room")]
    NoRoom,
    /// The addresses are not of one family.
    #[error("the addresses are not of one family")]
    Families,
}

/// The header of a datagram. With [`Checksums::None`] the checksum is 0, which only a receiver that does not verify it
/// accepts over IPv6. With [`Checksums::Partial`] the device completes the checksum, of every datagram if it splits a
/// [batch](super::batch).
///
/// # Errors
/// See [`WriteError`]; `NoRoom` does not occur.
pub fn header(
    source: SocketAddr,
    destination: SocketAddr,
    payload: Payload<'_>,
    checksums: Checksums,
) -> Result<[u8; HEADER], WriteError> {
    let (from, to) = (source.ip(), destination.ip());
    if from.is_ipv4() != to.is_ipv4() {
        return Err(WriteError::Families);
    }
    if payload.len() > longest_payload(to) {
        return Err(WriteError::TooLong);
    }
    let length = HEADER + payload.len();
    let field = u16::try_from(length).map_err(|_| WriteError::TooLong)?;
    let fields = [source.port(), destination.port(), field, 0];
    let checksum = match checksums {
        Checksums::None => 0,
        Checksums::Partial => !transport_checksum(from, to, IpProtocol::Udp, length, core::iter::empty()),
        Checksums::All => {
            let head = bytes(fields);
            let parts = core::iter::once(&head[..]).chain(payload.chunks());
            // A checksum field of 0 would mean that there is none (RFC 768).
            match transport_checksum(from, to, IpProtocol::Udp, length, parts) {
                0 => u16::MAX,
                checksum => checksum,
            }
        }
    };
    let [source, destination, length, _] = fields;
    Ok(bytes([source, destination, length, checksum]))
}

/// Writes a datagram with its [header] into the beginning of a buffer. Returns its length in bytes.
///
/// # Errors
/// See [`WriteError`]; the buffer is not changed then.
pub fn write(
    source: SocketAddr,
    destination: SocketAddr,
    payload: Payload<'_>,
    checksums: Checksums,
    into: &mut [u8],
) -> Result<usize, WriteError> {
    let header = header(source, destination, payload, checksums)?;
    let length = HEADER + payload.len();
    let mut rest = into.get_mut(..length).ok_or(WriteError::NoRoom)?;
    for part in core::iter::once(&header[..]).chain(payload.chunks()) {
        let (place, behind) = rest.split_at_mut_checked(part.len()).ok_or(WriteError::NoRoom)?;
        place.copy_from_slice(part);
        rest = behind;
    }
    Ok(length)
}

fn fields(header: &[u8; HEADER]) -> [u16; 4] {
    let [a, b, c, d, e, f, g, h] = *header;
    [[a, b], [c, d], [e, f], [g, h]].map(u16::from_be_bytes)
}

fn bytes(fields: [u16; 4]) -> [u8; HEADER] {
    let [[a, b], [c, d], [e, f], [g, h]] = fields.map(u16::to_be_bytes);
    [a, b, c, d, e, f, g, h]
}
