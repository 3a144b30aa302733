//! What is answered to a query.

use std::sync::Arc;

use hickory_proto::op::{Edns, Message, OpCode, ResponseCode};
use hickory_proto::rr::{DNSClass, Name, RecordType};

use super::forward::Forward;
use super::query;
use super::zone::{Knowledge, Zone};
use super::{Config, Transport, Upstream};
use crate::platform::Random;

/// The length of a message's header in bytes (RFC 1035 section 4.1.1).
pub(super) const HEADER: usize = 12;
/// The maximum length of an answer by UDP: for a client that does not say what it accepts (RFC 1035 section 4.2.1), and
/// for one that does, so that it passes any IPv6 link without fragments.
const PLAIN: u16 = 512;
const EXTENDED: u16 = 1232;
/// The length of an answer by TCP.
const LONGEST: usize = 65_535;
/// The bits of the first two bytes of the flags.
const RESPONSE: u8 = 0x80;
const OPERATION: u8 = 0x78;
const RECURSION_DESIRED: u8 = 0x01;

/// What to do about a received message.
pub(super) enum Verdict {
    /// Nothing: it is not a query.
    Ignore,
    /// Send this.
    Answer(Vec<u8>),
    /// Ask the upstream.
    Forward(Forward),
}

/// What a server knows.
pub(super) struct Responder {
    zone: Zone,
    upstream: Option<Arc<dyn Upstream>>,
}

impl Responder {
    /// The apex of the zone is in lower case and absolute.
    pub(super) fn new(apex: Name, config: Config) -> Self {
        let upstream = config.upstream.clone();
        Self { zone: Zone::new(apex, config), upstream }
    }

    pub(super) fn upstream(&self) -> Option<&dyn Upstream> {
        self.upstream.as_deref()
    }

    /// Decides about a message.
    pub(super) fn consider(&self, message: &[u8], transport: Transport, random: &dyn Random) -> Verdict {
        let Some([a, b, flags, _]) = message.first_chunk().copied() else { return Verdict::Ignore };
        // An answer to an answer could go back and forth for ever.
        if flags & RESPONSE != 0 {
            return Verdict::Ignore;
        }
        let header_alone = |code: ResponseCode| {
            let flags = RESPONSE | flags & (OPERATION | RECURSION_DESIRED);
            Verdict::Answer(vec![a, b, flags, code.low(), 0, 0, 0, 0, 0, 0, 0, 0])
        };
        if flags & OPERATION != u8::from(OpCode::Query) << 3 {
            return header_alone(ResponseCode::NotImp);
        }
        let query = match query::read(message) {
            Ok(query) => query,
            Err(None) => return header_alone(ResponseCode::FormErr),
            // A client takes a FORMERR without an OPT record for a server without EDNS (RFC 6891 section 7).
            Err(Some(query)) => {
                let mut response = self.response(&query);
                response.metadata.response_code = ResponseCode::FormErr;
                return Verdict::Answer(encode(response, PLAIN.into()));
            }
        };
        let [question] = query.queries.as_slice() else { return header_alone(ResponseCode::FormErr) };
        let limit = limit(&query, transport);
        let answer = |message: Message| Verdict::Answer(encode(message, limit));
        let mut response = self.response(&query);
        if query.edns.as_ref().is_some_and(|edns| edns.version() > 0) {
            response.metadata.response_code = ResponseCode::BADVERS;
            return answer(response);
        }
        // A zone that is copied would be the upstream's, by a connection that may last.
        let is_transfer = matches!(question.query_type(), RecordType::AXFR | RecordType::IXFR);
        if question.query_class() != DNSClass::IN || is_transfer {
            response.metadata.response_code = ResponseCode::Refused;
            return answer(response);
        }
        let mut name = question.name().clone();
        name.set_fqdn(true);
        response.metadata.authoritative = true;
        match self.zone.know(&name, question.query_type()) {
            Knowledge::Records(records) if records.is_empty() => {
                response.add_authority(self.zone.authority(&name));
            }
            Knowledge::Records(records) => {
                response.add_answers(records);
            }
            Knowledge::NoName => {
                response.metadata.response_code = ResponseCode::NXDomain;
                response.add_authority(self.zone.authority(&name));
            }
            Knowledge::Unknown => {
                response.metadata.authoritative = false;
                if self.upstream.is_none() {
                    response.metadata.response_code = ResponseCode::Refused;
                    return answer(response);
                }
                return match Forward::new(message, response, limit, transport, random) {
                    Some(forward) => Verdict::Forward(forward),
                    None => header_alone(ResponseCode::FormErr),
                };
            }
        }
        answer(response)
    }

    /// A response to a query without records.
    fn response(&self, query: &Message) -> Message {
        let mut response = Message::response(query.metadata.id, OpCode::Query);
        response.metadata.recursion_desired = query.metadata.recursion_desired;
        response.metadata.checking_disabled = query.metadata.checking_disabled;
        response.metadata.recursion_available = self.upstream.is_some();
        response.add_queries(query.queries.iter().cloned());
        response.edns = query.edns.as_ref().map(|asked| {
            let mut edns = Edns::new();
            edns.set_max_payload(EXTENDED);
            edns.set_dnssec_ok(asked.flags().dnssec_ok);
            edns
        });
        response
    }
}

/// The longest answer that a client accepts, in bytes (RFC 6891 section 6.2.3).
fn limit(query: &Message, transport: Transport) -> usize {
    match (transport, &query.edns) {
        (Transport::Tcp, _) => LONGEST,
        (Transport::Udp, Some(edns)) => edns.max_payload().clamp(PLAIN, EXTENDED).into(),
        (Transport::Udp, None) => PLAIN.into(),
    }
}

/// The bytes of a response. One that is longer than `limit` is truncated (RFC 2181 section 9): it has no records, and
/// the client asks again by TCP.
pub(super) fn encode(mut response: Message, limit: usize) -> Vec<u8> {
    let whole = response.to_vec();
    match whole {
        Ok(bytes) if bytes.len() <= limit => return bytes,
        Ok(_) => response.metadata.truncation = true,
        Err(error) => {
            tracing::warn!(%error, "a DNS answer cannot be encoded");
            response.metadata.response_code = ResponseCode::ServFail;
        }
    }
    response.answers.clear();
    response.authorities.clear();
    response.additionals.clear();
    // A question that was decoded can be encoded; without it, the header is left.
    response.to_vec().unwrap_or_else(|_| {
        let [a, b] = response.metadata.id.to_be_bytes();
        vec![a, b, RESPONSE, ResponseCode::ServFail.low(), 0, 0, 0, 0, 0, 0, 0, 0]
    })
}
