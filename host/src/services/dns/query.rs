//! What a server reads of a query.

use hickory_proto::op::{Edns, Message};

use super::respond::HEADER;

/// The bytes of a question's type and class.
const TYPE_AND_CLASS: usize = 4;
/// The type of the record that extends a message, and its bit for DNSSEC (RFC 6891 section 6.1).
const OPT: u16 = 41;
const DNSSEC_OK: u8 = 0x80;
/// The section of additional records, of the three after the question.
const ADDITIONAL: usize = 2;

/// Reads a query: its header, its only question, and what its OPT record says. Everything else is passed over, because
/// the server does nothing by it: that concerns the contents of options, too (RFC 6891 section 6.1.2).
///
/// # Errors
/// A message that is malformed: what could be read of it, which is its question and whether it is extended. `None` if
/// that is not the case for the question either.
pub(super) fn read(message: &[u8]) -> Result<Message, Option<Box<Message>>> {
    let mut query = question(message).ok_or(None)?;
    let mut is_extended = false;
    match extension(message, &mut is_extended) {
        Some(edns) => {
            query.edns = edns;
            Ok(query)
        }
        None => {
            query.edns = is_extended.then(Edns::new);
            Err(Some(Box::new(query)))
        }
    }
}

/// The end of the only question of a query, whose name is not compressed: there is nothing before it to refer to.
pub(super) fn question_end(message: &[u8]) -> Option<usize> {
    let mut place = HEADER;
    loop {
        match usize::from(*message.get(place)?) {
            0 => break,
            length @ 1..=63 => place += 1 + length,
            _ => return None,
        }
    }
    let end = place + 1 + TYPE_AND_CLASS;
    (end <= message.len()).then_some(end)
}

/// The header and the question of a message that has one.
fn question(message: &[u8]) -> Option<Message> {
    let mut alone = message.get(..question_end(message)?)?.to_vec();
    alone.get_mut(6..HEADER)?.fill(0);
    Message::from_vec(&alone).ok().filter(|query| query.queries.len() == 1)
}

/// What the OPT record of a message says, if there is one. `None` if the message is malformed; `is_extended` says whether
/// there was such a record before.
fn extension(message: &[u8], is_extended: &mut bool) -> Option<Option<Edns>> {
    let mut edns = None;
    let mut rest = message.get(question_end(message)?..)?;
    for (section, at) in [6, 8, 10].into_iter().enumerate() {
        for _ in 0..u16::from_be_bytes(*message.get(at..)?.first_chunk()?) {
            let is_root = rest.first() == Some(&0);
            rest = after_name(rest)?;
            let (&[kind, more, size, less, _, version, flags, _, long, short], data) = rest.split_first_chunk()?;
            if u16::from_be_bytes([kind, more]) == OPT {
                *is_extended = true;
                if section != ADDITIONAL || !is_root || edns.is_some() {
                    return None;
                }
                let mut told = Edns::new();
                told.set_max_payload(u16::from_be_bytes([size, less]));
                told.set_version(version);
                told.set_dnssec_ok(flags & DNSSEC_OK != 0);
                edns = Some(told);
            }
            rest = data.get(usize::from(u16::from_be_bytes([long, short]))..)?;
        }
    }
    Some(edns)
}

/// What comes after a name, which may be compressed.
fn after_name(mut rest: &[u8]) -> Option<&[u8]> {
    loop {
        let (length, behind) = rest.split_first()?;
        match length {
            0 => return Some(behind),
            1..=63 => rest = behind.get(usize::from(*length)..)?,
            0xc0..=0xff => return behind.get(1..),
            _ => return None,
        }
    }
}
