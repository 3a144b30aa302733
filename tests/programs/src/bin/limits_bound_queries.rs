//! There are no more queries in progress than the host allows, and a query that is cancelled makes room for another.
//!
//! The host must allow two queries, and have a name server that never answers.

use std::pin::pin;

use futures_util::future::poll_immediate;
use xila_network::Family;
use xila_network::dns::{RecordType, ResolveError, lookup, resolve, resolve_family};
use xila_network_programs::*;

xila_network::main!(run);

async fn run() {
    let refused = ResolveError::Other(Error::LimitReached);
    for round in 0..50 {
        let mut first = pin!(lookup("one.test.", RecordType::MX));
        assert!(poll_immediate(&mut first).await.is_none(), "nobody answers");
        {
            let mut second = pin!(resolve("two.test."));
            assert!(poll_immediate(&mut second).await.is_none(), "nobody answers");
            assert_eq!(resolve("three.test.").await, Err(refused), "round {round}");
            assert_eq!(lookup("three.test.", RecordType::A).await, Err(refused), "round {round}");
        }
        // The second was cancelled.
        let mut third = pin!(resolve_family("three.test.", Family::V4));
        assert!(poll_immediate(&mut third).await.is_none(), "there is room for it, round {round}");
        assert!(poll_immediate(&mut first).await.is_none(), "the first goes on");
    }
}
