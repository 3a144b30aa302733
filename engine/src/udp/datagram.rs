//! UDP datagrams as they are on the wire (RFC 768): one parse for those that arrive, one emit for those that leave.

use core::net::{IpAddr, SocketAddr};

use smoltcp::wire::IpProtocol;
use thiserror::Error;

use crate::buffer::Payload;
use crate::ip::output::Checksums;
use crate::wire::transport_checksum;

#[cfg(test)]
mod tests;

/// Bytes of the header.
pub const HEADER: usize = 8;

/// The longest payload in bytes to an address of each family: what the length of an IPv4 packet has room for (RFC 791
/// section 3.1), and what that of a datagram has (RFC 768). Larger ones, jumbograms (RFC 2675), are not sent nor taken.
#[must_use]
pub const fn longest_payload(destination: IpAddr) -> usize {
    match destination {
        IpAddr::V4(_) => 65_535 - crate::wire::IPV4_HEADER - HEADER,
        IpAddr::V6(_) => 65_535 - HEADER,
    }
}

/// A datagram that was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Received<'a> {
    /// Who sent it. The port is 0 where no answer is expected. An IPv6 address has no scope yet: the interface is the
    /// caller's to know.
    pub source: SocketAddr,
    /// Whom it is for.
    pub destination: SocketAddr,
    /// What it carries. It lies [`HEADER`] bytes behind the begin of what was read.
    pub payload: &'a [u8],
}

/// Why a datagram that arrived is dropped, without an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum Malformed {
    /// There is not even a header.
    #[error("there is no whole header")]
    Short,
    /// It says that it is longer than what there is of it, or shorter than its header.
    #[error("the length is wrong")]
    Length,
    /// The checksum is another one (RFC 1122 section 4.1.3.4).
    #[error("the checksum is wrong")]
    Checksum,
    /// It came over IPv6 and says that it has no checksum, without which a damaged address would not be noticed (RFC
    /// 8200 section 8.1).
    #[error("there is no checksum")]
    NoChecksum,
    /// It is for port 0, which nobody has.
    #[error("the destination port is 0")]
    NoPort,
    /// The addresses are not of one family.
    #[error("the addresses are not of one family")]
    Families,
}

/// Reads a datagram: `segment` is what an IP packet between these addresses carries. What lies behind the length that
/// the datagram tells is padding. `verify` says whether the checksum is to be looked at: it is not where a device or
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
    /// The payload is [longer than any](longest_payload).
    #[error("the payload is too long")]
    TooLong,
    /// There is less room than the datagram takes.
    #[error("there is no room")]
    NoRoom,
    /// The addresses are not of one family.
    #[error("the addresses are not of one family")]
    Families,
}

/// The header of a datagram. With [`Checksums::None`] it has no checksum, which only a receiver that does not verify
/// takes over IPv6; with [`Checksums::Partial`] a device is to do the rest, also for each datagram that it cuts a
/// [batch](super::batch) into.
///
/// # Errors
/// See [`WriteError`]; room is not needed.
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
            // 0 would say that there is none (RFC 768).
            match transport_checksum(from, to, IpProtocol::Udp, length, parts) {
                0 => u16::MAX,
                checksum => checksum,
            }
        }
    };
    let [source, destination, length, _] = fields;
    Ok(bytes([source, destination, length, checksum]))
}

/// Writes a datagram, with a [header] as `checksums` says, to the begin of a buffer; how many bytes it has.
///
/// # Errors
/// See [`WriteError`]; the buffer is as it was then.
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
