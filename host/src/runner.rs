//! The runner: the task of a stack that handles received frames and timers, and the work that callers leave.

use core::future::poll_fn;
use core::task::Poll;

use crate::platform::Platform;
use crate::stack::{Stack, Turn};

/// Runs a stack until it is unmounted. Sleeps until the device is ready, a timer is due or a caller has left work, then
/// handles it, at most a fixed number of frames before other tasks may run.
pub(crate) async fn run(stack: Stack, platform: Platform) {
    let mut timer = platform.clock.timer();
    let span = tracing::info_span!("interface", name = %stack.name());
    loop {
        let ended = poll_fn(|context| match span.in_scope(|| stack.poll_run(context)) {
            Turn::Ended => Poll::Ready(true),
            Turn::Again => Poll::Ready(false),
            Turn::Sleep(deadline) => {
                timer.set(deadline);
                timer.poll(context).map(|()| false)
            }
        })
        .await;
        if ended {
            return;
        }
        yield_now().await;
    }
}

/// Lets other tasks run.
async fn yield_now() {
    let mut yielded = false;
    poll_fn(|context| {
        if yielded {
            return Poll::Ready(());
        }
        yielded = true;
        context.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}
