//! Queries to an upstream, and the check of its answers.

use hickory_proto::op::{Message, ResponseCode};

use super::query::question_end;
use super::respond::{HEADER, encode};
use super::{PATIENCE, Transport, Upstream};
use crate::platform::{Clock, Random};

/// Bits of the flags.
const RESPONSE: u8 = 0x80;
const OPERATION: u8 = 0x78;
const TRUNCATED: u8 = 0x02;
const CODE: u8 = 0x0f;

/// A query of a client, for an upstream.
pub(super) struct Forward {
    /// The query as the client sent it, but with an identifier of our own: the client's could be guessed, or be that of
    /// another client.
    query: Vec<u8>,
    /// The response without records.
    response: Message,
    /// The end of the question in the query.
    question: usize,
    limit: usize,
    transport: Transport,
}

impl Forward {
    /// `None` if the question is not written as in a query. `response` is a response without records.
    pub(super) fn new(
        message: &[u8],
        response: Message,
        limit: usize,
        transport: Transport,
        random: &dyn Random,
    ) -> Option<Self> {
        let question = question_end(message)?;
        let mut query = message.to_vec();
        random.fill(query.first_chunk_mut::<2>()?);
        Some(Self { query, response, question, limit, transport })
    }

    /// Asks the upstream. Returns the answer for the client.
    pub(super) async fn ask(self, upstream: &dyn Upstream, clock: &dyn Clock) -> Vec<u8> {
        let asked = clock.within(PATIENCE, upstream.ask(&self.query, self.transport)).await;
        match asked {
            Some(Ok(answer)) => match self.accept(answer) {
                Some(answer) => return answer,
                None => tracing::debug!("a name server answers another question"),
            },
            Some(Err(error)) => tracing::debug!(%error, "no answer from a name server"),
            None => tracing::debug!("no answer from a name server in time"),
        }
        self.fail()
    }

    /// The answer to a query that the upstream does not answer.
    pub(super) fn fail(mut self) -> Vec<u8> {
        self.response.metadata.response_code = ResponseCode::ServFail;
        encode(self.response, self.limit)
    }

    /// The answer for the client: that of the upstream, if it is one to the query. `None` otherwise.
    fn accept(&self, mut answer: Vec<u8>) -> Option<Vec<u8>> {
        if !is_answer(&self.query, &answer) {
            return None;
        }
        if let Some(code) = bare_error(&self.query, &answer) {
            let mut response = self.response.clone();
            response.metadata.response_code = ResponseCode::from(0, code);
            // By its absence the client learns that the upstream knows no EDNS (RFC 6891 section 7).
            response.edns = None;
            return Some(encode(response, self.limit));
        }
        let (asked, told) = (self.query.get(..self.question)?, answer.get_mut(..self.question)?);
        let [flags, code] = *told.get(2..4)?.first_chunk()?;
        // The letters of the name as the client wrote them, by which it may recognise the answer.
        told.get_mut(HEADER..)?.copy_from_slice(asked.get(HEADER..)?);
        told.get_mut(..2)?.copy_from_slice(&self.response.metadata.id.to_be_bytes());
        if answer.len() <= self.limit {
            return Some(answer);
        }
        // What the client can receive says that there is more, and what the answer was.
        let mut short = encode(self.response.clone(), self.limit);
        let [own_flags, own_code] = short.get_mut(2..4)?.first_chunk_mut()?;
        *own_flags = flags | TRUNCATED;
        *own_code = code & CODE | *own_code & !CODE;
        Some(short)
    }
}

/// The error that a server tells by a header alone, because it does not understand the query. `None` if the message is
/// another one.
fn bare_error(query: &[u8], message: &[u8]) -> Option<u8> {
    let header: &[u8; HEADER] = message.try_into().ok()?;
    let is_bare = header[4..].iter().all(|byte| *byte == 0);
    let code = header[3] & CODE;
    (is_response(header[2]) && is_bare && query.starts_with(&header[..2]) && code != 0).then_some(code)
}

/// Whether a message is an answer to a query: it has its identifier and its question, in whatever letters. An error may
/// be without the question.
pub(super) fn is_answer(query: &[u8], message: &[u8]) -> bool {
    if bare_error(query, message).is_some() {
        return true;
    }
    let Some(end) = question_end(query) else { return false };
    let (Some(asked), Some(told)) = (query.get(..end), message.get(..end)) else { return false };
    // The identifier, and the number of questions and the question itself.
    is_response(told[2])
        && told[..2] == asked[..2]
        && told[4..6] == asked[4..6]
        && told[HEADER..].eq_ignore_ascii_case(&asked[HEADER..])
}

/// Whether a message is the response to a query, by the first byte of its flags.
const fn is_response(flags: u8) -> bool {
    flags & RESPONSE != 0 && flags & OPERATION == 0
}
