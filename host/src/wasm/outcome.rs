//! The outcome of a stream: passes the result at its end to the future that was returned together with the stream.

use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll};

use futures_util::task::AtomicWaker;

use crate::error::Result;

/// The end of an outcome that sets the result.
pub(super) struct Resolver(Arc<Shared>);

/// The end of an outcome that waits for the result.
pub(super) struct Outcome(Arc<Shared>);

#[derive(Default)]
struct Shared {
    result: OnceLock<Result<()>>,
    reader: AtomicWaker,
}

/// Makes the two ends of an outcome.
pub(super) fn outcome() -> (Resolver, Outcome) {
    let shared = Arc::<Shared>::default();
    (Resolver(shared.clone()), Outcome(shared))
}

impl Resolver {
    /// Sets the result of the stream. Only the first call has an effect.
    pub(super) fn resolve(&self, result: Result<()>) {
        if self.0.result.set(result).is_ok() {
            self.0.reader.wake();
        }
    }

    /// Whether the result has been set.
    pub(super) fn is_resolved(&self) -> bool {
        self.0.result.get().is_some()
    }
}

impl Future for Outcome {
    type Output = Result<()>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<()>> {
        // The waker is registered before the result is checked again, so that a result which is set in between is not
        // missed.
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
    fn the_first_result_counts() {
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
