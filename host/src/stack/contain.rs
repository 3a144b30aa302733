//! Containment of the engine.
//!
//! smoltcp is fed by strangers, and asserts what it believes of itself. A panic in it, or in a device that it calls, ends
//! neither the runner nor the guest whose call happened to be under way: the frame at hand is lost, as frames may be, and
//! the engine is [built anew](Core::rebuild) before anything else asks it. Connections are not in the engine, so they go on.
//! One that makes a fresh engine panic too is ended.
//!
//! Where a program is built with `panic = "abort"`, there is nothing to be caught.

use std::panic::{AssertUnwindSafe, catch_unwind};

use super::Core;
use super::phy::Port;

/// Calls the engine; `None` where it panicked, which `port` remembers until [`Core::mend_engine`].
pub(super) fn contained<R>(port: &mut Port, call: impl FnOnce(&mut Port) -> R) -> Option<R> {
    // What the call leaves half-done is the engine's, which is thrown away, and one socket's, whose owner is told.
    let result = catch_unwind(AssertUnwindSafe(|| call(port))).ok();
    port.broken |= result.is_none();
    result
}

impl Core {
    /// Panics as a defect of the engine would.
    #[cfg(test)]
    pub(crate) fn tcp_panic(&mut self) {
        self.tcp_with(|_, _, _| -> () { panic!("as the test demands") });
    }

    /// Builds the engine anew where it has panicked; whether it had.
    pub(super) fn mend_engine(&mut self) -> bool {
        let Some(port) = self.port.as_mut().filter(|port| port.broken) else { return false };
        port.broken = false;
        let interface = self.me.upgrade().map(|me| me.name.clone()).unwrap_or_default();
        tracing::error!(%interface, "the engine has panicked and is built anew");
        self.rebuild();
        true
    }
}

#[cfg(test)]
mod tests;
