//! dnsmasq as a peer: a DHCP and DNS server that can also send router advertisements.

use crate::netns::{Namespace, Peer, TemporaryFile};

/// A dnsmasq process in a namespace. It is killed when this value is dropped.
#[derive(Debug)]
pub struct Dnsmasq {
    peer: Peer,
    _leases: TemporaryFile,
}

impl Dnsmasq {
    /// Starts dnsmasq on the namespace's TAP interface, unless `--listen-address` is among the arguments, and waits
    /// until it serves. It ignores the machine's own configuration, and has its own file of leases.
    ///
    /// # Panics
    /// If dnsmasq ends instead.
    pub async fn start(namespace: &Namespace, arguments: &[&str]) -> Self {
        let leases = TemporaryFile::new(b"");
        let interface = format!("--interface={}", namespace.interface());
        let lease_file = format!("--dhcp-leasefile={}", leases.path());
        // dnsmasq writes its log to standard error.
        let mut all = vec!["-c", "exec dnsmasq \"$@\" 2>&1", "dnsmasq", "--no-daemon", "--conf-file=/dev/null"];
        all.extend(["--no-resolv", "--no-hosts", "--bind-interfaces", &lease_file]);
        if !arguments.iter().any(|argument| argument.starts_with("--listen-address")) {
            all.push(&interface);
        }
        all.extend(arguments);
        let mut dnsmasq = Self { peer: namespace.start("sh", &all), _leases: leases };
        dnsmasq.says("started, version").await;
        dnsmasq
    }

    /// Waits for a line of its log that contains `text`, and returns the line.
    ///
    /// # Panics
    /// If dnsmasq ends instead.
    pub async fn says(&mut self, text: &str) -> String {
        loop {
            let line = self.peer.line().await;
            if line.contains(text) {
                return line;
            }
            println!("{line}");
        }
    }

    /// Makes the server read its hosts files again.
    ///
    /// # Panics
    /// If that fails.
    pub fn read_again(&self) {
        self.peer.signal("HUP");
    }

    /// Kills the process, and waits until it has ended.
    ///
    /// # Panics
    /// If that fails.
    pub async fn kill(self) {
        self.peer.kill().await;
    }
}
