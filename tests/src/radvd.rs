//! radvd as a peer: a router that advertises what its configuration says, which may change while it runs.

use std::fs;

use crate::netns::{Namespace, Peer, TemporaryFile};

/// A radvd that runs in a namespace. It is killed when this is dropped.
#[derive(Debug)]
pub struct Radvd {
    peer: Peer,
    interface: String,
    configuration: TemporaryFile,
    _process: TemporaryFile,
}

impl Radvd {
    /// Starts it on the namespace's TAP interface, which needs a link-local address. It advertises itself every three or
    /// four seconds, with what `said` adds in the words of radvd.conf(5). `sh` is needed.
    ///
    /// # Panics
    /// Where that fails.
    #[must_use]
    pub fn start(namespace: &Namespace, said: &str) -> Self {
        // It refuses to advertise a router that forwards nothing.
        namespace.forward();
        let interface = namespace.interface().to_owned();
        let configuration = TemporaryFile::new(text(&interface, said).as_bytes());
        let process = TemporaryFile::new(b"");
        // It writes its log to standard error, and nobody reads it.
        let log = ["-c", "exec radvd \"$@\" 2>&1", "radvd", "--nodaemon", "--logmethod=stderr"];
        let files = ["--config", configuration.path(), "--pidfile", process.path()];
        let peer = namespace.start("sh", &[&log[..], &files].concat());
        Self { peer, interface, configuration, _process: process }
    }

    /// From now on it says this instead, and at once.
    ///
    /// # Panics
    /// Where that fails.
    pub fn say(&self, said: &str) {
        let path = self.configuration.path();
        fs::write(path, text(&self.interface, said)).unwrap_or_else(|error| panic!("{path}: {error}"));
        self.peer.signal("HUP");
    }
}

fn text(interface: &str, said: &str) -> String {
    format!("interface {interface} {{ AdvSendAdvert on; MinRtrAdvInterval 3; MaxRtrAdvInterval 4; {said} }};\n")
}
