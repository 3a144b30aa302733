//! What becomes of an interface whose engine panics: it ends, with an event, and nothing else does.
//!
//! The engine is fed by strangers. A panic in it means that something is not as it believes, so nothing of it is used any
//! more: the interface is as one that was unmounted, its sockets fail with `NetworkDown`, and its name is free. Neither
//! the runner nor the guest whose call happened to be under way is ended by it.
//!
//! Where a program is built with `panic = "abort"`, there is nothing to be caught.

use std::panic::{AssertUnwindSafe, catch_unwind};

use xila_network_engine::Engine;

use super::Core;
use super::port::Port;
use crate::error::NetworkDown;
use crate::platform::Instant;

/// What an operation comes to on an interface that is gone.
pub(super) trait WhenGone {
    fn when_gone() -> Self;
}

impl<T, E: From<NetworkDown>> WhenGone for Result<T, E> {
    fn when_gone() -> Self {
        Err(NetworkDown.into())
    }
}

impl<T> WhenGone for Option<T> {
    fn when_gone() -> Self {
        None
    }
}

impl WhenGone for () {
    fn when_gone() -> Self {}
}

impl WhenGone for bool {
    fn when_gone() -> Self {
        false
    }
}

impl Core {
    /// Lets the engine do something, with the device at hand. The caller [tells](Core::tell) what happened.
    pub(super) fn engage<R: WhenGone>(&mut self, act: impl FnOnce(&mut Engine, &mut Port, Instant) -> R) -> R {
        let now = self.now;
        let Self { engine, port, .. } = self;
        let Some(port) = port else { return R::when_gone() };
        port.now = now;
        match catch_unwind(AssertUnwindSafe(|| act(engine, port, now))) {
            Ok(done) => done,
            Err(_) => {
                self.fail();
                R::when_gone()
            }
        }
    }

    /// The engine has panicked: the interface ends.
    fn fail(&mut self) {
        let interface = self.me.upgrade().map(|me| me.name.clone()).unwrap_or_default();
        tracing::error!(%interface, "the engine has panicked; the interface ends");
        self.statistics = self.statistics();
        self.failed = self.release_device();
        // What is left of the old one is in no state to be asked.
        self.engine = self.fresh_engine();
        self.rouse();
        self.forget_sockets();
    }

    /// Panics as a defect of the engine would.
    #[cfg(test)]
    pub(crate) fn panic(&mut self) {
        self.engage(|_, _, _| -> () { panic!("as the test demands") });
        self.tell();
    }
}

#[cfg(test)]
mod tests;
