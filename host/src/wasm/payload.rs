//! Payloads that the host holds for a guest while a send waits.

use std::future::poll_fn;
use std::pin::pin;

use crate::error::{Error, Result};
use crate::policy::Quota;

/// The result of a send whose payload takes `bytes` bytes. If the send must wait, the payload is charged to the guest's
/// memory until it ends: a guest can start very many of them.
///
/// # Errors
/// [`Error::LimitReached`] if it would have to wait and the guest has no memory for that: nothing was sent then. Else as
/// for `send`.
pub(super) async fn sent<T, E: Into<Error>>(
    quota: &Quota,
    bytes: usize,
    send: impl Future<Output = Result<T, E>>,
) -> Result<T> {
    let mut send = pin!(send);
    let mut charge = None;
    poll_fn(|cx| {
        let result = send.as_mut().poll(cx).map_err(E::into);
        if result.is_pending() && charge.is_none() {
            charge = Some(quota.charge_memory(bytes)?);
        }
        result
    })
    .await
}

#[cfg(test)]
mod tests {
    use std::future::{pending, ready};

    use futures_util::FutureExt as _;

    use super::*;
    use crate::policy::Limits;

    #[test]
    fn only_a_send_that_waits_is_charged_and_for_as_long_as_it_waits() {
        let quota = Quota::new(Limits { buffer_bytes: 100, ..Limits::default() });
        assert_eq!(sent(&quota, 1000, ready(Ok::<_, Error>(7))).now_or_never(), Some(Ok(7)), "it does not wait");
        let mut waiting = Box::pin(sent(&quota, 60, pending::<Result<()>>()));
        assert_eq!((waiting.as_mut().now_or_never(), quota.usage().buffer_bytes), (None, 60));
        assert_eq!((waiting.as_mut().now_or_never(), quota.usage().buffer_bytes), (None, 60), "it is charged once");
        assert_eq!(sent(&quota, 41, pending::<Result<()>>()).now_or_never(), Some(Err(Error::LimitReached)));
        assert_eq!((quota.usage().buffer_bytes, quota.refusals()), (60, 1));
        drop(waiting);
        assert_eq!(quota.usage().buffer_bytes, 0);
    }
}
