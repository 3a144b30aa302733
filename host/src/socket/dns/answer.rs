//! The result of a query, as it is used and cached.

use core::mem::size_of;
use core::time::Duration;

use hickory_proto::op::Query;
use hickory_proto::rr::{Name, RData, Record};

use super::ResolveError;
use super::exchange::Response;
use super::records::{self, Followed};
use crate::platform::Instant;

/// The maximum time to live of a record in seconds (RFC 8767 section 4 recommends a week; most resolvers have a day).
const MOST_TTL: u32 = 24 * 60 * 60;

/// The maximum time to live of a negative answer in seconds (RFC 2308 section 5).
const MOST_NEGATIVE_TTL: u32 = 3 * 60 * 60;

/// The overhead of the allocator for each block, in bytes.
const BLOCK: usize = 16;

/// The result of a query for a name and a record type.
#[derive(Debug)]
pub(super) struct Answer {
    /// The CNAME records that lead from the name, and the records of the requested type at their end.
    records: Vec<Record>,
    /// Where the CNAME records lead, or the error if the name or the records do not exist.
    end: Result<Followed, ResolveError>,
    arrived: Instant,
    /// The time to live of the whole result in seconds.
    ttl: u32,
}

impl Answer {
    /// Takes the result of `query` from a response.
    ///
    /// # Errors
    /// [`ResolveError::ServerFailure`] if its CNAME records form a loop or a too long chain.
    pub(super) fn read(response: &Response, query: &Query) -> Result<Self, ResolveError> {
        let mut found = Vec::new();
        let end = match records::follow(&response.message, query.name(), query.query_type(), &mut found) {
            Err(error @ (ResolveError::NameNotFound | ResolveError::NoRecords)) => Err(error),
            end => Ok(end?),
        };
        found.iter_mut().for_each(|record| record.ttl = ttl(record.ttl));
        let mut kept_for = found.iter().map(|record| record.ttl).min().unwrap_or(MOST_TTL);
        if end.is_err() {
            // A negative answer without an SOA record is not cached (RFC 2308 section 5).
            kept_for = kept_for.min(records::negative_ttl(&response.message).map_or(0, ttl)).min(MOST_NEGATIVE_TTL);
        }
        let records = found.into_iter().map(records::plain).collect();
        Ok(Self { records, end, arrived: response.arrived, ttl: kept_for })
    }

    /// Where the CNAME records lead.
    pub(super) fn end(&self) -> Result<&Followed, ResolveError> {
        self.end.as_ref().map_err(Clone::clone)
    }

    /// The records, each with the rest of its time to live.
    pub(super) fn records(&self, now: Instant) -> impl Iterator<Item = Record> {
        let elapsed = u32::try_from((now - self.arrived).as_secs()).unwrap_or(u32::MAX);
        self.records.iter().map(move |record| {
            let mut record = record.clone();
            record.ttl = record.ttl.saturating_sub(elapsed);
            record
        })
    }

    /// The time at which the result expires.
    pub(super) fn expires(&self) -> Instant {
        self.arrived + Duration::from_secs(self.ttl.into())
    }

    /// The bytes of memory that it takes, which may be many more than on the wire.
    pub(super) fn weight(&self) -> usize {
        let end = match &self.end {
            Ok(Followed::Elsewhere(name)) => name_weight(name),
            Ok(Followed::Found) | Err(_) => 0,
        };
        let records = self.records.iter().map(|record| size_of::<Record>() + name_weight(&record.name) + data(record));
        BLOCK + size_of::<Self>() + end + BLOCK + records.sum::<usize>()
    }
}

/// A time to live as it is used: at most [`MOST_TTL`], also if the most significant bit is set (RFC 8767 section 4, which
/// updates RFC 2181 section 8).
fn ttl(told: u32) -> u32 {
    told.min(MOST_TTL)
}

/// The bytes of memory that the data of a record take outside of the record. After [`records::plain`] there are no
/// other types.
fn data(record: &Record) -> usize {
    match &record.data {
        RData::CNAME(name) => name_weight(name),
        RData::NS(name) => name_weight(name),
        RData::PTR(name) => name_weight(name),
        RData::MX(mx) => name_weight(&mx.exchange),
        RData::SRV(srv) => name_weight(&srv.target),
        RData::SOA(soa) => name_weight(&soa.mname) + name_weight(&soa.rname),
        RData::TXT(txt) => {
            BLOCK + txt.txt_data.iter().map(|octets| size_of::<Box<[u8]>>() + BLOCK + octets.len()).sum::<usize>()
        }
        RData::Unknown { rdata, .. } => BLOCK + rdata.anything.len(),
        // Addresses are stored inside the record.
        _ => 0,
    }
}

/// The bytes of memory that a name takes outside of itself: short names are stored inside. A buffer that grew may be
/// twice as long as its contents.
pub(super) fn name_weight(name: &Name) -> usize {
    const WITHIN: usize = 32;
    if name.len() > WITHIN { 2 * (BLOCK + name.len()) } else { 0 }
}

#[cfg(test)]
mod tests {
    use core::net::IpAddr;

    use hickory_proto::op::{Message, MessageType, OpCode, ResponseCode};
    use hickory_proto::rr::RecordType;
    use hickory_proto::rr::rdata::{CNAME, HINFO, SOA, TXT};

    use super::*;

    fn name(text: &str) -> Name {
        Name::from_ascii(text).unwrap_or_else(|error| panic!("{text}: {error}"))
    }

    fn host(ttl: u32) -> Record {
        Record::from_rdata(name("www.example."), ttl, RData::from(IpAddr::from([192, 0, 2, 1])))
    }

    fn start_of_zone(ttl: u32, minimum: u32) -> Record {
        let soa = SOA::new(name("ns.example."), name("admin.example."), 1, 2, 3, 4, minimum);
        Record::from_rdata(name("example."), ttl, RData::SOA(soa))
    }

    fn answer(code: ResponseCode, answers: Vec<Record>, authorities: Vec<Record>, kind: RecordType) -> Answer {
        let mut message = Message::new(1, MessageType::Response, OpCode::Query);
        message.metadata.response_code = code;
        (message.answers, message.authorities) = (answers, authorities);
        let server = [192, 0, 2, 53].into();
        let response = Response { message, server, by_tcp: false, arrived: Instant::ORIGIN };
        let answer = Answer::read(&response, &Query::query(name("www.example."), kind));
        answer.unwrap_or_else(|error| panic!("{error}"))
    }

    fn seconds(answer: &Answer) -> u64 {
        (answer.expires() - Instant::ORIGIN).as_secs()
    }

    #[test]
    fn an_answer_expires_with_the_first_of_its_records() {
        let lasting = |ttls: &[u32]| {
            let records = ttls.iter().map(|ttl| host(*ttl)).collect();
            seconds(&answer(ResponseCode::NoError, records, Vec::new(), RecordType::A))
        };
        assert_eq!(lasting(&[60]), 60);
        assert_eq!(lasting(&[60, 7, 90]), 7);
        assert_eq!(lasting(&[0, 60]), 0);
        assert_eq!(lasting(&[1_000_000]), 86_400);
        assert_eq!(lasting(&[0x8000_0000]), 86_400, "RFC 8767 section 4");
    }

    #[test]
    fn a_negative_answer_expires_by_the_soa_record_or_with_the_cname_records_before_it() {
        let none = |code, answers, soa: Option<Record>| {
            seconds(&answer(code, answers, soa.into_iter().collect(), RecordType::A))
        };
        for code in [ResponseCode::NXDomain, ResponseCode::NoError] {
            assert_eq!(none(code, Vec::new(), Some(start_of_zone(60, 30))), 30);
            assert_eq!(none(code, Vec::new(), Some(start_of_zone(20, 30))), 20);
            assert_eq!(none(code, Vec::new(), Some(start_of_zone(u32::MAX >> 1, 1_000_000))), 10_800);
            assert_eq!(none(code, Vec::new(), None), 0, "RFC 2308 section 5");
            let alias = Record::from_rdata(name("www.example."), 10, RData::CNAME(CNAME(name("gone.example."))));
            assert_eq!(none(code, vec![alias], Some(start_of_zone(60, 30))), 10);
        }
    }

    #[test]
    fn records_have_the_rest_of_their_time_to_live() {
        let answer = answer(ResponseCode::NoError, vec![host(60), host(90)], Vec::new(), RecordType::A);
        let after = |time| answer.records(Instant::ORIGIN + time).map(|record| record.ttl).collect::<Vec<_>>();
        assert_eq!(after(Duration::from_millis(999)), [60, 90]);
        assert_eq!(after(Duration::from_secs(50)), [10, 40]);
        assert_eq!(after(Duration::from_secs(70)), [0, 20]);
    }

    #[test]
    fn the_weight_of_an_answer_is_its_memory_and_not_its_size_on_the_wire() {
        let with = |data: RData, count: usize| {
            let records = vec![Record::from_rdata(name("www.example."), 60, data.clone()); count];
            answer(ResponseCode::NoError, records, Vec::new(), data.record_type()).weight()
        };
        // Each takes sixteen octets on the wire, with its name compressed to a reference to the question's.
        let hosts = with(RData::from(IpAddr::from([192, 0, 2, 1])), 200);
        assert!(hosts >= 200 * size_of::<Record>(), "{hosts}");
        // Each takes one octet on the wire.
        let strings = with(RData::TXT(TXT::from_bytes(vec![&[]; 1000])), 1);
        assert!(strings >= 1000 * size_of::<Box<[u8]>>(), "{strings}");
        let (short, long) = (with(RData::CNAME(CNAME(name("a."))), 1), with(RData::CNAME(CNAME(long_name())), 1));
        assert!(long >= short + 250, "{short} and {long}");
        let other = RData::HINFO(HINFO::new("x".repeat(200), "y".repeat(200)));
        assert!(with(other, 1) >= short + 400, "kinds that are not taken apart are kept as octets");
    }

    fn long_name() -> Name {
        name(&format!("{0}.{0}.{0}.{1}.", "a".repeat(63), "b".repeat(61)))
    }
}
