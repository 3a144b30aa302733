//! The records of answers: following CNAME records, and conversion to this crate's types.

use core::net::IpAddr;

use hickory_proto::op::{Message, ResponseCode};
use hickory_proto::rr::rdata::NULL;
use hickory_proto::rr::{self, DNSClass, Name, RData, RecordType};
use hickory_proto::serialize::binary::{BinEncodable, BinEncoder, NameEncoding};

use super::{Record, RecordData, ResolveError};

/// The maximum number of CNAME records of one answer that are followed, since they may form a loop.
const MOST_LINKS: usize = 16;

/// The place where the CNAME records of an answer lead.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Followed {
    /// To the requested records.
    Found,
    /// To another name, about which the answer has no records.
    Elsewhere(Name),
}

/// Adds to `found` the requested records of `name` in an answer and the CNAME records that lead to them. Other records
/// are ignored, because nobody asked for them (RFC 5452 section 6).
pub(super) fn follow(
    message: &Message,
    name: &Name,
    record_type: RecordType,
    found: &mut Vec<rr::Record>,
) -> Result<Followed, ResolveError> {
    let mut owner = name;
    for link in 0..=MOST_LINKS {
        let own = || message.answers.iter().filter(|record| record.dns_class == DNSClass::IN && record.name == *owner);
        let before = found.len();
        found.extend(own().filter(|record| record_type.is_any() || record.record_type() == record_type).cloned());
        if found.len() > before {
            return Ok(Followed::Found);
        }
        let alias = own().find_map(|record| match &record.data {
            RData::CNAME(target) => Some((record, &target.0)),
            _ => None,
        });
        match alias {
            Some((record, target)) => {
                found.push(record.clone());
                owner = target;
            }
            None if message.response_code == ResponseCode::NXDomain => return Err(ResolveError::NameNotFound),
            // With an SOA record, the server knows the zone, and so knows that there are no such records.
            None if link == 0 || message.authorities.iter().any(|record| record.record_type().is_soa()) => {
                return Err(ResolveError::NoRecords);
            }
            None => return Ok(Followed::Elsewhere(owner.clone())),
        }
    }
    Err(ResolveError::ServerFailure)
}

/// The time to live of a negative answer in seconds: the lesser of the minimum in the zone's SOA record and the time to
/// live of that record (RFC 2308 section 5).
pub(super) fn negative_ttl(message: &Message) -> Option<u32> {
    message.authorities.iter().find_map(|record| match &record.data {
        RData::SOA(soa) => Some(record.ttl.min(soa.minimum)),
        _ => None,
    })
}

/// A record as it is cached: the data of types without a variant in [`RecordData`] become octets.
pub(super) fn plain(mut record: rr::Record) -> rr::Record {
    let code = record.record_type();
    record.data = match record.data {
        data @ (RData::A(_)
        | RData::AAAA(_)
        | RData::CNAME(_)
        | RData::NS(_)
        | RData::PTR(_)
        | RData::MX(_)
        | RData::TXT(_)
        | RData::SRV(_)
        | RData::SOA(_)) => data,
        data => RData::Unknown { code, rdata: NULL::with(octets(&data)) },
    };
    record
}

/// The address in a record.
pub(super) fn address(record: &rr::Record) -> Option<IpAddr> {
    match &record.data {
        RData::A(address) => Some(IpAddr::V4(address.0)),
        RData::AAAA(address) => Some(IpAddr::V6(address.0)),
        _ => None,
    }
}

/// A name as text, with its final dot.
pub(super) fn text(name: &Name) -> String {
    let mut text = name.to_ascii();
    if !text.ends_with('.') {
        text.push('.');
    }
    text
}

/// Converts a record to this crate's type.
pub(super) fn from_wire(record: &rr::Record) -> Record {
    let data = match &record.data {
        RData::A(address) => RecordData::Address(address.0.into()),
        RData::AAAA(address) => RecordData::Address(address.0.into()),
        RData::CNAME(name) => RecordData::Name(text(name)),
        RData::NS(name) => RecordData::Name(text(name)),
        RData::PTR(name) => RecordData::Name(text(name)),
        RData::MX(mx) => RecordData::Mx { preference: mx.preference, exchange: text(&mx.exchange) },
        RData::TXT(txt) => RecordData::Txt(txt.txt_data.iter().map(|octets| octets.to_vec()).collect()),
        RData::SRV(srv) => {
            RecordData::Srv { priority: srv.priority, weight: srv.weight, port: srv.port, target: text(&srv.target) }
        }
        RData::SOA(soa) => RecordData::Soa {
            primary: text(&soa.mname),
            mailbox: text(&soa.rname),
            serial: soa.serial,
            refresh: soa.refresh.cast_unsigned(),
            retry: soa.retry.cast_unsigned(),
            expire: soa.expire.cast_unsigned(),
            minimum: soa.minimum,
        },
        other => RecordData::Other(octets(other)),
    };
    Record { name: text(&record.name), record_type: record.record_type().into(), ttl: record.ttl, data }
}

/// The data of a record in wire format, with uncompressed names.
fn octets(data: &RData) -> Vec<u8> {
    let mut octets = Vec::new();
    let mut encoder = BinEncoder::new(&mut octets);
    encoder.set_name_encoding(NameEncoding::Uncompressed);
    match data.emit(&mut encoder) {
        Ok(()) => octets,
        // Cannot fail: data that was decoded from a message fits into one.
        Err(error) => {
            tracing::warn!(%error, "a record cannot be written");
            Vec::new()
        }
    }
}

#[cfg(test)]
mod tests {
    use hickory_proto::op::{MessageType, OpCode};
    use hickory_proto::rr::rdata::{CNAME, SOA};

    use super::*;

    fn name(text: &str) -> Name {
        Name::from_ascii(text).unwrap_or_else(|error| panic!("{text}: {error}"))
    }

    fn record(owner: &str, data: RData) -> rr::Record {
        rr::Record::from_rdata(name(owner), 60, data)
    }

    fn alias(owner: &str, target: &str) -> rr::Record {
        record(owner, RData::CNAME(CNAME(name(target))))
    }

    fn host(owner: &str) -> rr::Record {
        record(owner, RData::from(IpAddr::from([192, 0, 2, 1])))
    }

    fn message(code: ResponseCode, answers: Vec<rr::Record>) -> Message {
        let mut message = Message::new(1, MessageType::Response, OpCode::Query);
        message.metadata.response_code = code;
        message.answers = answers;
        message
    }

    fn followed(message: &Message) -> (Result<Followed, ResolveError>, Vec<String>) {
        let mut found = Vec::new();
        let result = follow(message, &name("www.example."), RecordType::A, &mut found);
        (result, found.iter().map(|record| record.name.to_ascii()).collect())
    }

    #[test]
    fn a_chain_is_followed_in_whichever_order_it_comes() {
        let chain = vec![host("c.example."), alias("b.example.", "c.example."), alias("WWW.example.", "b.example.")];
        let (result, owners) = followed(&message(ResponseCode::NoError, chain));
        assert_eq!(result, Ok(Followed::Found));
        assert_eq!(owners, ["WWW.example.", "b.example.", "c.example."]);
    }

    #[test]
    fn records_that_nobody_asked_for_are_left_out() {
        let mut other_class = host("www.example.");
        other_class.dns_class = DNSClass::CH;
        let (result, owners) = followed(&message(ResponseCode::NoError, vec![host("bank.example."), other_class]));
        assert_eq!((result, owners.len()), (Err(ResolveError::NoRecords), 0));
    }

    #[test]
    fn loops_and_long_chains_end() {
        let loops = vec![alias("www.example.", "b.example."), alias("b.example.", "www.example.")];
        assert_eq!(followed(&message(ResponseCode::NoError, loops)).0, Err(ResolveError::ServerFailure));
        let mut long = vec![alias("www.example.", "0.example.")];
        long.extend((0..64).map(|link| alias(&format!("{link}.example."), &format!("{}.example.", link + 1))));
        long.push(host("64.example."));
        assert_eq!(followed(&message(ResponseCode::NoError, long)).0, Err(ResolveError::ServerFailure));
    }

    #[test]
    fn a_chain_that_leads_out_of_the_answer_says_where() {
        let half = message(ResponseCode::NoError, vec![alias("www.example.", "b.example.")]);
        assert_eq!(followed(&half).0, Ok(Followed::Elsewhere(name("b.example."))));
        let nowhere = message(ResponseCode::NXDomain, half.answers.clone());
        assert_eq!(followed(&nowhere).0, Err(ResolveError::NameNotFound));
        let mut no_data = half;
        let soa = SOA::new(name("ns.example."), name("admin.example."), 1, 2, 3, 4, 5);
        no_data.authorities.push(record("example.", RData::SOA(soa)));
        assert_eq!(followed(&no_data).0, Err(ResolveError::NoRecords));
    }

    #[test]
    fn data_of_unknown_types_is_returned_as_it_was_sent() {
        let data = RData::Unknown { code: RecordType::from(65_280), rdata: NULL::with(vec![1, 0, 255]) };
        let record = from_wire(&record("www.example.", data));
        assert_eq!((record.record_type, record.data), (65_280, RecordData::Other(vec![1, 0, 255])));
    }
}
