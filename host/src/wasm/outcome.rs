//! How the end of a stream reaches the future that was handed out with it.

use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll};

use futures_util::task::AtomicWaker;

use crate::error::Result;

/// The end that knows how the stream ended.
pub(super) struct Resolver(Arc<Shared>);

/// The end that waits for it.
pub(super) struct Outcome(Arc<Shared>);

#[derive(Default)]
struct Shared {
    result: OnceLock<Result<()>>,
    reader: AtomicWaker,
}

/// The two ends of one outcome.
pub(super) fn outcome() -> (Resolver, Outcome) {
    let shared = Arc::<Shared>::default();
    (Resolver(shared.clone()), Outcome(shared))
}

impl Resolver {
    /// Tells how the stream ended. The first word counts.
    pub(super) fn resolve(&self, result: Result<()>) {
        if self.0.result.set(result).is_ok() {
            self.0.reader.wake();
        }
    }

    /// Whether the end has been told.
    pub(super) fn is_resolved(&self) -> bool {
        self.0.result.get().is_some()
    }
}

impl Future for Outcome {
    type Output = Result<()>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<()>> {
        // Registered before it looks again: a result that comes in between wakes it.
        if self.0.result.get().is_none() {
            self.0.reader.register(cx.waker());
        }
        match self.0.result.get() {
            Some(result) => Poll::Ready(result.clone()),
            None => Poll::Pending,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Error;

    #[test]
    fn the_first_word_counts() {
        let (resolver, outcome) = outcome();
        assert!(!resolver.is_resolved());
        resolver.resolve(Err(Error::ConnectionReset));
        resolver.resolve(Ok(()));
        assert_eq!(futures_util::FutureExt::now_or_never(outcome), Some(Err(Error::ConnectionReset)));
    }

    #[test]
    fn an_outcome_that_is_not_known_yet_is_awaited() {
        let (resolver, mut outcome) = outcome();
        let mut cx = Context::from_waker(std::task::Waker::noop());
        assert!(Pin::new(&mut outcome).poll(&mut cx).is_pending());
        resolver.resolve(Ok(()));
        assert_eq!(Pin::new(&mut outcome).poll(&mut cx), Poll::Ready(Ok(())));
    }
}
