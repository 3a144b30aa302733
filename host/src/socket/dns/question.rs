//! A query as it is on the wire, and the check whether a message answers it (RFC 5452 section 9.1).
//!
//! The case of each letter in the name is random, and a server returns the name as it was sent. So an attacker has to
//! guess one more bit for each letter, beside the identifier and the source port of the query
//! (draft-vixie-dnsext-dns0x20). Therefore octets are compared here, not names.

use core::ops::Range;

use hickory_proto::ProtoError;
use hickory_proto::op::{Edns, Message, MessageType, OpCode, Query};
use hickory_proto::serialize::binary::DecodeError;

use crate::platform::Random;

/// Response codes (RFC 1035 section 4.1.1).
const FORMAT_ERROR: u8 = 1;
const SERVER_FAILURE: u8 = 2;
const NOT_IMPLEMENTED: u8 = 4;
const REFUSED: u8 = 5;

/// The octets of a message's header (RFC 1035 section 4.1.1).
const HEADER: usize = 12;

/// The octets of a question's type and class.
const TYPE_AND_CLASS: usize = 4;

/// The maximum size of an answer by UDP that the query allows: it passes any IPv6 link without fragments.
const UDP_PAYLOAD: u16 = 1232;

/// A query message with one question.
pub(super) struct Question {
    message: Vec<u8>,
    /// The name in wire format, in the case in which the caller gave it.
    name: Vec<u8>,
}

/// How a received message fits a query.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fit {
    /// It has the identifier and the question of the query, with the same case of letters. Or it has the identifier and
    /// is a header alone with an error code: the server could not read the query.
    Exact,
    /// The same, but the case of letters differs: the server does not preserve it, or the message is forged.
    OtherCase,
    /// It does not belong to the query.
    None,
}

/// The cause why a message that fits the query is not an answer.
#[derive(Debug, thiserror::Error)]
pub(super) enum ReadError {
    /// It is incomplete: it is marked as truncated, ends too early, or cannot be decoded.
    #[error("the answer is cut off or cannot be read")]
    Cut(#[source] Option<DecodeError>),
    /// It is not a response to a standard query.
    #[error("the message is no response")]
    NoResponse,
}

impl Question {
    /// A query with a random identifier and a random case of letters, with EDNS (RFC 6891) if `extended`.
    ///
    /// # Errors
    /// The name cannot be encoded.
    pub(super) fn new(query: &Query, extended: bool, random: &dyn Random) -> Result<Self, ProtoError> {
        // An identifier, and one bit for each letter of the longest name.
        let (mut id, mut cases) = ([0; 2], [0; 32]);
        random.fill(&mut id);
        random.fill(&mut cases);
        let mut message = Message::new(u16::from_be_bytes(id), MessageType::Query, OpCode::Query);
        message.metadata.recursion_desired = true;
        message.add_query(query.clone());
        message.edns = extended.then(|| {
            let mut edns = Edns::new();
            edns.set_max_payload(UDP_PAYLOAD);
            edns
        });
        let mut message = message.to_vec()?;
        let length = name_length(&message[HEADER..]);
        let name = message[HEADER..HEADER + length].to_vec();
        mix_cases(&mut message[HEADER..HEADER + length], &cases);
        Ok(Self { message, name })
    }

    /// The message.
    pub(super) fn octets(&self) -> &[u8] {
        &self.message
    }

    /// How a message fits this query. Only its header and question are examined.
    pub(super) fn fit(&self, message: &[u8]) -> Fit {
        let (Some(own), Some(header)) = (self.message.get(..HEADER), message.get(..HEADER)) else { return Fit::None };
        if header[..2] != own[..2] {
            return Fit::None;
        }
        // RFC 6891 section 7 describes such servers: they do not repeat a question that they cannot read. A server that
        // says more of the name (NXDOMAIN) has read it, and repeats it in its case.
        const UNREAD: [u8; 4] = [FORMAT_ERROR, SERVER_FAILURE, NOT_IMPLEMENTED, REFUSED];
        if UNREAD.contains(&(header[3] & 0xf)) && message.len() == HEADER && header[4..] == [0; 8] {
            return Fit::Exact;
        }
        let name = self.name_range();
        let rest = name.end..name.end + TYPE_AND_CLASS;
        let (Some(told), Some(asked)) = (message.get(name.clone()), self.message.get(name)) else { return Fit::None };
        if header[4..6] != own[4..6] || message.get(rest.clone()) != self.message.get(rest) {
            Fit::None
        } else if told == asked {
            Fit::Exact
        } else if told.eq_ignore_ascii_case(asked) {
            Fit::OtherCase
        } else {
            Fit::None
        }
    }

    /// Decodes a message that fits. Names in it that are compressed to references to the question's name get the case
    /// in which the caller gave that name.
    ///
    /// # Errors
    /// See [`ReadError`].
    pub(super) fn read(&self, message: &mut [u8]) -> Result<Message, ReadError> {
        let flags = message.get(2).copied().unwrap_or_default();
        let (is_response, operation, is_truncated) = (flags & 0x80 != 0, flags >> 3 & 0xf, flags & 0x02 != 0);
        if !is_response || operation != u8::from(OpCode::Query) {
            return Err(ReadError::NoResponse);
        }
        if is_truncated {
            return Err(ReadError::Cut(None));
        }
        if let Some(told) = message.get_mut(self.name_range()) {
            told.copy_from_slice(&self.name);
        }
        Message::from_vec(message).map_err(|error| ReadError::Cut(Some(error)))
    }

    /// The position of the name in this message, and in one that fits.
    fn name_range(&self) -> Range<usize> {
        HEADER..HEADER + self.name.len()
    }
}

/// The length of the name at the start of `octets`, in octets.
fn name_length(octets: &[u8]) -> usize {
    let mut place = 0;
    while let Some(label) = octets.get(place).copied().filter(|label| *label != 0) {
        place += 1 + usize::from(label);
    }
    place + 1
}

/// Inverts the case of each letter of a name whose bit in `cases` is set. The lengths of labels are below 64, so they
/// are not letters.
fn mix_cases(name: &mut [u8], cases: &[u8; 32]) {
    let bits = cases.iter().flat_map(|octet| (0..8).map(move |bit| octet >> bit & 1 != 0));
    for (octet, _) in name.iter_mut().zip(bits).filter(|(octet, bit)| *bit && octet.is_ascii_alphabetic()) {
        *octet ^= 0x20;
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use hickory_proto::op::ResponseCode;
    use hickory_proto::rr::{Name, RecordType};

    use super::*;

    /// Returns the octets that it is made of, again and again.
    struct Fixed(Mutex<core::iter::Cycle<std::vec::IntoIter<u8>>>);

    impl Fixed {
        fn of(octets: &[u8]) -> Self {
            let octets: Vec<u8> = octets.into();
            Self(Mutex::new(octets.into_iter().cycle()))
        }
    }

    impl Random for Fixed {
        fn fill(&self, bytes: &mut [u8]) {
            let mut octets = self.0.lock().unwrap_or_else(|error| panic!("{error}"));
            bytes.iter_mut().zip(&mut *octets).for_each(|(byte, octet)| *byte = octet);
        }
    }

    fn query(name: &str) -> Query {
        let name = Name::from_ascii(name).unwrap_or_else(|error| panic!("{name}: {error}"));
        Query::query(name, RecordType::AAAA)
    }

    fn question(name: &str, chance: u8) -> Question {
        Question::new(&query(name), true, &Fixed::of(&[chance])).unwrap_or_else(|error| panic!("{name}: {error}"))
    }

    /// The answer of a server that returns the question as it was sent.
    fn answer(question: &Question) -> Vec<u8> {
        let mut answer = question.octets().to_vec();
        answer[2] |= 0x80;
        answer
    }

    #[test]
    fn the_case_of_letters_is_random_and_nothing_else_changes() {
        // The bits begin at the length octet of the first label.
        for (chance, name) in [(0, "www.Example-1.test."), (0xff, "WWW.eXAMPLE-1.TEST."), (0x55, "wWw.EXaMpLe-1.tEsT.")]
        {
            let question = question("www.Example-1.test.", chance);
            let sent = Message::from_vec(question.octets()).unwrap_or_else(|error| panic!("{error}"));
            assert_eq!(sent.queries[0].name().to_ascii(), name);
            assert_eq!(sent.id, u16::from_be_bytes([chance; 2]));
            assert_eq!(sent.queries[0].query_type(), RecordType::AAAA);
            assert_eq!(sent.edns.map(|edns| edns.max_payload()), Some(UDP_PAYLOAD));
        }
    }

    #[test]
    fn the_longest_name_has_a_bit_for_each_letter() {
        let longest = format!("{}.{}.", ["a".repeat(63), "b".repeat(63), "c".repeat(63)].join("."), "d".repeat(61));
        let sent = question(&longest, 0xff);
        let letters = sent.octets()[sent.name_range()].iter().filter(|octet| octet.is_ascii_uppercase());
        assert_eq!((sent.name.len(), letters.count()), (255, 250));
        assert_eq!(sent.fit(&answer(&sent)), Fit::Exact);
        assert_eq!(question(".", 0xff).name, [0]);
    }

    #[test]
    fn an_answer_fits_letter_by_letter() {
        let question = question("www.example.", 0x55);
        let right = answer(&question);
        assert_eq!(question.fit(&right), Fit::Exact);
        let changed = |place: usize, value: u8| {
            let mut message = right.clone();
            message[place] ^= value;
            question.fit(&message)
        };
        assert_eq!(changed(HEADER + 1, 0x20), Fit::OtherCase);
        assert_eq!((changed(0, 1), changed(1, 0x80)), (Fit::None, Fit::None), "identifiers");
        assert_eq!(changed(5, 2), Fit::None, "three questions");
        assert_eq!(changed(HEADER + 1, 1), Fit::None, "a name");
        assert_eq!(changed(HEADER + question.name.len() + 1, 1), Fit::None, "a type");
        // The number of the type HTTPS, 65, is also the code of a capital letter.
        assert_eq!(changed(HEADER + question.name.len() + 1, 0x20), Fit::None, "a type's case");
        assert_eq!(changed(HEADER + question.name.len() + 3, 1), Fit::None, "a class");
        for length in 0..HEADER + question.name.len() + TYPE_AND_CLASS {
            assert_eq!(question.fit(&right[..length]), Fit::None, "{length}");
        }
    }

    #[test]
    fn a_header_alone_is_accepted_only_with_an_error_code() {
        let question = question("www.example.", 0);
        let mut header = answer(&question)[..HEADER].to_vec();
        header[4..].fill(0);
        assert_eq!(question.fit(&header), Fit::None);
        header[3] |= 1;
        assert_eq!(question.fit(&header), Fit::Exact);
        let code = question.read(&mut header).map(|message| message.response_code);
        assert_eq!(code.unwrap_or_else(|error| panic!("{error}")), ResponseCode::FormErr);
        for (code, fit) in [(2, Fit::Exact), (3, Fit::None), (4, Fit::Exact), (5, Fit::Exact), (9, Fit::None)] {
            header[3] = header[3] & 0xf0 | code;
            assert_eq!(question.fit(&header), fit, "{code}");
        }
        header[3] = header[3] & 0xf0 | FORMAT_ERROR;
        header[0] ^= 1;
        assert_eq!(question.fit(&header), Fit::None);
    }

    #[test]
    fn names_that_refer_to_the_question_are_in_the_case_that_was_asked_for() {
        let question = question("www.Example.", 0xff);
        let mut message = answer(&question);
        // An address of the question's name, in place of the extension.
        (message[7], message[11]) = (1, 0);
        message.truncate(HEADER + question.name.len() + TYPE_AND_CLASS);
        message.extend([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, 192, 0, 2, 1]);
        let read = question.read(&mut message).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(read.answers[0].name.to_ascii(), "www.Example.");
    }

    #[test]
    fn a_truncated_answer_is_distinguished_from_a_message_that_is_no_response() {
        let question = question("www.example.", 0);
        let mut message = answer(&question);
        assert!(question.read(&mut message).is_ok());
        message[7] = 1;
        assert!(matches!(question.read(&mut message), Err(ReadError::Cut(Some(_)))), "a record is missing");
        message[7] = 0;
        message[2] |= 2;
        assert!(matches!(question.read(&mut message), Err(ReadError::Cut(None))), "it says so");
        assert!(matches!(question.read(&mut question.octets().to_vec()), Err(ReadError::NoResponse)), "a query");
        message[2] |= 0x20;
        assert!(matches!(question.read(&mut message), Err(ReadError::NoResponse)), "another operation");
    }
}
