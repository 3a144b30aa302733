//! What the engine tells becomes wakes, messages in mailboxes, and events of the interface.

use xila_network_engine::event::Event;

use super::Core;

impl Core {
    /// Lets the engine do what has become due by a change, and tells what happened.
    pub(super) fn act(&mut self) {
        self.engage(|engine, port, now| engine.act(now, port));
        self.tell();
    }

    /// Tells whom it concerns of what the engine did, and gives those a turn who have something to send.
    pub(super) fn tell(&mut self) {
        while let Some(event) = self.engine.poll_event() {
            match event {
                Event::Readable(id) => self.readable(id),
                Event::Writable(id) => self.writable(id),
                Event::Acceptable(id) => self.acceptable(id),
                Event::Removed(id) => self.removed(id),
                Event::Datagram { to, datagram } => self.datagram_arrived(to, datagram),
                Event::PathError { to, remote, error } => self.datagram_failed(to, remote, error),
                Event::EchoReply(reply) => self.echo_arrived(reply),
                Event::Report(report) => self.error_arrived(&report),
                Event::Uncrowded => self.rouse_hopeful(),
                Event::Changed(change) => self.announce_change(change),
            }
        }
        self.schedule_connections();
    }
}
