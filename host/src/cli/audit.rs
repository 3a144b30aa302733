//! The file of `--audit`: one line of JSON for each denial.

use core::sync::atomic::{AtomicU64, Ordering};
use std::fs::File;
use std::io::{LineWriter, Write};
use std::path::Path;
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::thread::{self, JoinHandle};

use anyhow::Context as _;
use parking_lot::Mutex;

use crate::policy::Denial;

/// The file of `--audit`. A thread of its own writes it, because denials are told while an interface is locked, and
/// every frame of a flood may be one.
#[derive(Debug)]
pub(super) struct AuditFile {
    writer: Mutex<Option<Writer>>,
    /// The number of denials that found too many lines waiting, and were not announced in the file yet.
    lost: AtomicU64,
}

#[derive(Debug)]
struct Writer {
    lines: SyncSender<String>,
    thread: JoinHandle<()>,
}

/// The number of lines that may wait to be written.
const MOST_LINES: usize = 4096;

impl AuditFile {
    /// # Errors
    /// If the file cannot be created, or the thread not started.
    pub(super) fn create(path: &Path) -> anyhow::Result<Self> {
        let file = File::create(path).with_context(|| format!("--audit {}: cannot create the file", path.display()))?;
        let (lines, written) = sync_channel(MOST_LINES);
        let thread = thread::Builder::new().name("audit".into()).spawn(move || write(file, &written))?;
        Ok(Self { writer: Mutex::new(Some(Writer { lines, thread })), lost: AtomicU64::new(0) })
    }

    /// Writes a denial, without waiting for the disk. If too many wait, it is only counted, and the number of those
    /// that are missing is written as soon as there is room: `{"lost":N}`.
    pub(super) fn write(&self, denial: &Denial) {
        let writer = self.writer.lock();
        let Some(Writer { lines, .. }) = &*writer else { return };
        let lost = self.lost.load(Ordering::Relaxed);
        let announced = lost == 0 || lines.try_send(format!("{{\"lost\":{lost}}}\n")).is_ok();
        if announced {
            self.lost.store(0, Ordering::Relaxed);
        }
        if !announced || matches!(lines.try_send(json(denial) + "\n"), Err(TrySendError::Full(_))) {
            self.lost.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Waits until everything is written. Later denials are not.
    pub(super) fn finish(&self) {
        let Some(Writer { lines, thread }) = self.writer.lock().take() else { return };
        let lost = self.lost.load(Ordering::Relaxed);
        if lost > 0 && lines.send(format!("{{\"lost\":{lost}}}\n")).is_err() {
            tracing::error!(lost, "denials are missing in the file of --audit");
        }
        drop(lines);
        if thread.join().is_err() {
            tracing::error!("the thread that writes the file of --audit has panicked");
        }
    }
}

/// Writes the lines as they come. Errors of the file are logged, because no caller can handle them.
fn write(file: File, lines: &Receiver<String>) {
    let mut file = LineWriter::new(file);
    for line in lines {
        if let Err(error) = file.write_all(line.as_bytes()) {
            tracing::error!(%error, "a denial was not written to the file of --audit");
        }
    }
}

/// A denial as a JSON object (RFC 8259). It is formatted by hand because a JSON crate implements comparisons of its
/// values with numbers, which make type inference ambiguous in every program that depends on this crate.
fn json(denial: &Denial) -> String {
    let mut members = vec![
        ("seconds", denial.at.since_origin().as_secs_f64().to_string()),
        ("app", quoted(&denial.guest)),
        ("operation", quoted(&denial.operation.to_string())),
    ];
    members.extend(denial.interface.as_deref().map(|interface| ("interface", quoted(interface))));
    members.extend(denial.local.map(|local| ("local", quoted(&local.to_string()))));
    members.extend(denial.remote.map(|remote| ("remote", quoted(&remote.to_string()))));
    members.extend(denial.name.as_deref().map(|name| ("name", quoted(name))));
    members.extend(denial.command.as_deref().map(|command| ("command", quoted(command))));
    members.extend(denial.line.map(|line| ("line", line.to_string())));
    let members: Vec<String> = members.into_iter().map(|(key, value)| format!("\"{key}\":{value}")).collect();
    format!("{{{}}}", members.join(","))
}

/// A JSON string (RFC 8259 section 7).
fn quoted(text: &str) -> String {
    let mut quoted = String::from("\"");
    for letter in text.chars() {
        match letter {
            '"' | '\\' => quoted.extend(['\\', letter]),
            '\0'..='\x1f' => quoted.push_str(&format!("\\u{:04x}", u32::from(letter))),
            _ => quoted.push(letter),
        }
    }
    quoted.push('"');
    quoted
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::sync::Arc;
    use std::sync::mpsc::channel;

    use super::*;
    use crate::Manager;
    use crate::platform::simulated::Simulation;
    use crate::policy::{Audit, Policy};
    use crate::socket::{GuestOptions, TcpStream};

    /// A denial of a connection.
    fn denial() -> Denial {
        let (told, denials) = channel();
        let audit: Arc<dyn Audit> = Arc::new(move |denial: Denial| told.send(denial).expect("somebody listens"));
        let simulation = Simulation::new(1);
        let manager = Manager::new(simulation.platform());
        let network = manager.network().for_guest_with(GuestOptions {
            label: "a \"quoted\".wasm".into(),
            policy: Some(Policy::deny_all()),
            audit: Some(audit),
            ..GuestOptions::default()
        });
        let remote = "127.0.0.1:80".parse().expect("an address");
        assert!(simulation.block_on(TcpStream::connect(&network, remote)).is_err());
        denials.recv().expect("a denial")
    }

    #[test]
    fn a_denial_is_a_line_of_json() {
        let path = std::env::temp_dir().join(format!("xila-audit-{}.json", std::process::id()));
        let audit = AuditFile::create(&path).expect("a file");
        audit.write(&denial());
        audit.finish();
        audit.write(&denial());
        let text = fs::read_to_string(&path).expect("text");
        fs::remove_file(&path).expect("it is there");
        let (seconds, rest) = text.split_once(',').expect("members");
        assert!(seconds.starts_with("{\"seconds\":"), "{text}");
        assert_eq!(
            rest,
            "\"app\":\"a \\\"quoted\\\".wasm\",\"operation\":\"tcp connect\",\"interface\":\"lo\",\"remote\":\"127.0.0.1:80\"}\n"
        );
        assert_eq!(quoted("a\\b\n\u{e9}"), "\"a\\\\b\\u000a\u{e9}\"");
    }

    #[test]
    fn denials_do_not_wait_for_a_slow_disk_and_what_is_missing_is_told() {
        let (lines, written) = sync_channel(3);
        let (go, may_go) = channel();
        let (line, file) = channel();
        let thread = thread::spawn(move || {
            while may_go.recv().is_ok() {
                let next: String = written.recv().expect("a line");
                line.send(next).expect("somebody reads");
            }
            written.iter().for_each(|next| line.send(next).expect("somebody reads"));
        });
        let writer = Mutex::new(Some(Writer { lines, thread }));
        let audit = AuditFile { writer, lost: AtomicU64::new(0) };
        let denial = denial();
        (0..10).for_each(|_| audit.write(&denial));
        (0..2).for_each(|_| go.send(()).expect("it waits"));
        let first: Vec<String> = file.iter().take(2).collect();
        (0..2).for_each(|_| audit.write(&denial));
        drop(go);
        audit.finish();
        let line = json(&denial) + "\n";
        assert!(first.iter().all(|told| *told == line), "{first:?}");
        let rest: Vec<String> = file.iter().collect();
        assert_eq!(rest, [&*line, "{\"lost\":7}\n", &*line, "{\"lost\":1}\n"]);
    }
}
