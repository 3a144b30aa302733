//! What an answer says about what was asked for, as it is used and kept.

use core::mem::size_of;
use core::time::Duration;

use hickory_proto::op::Query;
use hickory_proto::rr::{Name, RData, Record};

use super::ResolveError;
use super::exchange::Response;
use super::records::{self, Followed};
use crate::platform::Instant;

/// How long any record may be kept, in seconds (RFC 8767 section 4 has a week; most resolvers, a day).
const MOST_TTL: u32 = 24 * 60 * 60;

/// How long a name may be known not to exist, in seconds (RFC 2308 section 5).
const MOST_NEGATIVE_TTL: u32 = 3 * 60 * 60;

/// What the allocator takes beside the octets of a block.
const BLOCK: usize = 16;

/// What one answer says about a name and a kind.
#[derive(Debug)]
pub(super) struct Answer {
    /// The CNAME records that lead from the name, and the records of the kind at their end.
    records: Vec<Record>,
    /// Where they lead, or that they lead to nothing: the names or records that there are not.
    end: Result<Followed, ResolveError>,
    arrived: Instant,
    /// For how many seconds all of it holds.
    ttl: u32,
}

impl Answer {
    /// Takes from a response what was asked for.
    ///
    /// # Errors
    /// [`ResolveError::ServerFailure`] where its records lead nowhere.
    pub(super) fn read(response: &Response, query: &Query) -> Result<Self, ResolveError> {
        let mut found = Vec::new();
        let end = match records::follow(&response.message, query.name(), query.query_type(), &mut found) {
            Err(error @ (ResolveError::NameNotFound | ResolveError::NoRecords)) => Err(error),
            end => Ok(end?),
        };
        found.iter_mut().for_each(|record| record.ttl = ttl(record.ttl));
        let mut kept_for = found.iter().map(|record| record.ttl).min().unwrap_or(MOST_TTL);
        if end.is_err() {
            // What does not say for how long there is nothing is not kept (RFC 2308 section 5).
            kept_for = kept_for.min(records::negative_ttl(&response.message).map_or(0, ttl)).min(MOST_NEGATIVE_TTL);
        }
        let records = found.into_iter().map(records::plain).collect();
        Ok(Self { records, end, arrived: response.arrived, ttl: kept_for })
    }

    /// Where the records lead.
    pub(super) fn end(&self) -> Result<&Followed, ResolveError> {
        self.end.as_ref().map_err(Clone::clone)
    }

    /// The records, each with what remains of its time to live.
    pub(super) fn records(&self, now: Instant) -> impl Iterator<Item = Record> {
        let elapsed = u32::try_from((now - self.arrived).as_secs()).unwrap_or(u32::MAX);
        self.records.iter().map(move |record| {
            let mut record = record.clone();
            record.ttl = record.ttl.saturating_sub(elapsed);
            record
        })
    }

    /// When it holds no more.
    pub(super) fn expires(&self) -> Instant {
        self.arrived + Duration::from_secs(self.ttl.into())
    }

    /// The bytes of memory that it takes, however few it took on the wire.
    pub(super) fn weight(&self) -> usize {
        let end = match &self.end {
            Ok(Followed::Elsewhere(name)) => name_weight(name),
            Ok(Followed::Found) | Err(_) => 0,
        };
        let records = self.records.iter().map(|record| size_of::<Record>() + name_weight(&record.name) + data(record));
        BLOCK + size_of::<Self>() + end + BLOCK + records.sum::<usize>()
    }
}

/// A time to live as it is meant: with the uppermost bit set it is zero (RFC 2181 section 8).
fn ttl(told: u32) -> u32 {
    if told > i32::MAX.cast_unsigned() { 0 } else { told.min(MOST_TTL) }
}

/// What the data of a record take beside the record itself. After [`records::plain`] there are no other kinds.
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
        // Addresses lie in the record.
        _ => 0,
    }
}

/// What a name takes beside itself: short ones lie in it. A buffer that grew may be twice as long as what is in it.
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
    fn an_answer_holds_as_long_as_the_first_of_its_records_ends() {
        let lasting = |ttls: &[u32]| {
            let records = ttls.iter().map(|ttl| host(*ttl)).collect();
            seconds(&answer(ResponseCode::NoError, records, Vec::new(), RecordType::A))
        };
        assert_eq!(lasting(&[60]), 60);
        assert_eq!(lasting(&[60, 7, 90]), 7);
        assert_eq!(lasting(&[0, 60]), 0);
        assert_eq!(lasting(&[1_000_000]), 86_400);
        assert_eq!(lasting(&[0x8000_0000]), 0, "RFC 2181 section 8");
    }

    #[test]
    fn that_there_is_nothing_holds_as_long_as_the_zone_says_and_no_longer_than_what_leads_there() {
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
    fn records_tell_what_remains_of_their_time() {
        let answer = answer(ResponseCode::NoError, vec![host(60), host(90)], Vec::new(), RecordType::A);
        let after = |time| answer.records(Instant::ORIGIN + time).map(|record| record.ttl).collect::<Vec<_>>();
        assert_eq!(after(Duration::from_millis(999)), [60, 90]);
        assert_eq!(after(Duration::from_secs(50)), [10, 40]);
        assert_eq!(after(Duration::from_secs(70)), [0, 20]);
    }

    #[test]
    fn what_is_small_on_the_wire_and_large_in_memory_is_weighed_by_its_memory() {
        let with = |data: RData, count: usize| {
            let records = vec![Record::from_rdata(name("www.example."), 60, data.clone()); count];
            answer(ResponseCode::NoError, records, Vec::new(), data.record_type()).weight()
        };
        // Sixteen octets of the wire each, where the name is a reference to the question's.
        let hosts = with(RData::from(IpAddr::from([192, 0, 2, 1])), 200);
        assert!(hosts >= 200 * size_of::<Record>(), "{hosts}");
        // One octet of the wire each.
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
