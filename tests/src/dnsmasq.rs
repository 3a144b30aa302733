//! dnsmasq as a peer: a DHCP and DNS server, and a router that advertises itself.

use crate::netns::{Namespace, Peer, TemporaryFile};

/// A dnsmasq that runs in a namespace. It is killed when this is dropped.
#[derive(Debug)]
pub struct Dnsmasq {
    peer: Peer,
    _leases: TemporaryFile,
}

impl Dnsmasq {
    /// Starts it on the namespace's TAP interface, unless `--listen-address` is among the arguments, with nothing from
    /// the machine's own configuration, and waits until it serves. Its leases are in a file of its own.
    ///
    /// # Panics
    /// If it ends instead.
    pub async fn start(namespace: &Namespace, arguments: &[&str]) -> Self {
        let leases = TemporaryFile::new(b"");
        let interface = format!("--interface={}", namespace.interface());
        let lease_file = format!("--dhcp-leasefile={}", leases.path());
        // It writes its log to standard error.
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

    /// Waits for a line of its log that contains `text`; that line.
    ///
    /// # Panics
    /// If it ends instead.
    pub async fn says(&mut self, text: &str) -> String {
        loop {
            let line = self.peer.line().await;
            if line.contains(text) {
                return line;
            }
            println!("{line}");
        }
    }

    /// Kills it, and waits until it is gone.
    ///
    /// # Panics
    /// If that fails.
    pub async fn kill(self) {
        self.peer.kill().await;
    }
}
