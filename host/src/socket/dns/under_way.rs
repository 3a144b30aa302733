//! The queries that are under way: each is sent once, however many tasks wait for the answer.
//!
//! This saves the servers work and protects against forgeries: if the same query were sent many times at once, from
//! many ports, an attacker would have to guess only one of them. The table is therefore shared by all guests of a
//! manager; guests that may ask the same servers through the same interfaces would get the same answer. A query has no
//! owner: every task that waits for it drives it, and it is cancelled when the last of them gives up.

use core::net::IpAddr;
use core::sync::atomic::{AtomicU64, Ordering};
use std::collections::HashMap;
use std::sync::Arc;

use futures_util::FutureExt;
use futures_util::future::{BoxFuture, Shared, WeakShared};
use hickory_proto::op::Query;
use parking_lot::Mutex;

use super::exchange::Response;
use super::servers::{Failure, Patience, Server, ask};
use crate::socket::network::{Network, Scope};

/// The future of a query.
type Asking = BoxFuture<'static, Result<Arc<Response>, Failure>>;

/// The queries of a manager that are under way.
#[derive(Default)]
pub(crate) struct UnderWay {
    questions: Mutex<HashMap<Key, (u64, WeakShared<Asking>)>>,
    /// The number of the next query, which distinguishes it from an earlier query with the same key.
    next: AtomicU64,
}

/// The properties that make two queries the same.
#[derive(Clone, PartialEq, Eq, Hash)]
struct Key {
    query: Query,
    servers: Vec<(Scope, IpAddr)>,
    patience: Patience,
}

impl UnderWay {
    /// Asks the servers, or joins the same query if it is under way.
    pub(super) fn ask(network: &Network, servers: Vec<Server>, patience: Patience, query: &Query) -> Shared<Asking> {
        let scopes = servers.iter().map(|server| (server.network.scope(), server.address)).collect();
        let key = Key { query: query.clone(), servers: scopes, patience };
        let this = network.under_way();
        let mut questions = this.questions.lock();
        if let Some(shared) = questions.get(&key).and_then(|(_, asking)| asking.upgrade()) {
            return shared;
        }
        let number = this.next.fetch_add(1, Ordering::Relaxed);
        let place = Place { network: network.clone(), key: key.clone(), number };
        let asking = ask(servers, patience, query.clone());
        let shared = async move {
            let _place = place;
            asking.await
        };
        let shared = shared.boxed().shared();
        // A query that has ended already cannot be joined.
        if let Some(asking) = shared.downgrade() {
            questions.insert(key, (number, asking));
        }
        shared
    }

    #[cfg(test)]
    fn is_empty(&self) -> bool {
        self.questions.lock().is_empty()
    }
}

/// The entry of a query in the table, which is removed when the query is answered or cancelled.
struct Place {
    network: Network,
    key: Key,
    number: u64,
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut questions = self.network.under_way().questions.lock();
        // A newer query may have the same key.
        if questions.get(&self.key).is_some_and(|(number, _)| *number == self.number) {
            questions.remove(&self.key);
        }
    }
}

#[cfg(test)]
mod tests {
    use hickory_proto::rr::{Name, RecordType};

    use super::*;
    use crate::manager::Manager;
    use crate::platform::simulated::Simulation;

    fn asked(network: &Network, name: &str) -> Shared<Asking> {
        let patience = Patience { timeout: core::time::Duration::from_secs(5), attempts: 1 };
        let name = Name::from_ascii(name).unwrap_or_else(|error| panic!("{name}: {error}"));
        let server = Server { address: [192, 0, 2, 53].into(), network: network.clone() };
        UnderWay::ask(network, vec![server], patience, &Query::query(name, RecordType::A))
    }

    #[test]
    fn a_query_is_removed_when_it_is_answered_and_when_nobody_waits_any_more() {
        let simulation = Simulation::new(1);
        let network = Manager::new(simulation.platform()).network();
        let one = asked(&network, "www.example.");
        assert!(one.ptr_eq(&asked(&network, "WWW.example.")), "letters of either case");
        assert!(!one.ptr_eq(&asked(&network, "other.example.")));
        drop(one);
        assert!(network.under_way().is_empty(), "given up, and never begun");
        // There is no route to the server.
        assert!(matches!(simulation.block_on(asked(&network, "www.example.")), Err(Failure::Silence)));
        assert!(network.under_way().is_empty(), "over");
    }

    #[test]
    fn a_query_that_has_ended_does_not_remove_the_next() {
        let simulation = Simulation::new(1);
        let network = Manager::new(simulation.platform()).network();
        let one = asked(&network, "www.example.");
        let key = network.under_way().questions.lock().keys().next().cloned();
        let key = key.unwrap_or_else(|| panic!("it is under way"));
        drop(Place { network: network.clone(), key, number: u64::MAX });
        assert!(one.ptr_eq(&asked(&network, "www.example.")));
    }
}
