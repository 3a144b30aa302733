//! The cache of answers.

use core::mem::size_of;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use hickory_proto::op::Query;
use parking_lot::Mutex;
use xila_network_engine::buffer::Budget;

use super::answer::{Answer, name_weight};
use crate::platform::Instant;

/// One answer may take one part in so many of a cache, so that no server can displace everything else with one answer.
const SHARE: usize = 16;

/// The bytes of an entry beside the answer: the query twice, and the overhead of the tables.
const PLACE: usize = 2 * (size_of::<Query>() + size_of::<Kept>()) + 64;

/// Answers by query, in a limited number of bytes of memory. If it is full, the answers that expire first are removed
/// first.
pub(super) struct Cache {
    /// The maximum size in bytes.
    most: usize,
    /// The budget of the guest that is charged for the memory; `None` for the host.
    budget: Option<Budget>,
    answers: Mutex<Answers>,
}

#[derive(Default)]
struct Answers {
    by_question: HashMap<Query, Kept>,
    /// The queries by the time at which their answers expire. The number makes the keys unique.
    by_end: BTreeMap<(Instant, u64), Query>,
    /// The number of answers inserted so far.
    count: u64,
    /// The size of all answers in bytes.
    held: usize,
}

/// An entry of the cache.
struct Kept {
    answer: Arc<Answer>,
    end: (Instant, u64),
    weight: usize,
}

impl Cache {
    /// A cache of at most `most` bytes, which are taken from the budget as they are used.
    pub(super) fn new(most: usize, budget: Option<Budget>) -> Self {
        Self { most, budget, answers: Mutex::default() }
    }

    /// The answer to a query, if it is cached and has not expired.
    pub(super) fn get(&self, query: &Query, now: Instant) -> Option<Arc<Answer>> {
        let mut answers = self.answers.lock();
        self.give_back(answers.forget_ended(now));
        answers.by_question.get(query).map(|kept| kept.answer.clone())
    }

    /// Caches an answer until it expires, if there is room for it.
    pub(super) fn keep(&self, query: Query, answer: Arc<Answer>, now: Instant) {
        let weight = answer.weight() + PLACE + 2 * name_weight(query.name());
        let mut answers = self.answers.lock();
        self.give_back(answers.forget_ended(now) + answers.forget(&query));
        if answer.expires() <= now || weight > self.most / SHARE {
            return;
        }
        while answers.held + weight > self.most || !self.take(weight) {
            // If no entries are left, the guest has used its memory for something else.
            let Some(released) = answers.forget_first() else { return };
            self.give_back(released);
        }
        answers.insert(query, answer, weight);
    }

    fn take(&self, bytes: usize) -> bool {
        self.budget.as_ref().is_none_or(|budget| budget.take(bytes))
    }

    fn give_back(&self, bytes: usize) {
        if let Some(budget) = &self.budget {
            budget.give_back(bytes);
        }
    }
}

impl Drop for Cache {
    fn drop(&mut self) {
        let held = self.answers.get_mut().held;
        self.give_back(held);
    }
}

/// Each method that removes entries returns the number of bytes that this frees.
impl Answers {
    fn insert(&mut self, query: Query, answer: Arc<Answer>, weight: usize) {
        self.count += 1;
        self.held += weight;
        let end = (answer.expires(), self.count);
        self.by_end.insert(end, query.clone());
        self.by_question.insert(query, Kept { answer, end, weight });
    }

    fn forget(&mut self, query: &Query) -> usize {
        let Some(Kept { answer: _, end, weight }) = self.by_question.remove(query) else { return 0 };
        self.by_end.remove(&end);
        self.held -= weight;
        weight
    }

    fn forget_first(&mut self) -> Option<usize> {
        let (_, query) = self.by_end.pop_first()?;
        Some(self.forget(&query))
    }

    fn forget_ended(&mut self, now: Instant) -> usize {
        let mut released = 0;
        while self.by_end.first_key_value().is_some_and(|((end, _), _)| *end <= now) {
            released += self.forget_first().unwrap_or(0);
        }
        released
    }
}

#[cfg(test)]
mod tests {
    use core::net::IpAddr;
    use core::time::Duration;

    use hickory_proto::op::{Message, MessageType, OpCode};
    use hickory_proto::rr::{Name, RData, Record, RecordType};

    use super::*;
    use crate::socket::dns::exchange::Response;

    fn query(host: usize) -> Query {
        let name = format!("{host}.example.");
        Query::query(Name::from_ascii(&name).unwrap_or_else(|error| panic!("{name}: {error}")), RecordType::A)
    }

    /// An answer of `count` addresses with a time to live of `ttl` seconds.
    fn answer(query: &Query, count: usize, ttl: u32) -> Arc<Answer> {
        let mut message = Message::new(1, MessageType::Response, OpCode::Query);
        let host = Record::from_rdata(query.name().clone(), ttl, RData::from(IpAddr::from([192, 0, 2, 1])));
        message.answers = vec![host; count];
        let response = Response { message, server: [192, 0, 2, 53].into(), by_tcp: false, arrived: Instant::ORIGIN };
        Arc::new(Answer::read(&response, query).unwrap_or_else(|error| panic!("{error}")))
    }

    fn after(seconds: u64) -> Instant {
        Instant::ORIGIN + Duration::from_secs(seconds)
    }

    fn keep(cache: &Cache, host: usize, count: usize, ttl: u32) {
        let query = query(host);
        cache.keep(query.clone(), answer(&query, count, ttl), Instant::ORIGIN);
    }

    fn kept(cache: &Cache, hosts: core::ops::Range<usize>) -> Vec<usize> {
        hosts.filter(|host| cache.get(&query(*host), Instant::ORIGIN).is_some()).collect()
    }

    #[test]
    fn an_answer_is_cached_until_it_expires_and_then_its_memory_is_free() {
        let budget = Budget::new(1 << 20);
        let cache = Cache::new(1 << 20, Some(budget.clone()));
        keep(&cache, 1, 1, 60);
        keep(&cache, 2, 1, 30);
        let both = budget.held();
        assert!(both > 2 * size_of::<Record>());
        assert!(cache.get(&query(1), after(59)).is_some());
        assert!(budget.held() < both && budget.held() > 0, "the other has ended meanwhile");
        assert!(cache.get(&query(1), after(60)).is_none());
        assert_eq!(budget.held(), 0);
    }

    #[test]
    fn a_full_cache_removes_the_answers_that_expire_first() {
        let budget = Budget::new(usize::MAX);
        let most = 32 << 10;
        let cache = Cache::new(most, Some(budget.clone()));
        for host in 0..1000 {
            let ttl = if host == 0 { 9999 } else { 1000 + u32::try_from(host).unwrap_or(0) };
            keep(&cache, host, 1, ttl);
            assert!(budget.held() <= most, "{}", budget.held());
        }
        let kept = kept(&cache, 0..1000);
        assert!(kept.len() > 10 && kept.starts_with(&[0]) && kept.ends_with(&[998, 999]), "{kept:?}");
        drop(cache);
        assert_eq!(budget.held(), 0);
    }

    #[test]
    fn one_answer_takes_no_more_than_its_share() {
        let cache = Cache::new(64 << 10, None);
        keep(&cache, 1, 1, 60);
        keep(&cache, 2, 100, 60);
        assert_eq!(kept(&cache, 0..9), [1]);
        let none = Cache::new(0, None);
        keep(&none, 1, 1, 60);
        assert_eq!(kept(&none, 0..9), [0; 0]);
    }

    #[test]
    fn an_answer_replaces_the_one_before() {
        let budget = Budget::new(1 << 20);
        let cache = Cache::new(1 << 20, Some(budget.clone()));
        keep(&cache, 1, 1, 60);
        let held = budget.held();
        keep(&cache, 1, 1, 90);
        assert_eq!(budget.held(), held);
        assert!(cache.get(&query(1), after(80)).is_some());
        keep(&cache, 1, 1, 0);
        assert_eq!((kept(&cache, 0..9), budget.held()), (Vec::new(), 0), "the newest holds for no time at all");
    }

    #[test]
    fn a_guest_that_has_used_its_memory_caches_nothing() {
        let budget = Budget::new(1 << 20);
        let cache = Cache::new(1 << 20, Some(budget.clone()));
        keep(&cache, 1, 1, 60);
        let (held, rest) = (budget.held(), budget.left());
        assert!(budget.take(rest));
        keep(&cache, 2, 1, 60);
        assert_eq!(kept(&cache, 0..9), [2], "the other gave way");
        keep(&cache, 3, 10, 60);
        assert_eq!(kept(&cache, 0..9), [0; 0], "and there is not as much as this");
        assert_eq!(budget.held(), rest);
        assert!(held > 0);
    }
}
