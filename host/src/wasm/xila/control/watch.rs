//! The host's end of `stream<interface-event>`.

use std::pin::Pin;
use std::task::{Context, Poll};

use wasmtime::StoreContextMut;
use wasmtime::component::{Destination, StreamProducer, StreamResult, VecBuffer};

use crate::interface::Watch;
use crate::policy::Charge;
use crate::wasm::bindings::control::InterfaceEvent;

/// The maximum number of events that one read of the stream returns.
const MOST_EVENTS: usize = 64;

/// Produces the events of the guest's interfaces. It is dropped when the guest drops the stream, which ends the watch.
pub(super) struct WatchProducer {
    watch: Watch,
    _charge: Charge,
}

impl WatchProducer {
    pub(super) const fn new(watch: Watch, charge: Charge) -> Self {
        Self { watch, _charge: charge }
    }

    /// Takes the queued events, at most `most`, and waits if there are none. Events that are not taken stay in the
    /// watch.
    fn poll_take(&mut self, context: &mut Context<'_>, most: usize) -> Poll<Vec<InterfaceEvent>> {
        let mut events = Vec::new();
        while events.len() < most {
            match self.watch.try_next() {
                Some(notice) => events.push(notice.into()),
                None if events.is_empty() => events.push(std::task::ready!(self.watch.poll_next(context)).into()),
                None => break,
            }
        }
        Poll::Ready(events)
    }
}

impl<D: 'static> StreamProducer<D> for WatchProducer {
    type Item = InterfaceEvent;
    type Buffer = VecBuffer<InterfaceEvent>;

    fn poll_produce<'a>(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        mut store: StoreContextMut<'a, D>,
        mut destination: Destination<'a, Self::Item, Self::Buffer>,
        finish: bool,
    ) -> Poll<wasmtime::Result<StreamResult>> {
        // If the host itself reads the stream, there is no count.
        let room = destination.remaining(&mut store).unwrap_or(1).min(MOST_EVENTS);
        // A read of zero events returns at once, even if there are none: the next read waits.
        match self.poll_take(context, room) {
            Poll::Ready(events) => {
                destination.set_buffer(events.into());
                Poll::Ready(Ok(StreamResult::Completed))
            }
            Poll::Pending if finish => Poll::Ready(Ok(StreamResult::Cancelled)),
            Poll::Pending => Poll::Pending,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::interface::{InterfaceConfig, State};
    use crate::manager::Manager;
    use crate::platform::simulated::Simulation;
    use crate::policy::{Limits, Quota, Usage};

    fn take(producer: &mut WatchProducer, most: usize) -> Option<Vec<String>> {
        match producer.poll_take(&mut Context::from_waker(std::task::Waker::noop()), most) {
            Poll::Ready(events) => Some(events.iter().map(|event| format!("{event:?}")).collect()),
            Poll::Pending => None,
        }
    }

    #[test]
    fn events_come_in_batches_and_what_is_not_taken_stays() {
        let manager = Manager::new(Simulation::new(1).platform());
        let quota = Quota::new(Limits::default());
        let mut producer = WatchProducer::new(manager.watch(), quota.charge_watch().expect("room"));
        assert_eq!(take(&mut producer, 8), None);

        let lo = manager.interface("lo").expect("lo");
        for _ in 0..3 {
            lo.set_state(State::Down);
            lo.set_state(State::Up);
        }
        assert_eq!(take(&mut producer, 0), Some(Vec::new()));
        assert_eq!(take(&mut producer, 4).expect("events").len(), 4);
        let rest = take(&mut producer, 8).expect("events");
        assert_eq!(rest.len(), 2);
        assert!(rest[0].contains("State::Down") && rest[1].contains("State::Up"), "{rest:?}");
        assert_eq!(take(&mut producer, 8), None);
    }

    #[test]
    fn a_slow_reader_is_told_how_many_events_were_lost() {
        let manager = Manager::new(Simulation::new(1).platform());
        let quota = Quota::new(Limits::default());
        let mut producer = WatchProducer::new(manager.watch(), quota.charge_watch().expect("room"));
        let lo = manager.interface("lo").expect("lo");
        for _ in 0..200 {
            lo.set_state(State::Down);
            lo.set_state(State::Up);
        }
        let events = take(&mut producer, 3).expect("events");
        assert_eq!(events.len(), 3);
        assert!(events[0].contains("Lost(144)"), "{events:?}");
        assert!(!events[1].contains("Lost"), "{events:?}");
    }

    #[test]
    fn dropping_the_stream_releases_the_watch() {
        let manager = Manager::new(Simulation::new(1).platform());
        let quota = Quota::new(Limits { watches: 1, ..Limits::default() });
        let producer = WatchProducer::new(manager.watch(), quota.charge_watch().expect("room"));
        assert!(quota.charge_watch().is_err());
        drop(producer);
        assert_eq!(quota.usage(), Usage::default());
        let config = InterfaceConfig::default();
        manager.mount_interface("lo2", crate::device::loopback::Loopback::new(), config).expect("an interface");
    }
}
