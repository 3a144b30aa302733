//! The task that keeps a stack going while nobody calls it.

use core::future::poll_fn;
use core::task::Poll;

use crate::platform::Platform;
use crate::stack::{Stack, Turn};

/// Runs a stack until it is unmounted: sleeps until the device is ready, a timer is due or a caller has left work over,
/// then handles it, a bounded number of frames at a time.
pub(crate) async fn run(stack: Stack, platform: Platform) {
    let mut timer = platform.clock.timer();
    loop {
        let ended = poll_fn(|context| match stack.poll_run(context) {
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
