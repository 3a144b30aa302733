//! radvd as a test peer: a router whose advertisements follow its configuration, which may change while it runs.

use std::fs;

use crate::netns::{Namespace, Peer, TemporaryFile};

/// A radvd that runs in a namespace. The process is killed when this value is dropped.
#[derive(Debug)]
pub struct Radvd {
    peer: Peer,
    interface: String,
    configuration: TemporaryFile,
    _process: TemporaryFile,
}

impl Radvd {
    /// Starts radvd on the namespace's TAP interface, which needs a link-local address. It advertises every three or
    /// four seconds; `said` is added to the interface's section in the syntax of radvd.conf(5). `sh` is needed.
    ///
    /// # Panics
    /// If radvd cannot be started.
    #[must_use]
    pub fn start(namespace: &Namespace, said: &str) -> Self {
        // radvd refuses to advertise a router that does not forward.
        namespace.forward();
        let interface = namespace.interface().to_owned();
        let configuration = TemporaryFile::new(text(&interface, said).as_bytes());
        let process = TemporaryFile::new(b"");
        // radvd logs to standard error, and nobody reads the log.
        let log = ["-c", "exec radvd \"$@\" 2>&1", "radvd", "--nodaemon", "--logmethod=stderr"];
        let files = ["--config", configuration.path(), "--pidfile", process.path()];
        let peer = namespace.start("sh", &[&log[..], &files].concat());
        Self { peer, interface, configuration, _process: process }
    }

    /// Replaces the configuration, and makes radvd advertise it at once.
    ///
    /// # Panics
    /// If the configuration cannot be written or radvd cannot be told to reload it.
    pub fn say(&self, said: &str) {
        let path = self.configuration.path();
        fs::write(path, text(&self.interface, said)).unwrap_or_else(|error| panic!("{path}: {error}"));
        self.peer.signal("HUP");
    }
}

fn text(interface: &str, said: &str) -> String {
    format!("interface {interface} {{ AdvSendAdvert on; MinRtrAdvInterval 3; MaxRtrAdvInterval 4; {said} }};\n")
}
