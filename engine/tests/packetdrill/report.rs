//! Finds the scripts, runs them, and reports the results.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fmt;
use std::panic::{self, AssertUnwindSafe};
use std::path::{Path, PathBuf};

use super::executor::{self, Outcome};
use super::parser::{self, Unreadable};
use super::tolerances::Tolerance;
use super::world::Stop;
use super::{lexer, selftest};

/// The arguments of `cargo test`.
#[derive(Debug, Default)]
pub(crate) struct Arguments {
    filters: Vec<String>,
    is_list: bool,
    /// Whether the packets of failed scripts are shown.
    shows_wire: bool,
}

impl Arguments {
    pub(crate) fn new(arguments: impl Iterator<Item = String>) -> Self {
        let mut parsed = Self::default();
        for argument in arguments {
            match argument.as_str() {
                "--list" => parsed.is_list = true,
                "--nocapture" | "--no-capture" | "--show-output" => parsed.shows_wire = true,
                flag if flag.starts_with('-') => {}
                filter => parsed.filters.push(filter.to_owned()),
            }
        }
        parsed
    }

    /// Whether only the names are listed.
    pub(crate) const fn is_list(&self) -> bool {
        self.is_list
    }

    fn selects(&self, name: &str) -> bool {
        let is_in = |filter: &String| "packetdrill".contains(filter.as_str()) || name.contains(filter.as_str());
        self.filters.is_empty() || self.filters.iter().any(is_in)
    }
}

/// The results of the scripts in a folder.
#[derive(Debug, Default)]
pub(crate) struct Report {
    is_foreign: bool,
    passed: usize,
    failed: Vec<String>,
    skipped: Vec<String>,
    /// How many scripts needed each tolerance.
    tolerances: BTreeMap<Tolerance, usize>,
}

impl Report {
    /// Runs the self-test of the interpreter, and our own scripts under `folder`.
    pub(crate) fn of_ours(folder: &Path, arguments: &Arguments) -> Self {
        let mut report = Self::of(folder, false, arguments);
        if !arguments.is_list {
            report.failed.extend(selftest::run().into_iter().map(|failure| format!("the interpreter: {failure}")));
        }
        report
    }

    /// Runs the foreign scripts under `folder`.
    pub(crate) fn of_others(folder: &Path, arguments: &Arguments) -> Self {
        Self::of(folder, true, arguments)
    }

    fn of(folder: &Path, is_foreign: bool, arguments: &Arguments) -> Self {
        let mut report = Self { is_foreign, ..Self::default() };
        let mut found = Vec::new();
        if let Err(error) = scripts(folder, &mut found) {
            report.failed.push(format!("{}: {error}", folder.display()));
        }
        found.sort();
        for path in found {
            let name = path.strip_prefix(folder).unwrap_or(&path).display().to_string();
            if !arguments.selects(&name) {
                continue;
            }
            if arguments.is_list {
                println!("{name}: test");
                continue;
            }
            report.add(&name, &run(&path, is_foreign), arguments);
        }
        report
    }

    /// Whether nothing failed, and none of our own scripts was skipped.
    pub(crate) const fn is_success(&self) -> bool {
        self.failed.is_empty() && (self.is_foreign || self.skipped.is_empty())
    }

    fn add(&mut self, name: &str, outcome: &Outcome, arguments: &Arguments) {
        match &outcome.stop {
            None => {
                self.passed += 1;
                for tolerance in &outcome.tolerances {
                    *self.tolerances.entry(*tolerance).or_default() += 1;
                }
            }
            Some(Stop::Failed { line, message }) => {
                let mut text = format!("{name}:{line}: {}", message.replace('\n', "\n    "));
                if arguments.shows_wire {
                    text.extend(outcome.wire.iter().map(|packet| format!("\n    | {packet}")));
                }
                self.failed.push(text);
            }
            Some(Stop::Skipped(reason)) => self.skipped.push(format!("{name}: {}", reason.replace('\n', " "))),
        }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (title, scripts) in [("skipped", &self.skipped), ("failed", &self.failed)] {
            if !scripts.is_empty() {
                writeln!(formatter, "{title}:")?;
            }
            scripts.iter().try_for_each(|script| writeln!(formatter, "  {script}"))?;
        }
        if !self.tolerances.is_empty() {
            writeln!(formatter, "let pass, for a choice of FreeBSD's that no RFC asks for:")?;
        }
        for (tolerance, scripts) in &self.tolerances {
            writeln!(formatter, "  in {scripts} scripts: {}", tolerance.reason())?;
        }
        write!(formatter, "{} passed, {} failed, {} skipped", self.passed, self.failed.len(), self.skipped.len())
    }
}

/// All `.pkt` files under `folder`.
fn scripts(folder: &Path, found: &mut Vec<PathBuf>) -> std::io::Result<()> {
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            scripts(&path, found)?;
        } else if path.extension().is_some_and(|extension| extension == "pkt") {
            found.push(path);
        }
    }
    Ok(())
}

/// Runs one script: in its standard variant, and, if that fails, in FreeBSD's.
fn run(path: &Path, is_foreign: bool) -> Outcome {
    let source = match std::fs::read(path) {
        Ok(source) => String::from_utf8_lossy(&source).into_owned(),
        Err(error) => return Outcome::of(Stop::Failed { line: 0, message: error.to_string() }),
    };
    let first = run_variant(&source, "STANDARD", is_foreign);
    if first.stop.is_none() || !is_foreign || !lexer::has_variants(&source) {
        return first;
    }
    let mut second = run_variant(&source, "FreeBSD", is_foreign);
    if second.stop.is_none() {
        second.tolerances.push(Tolerance::Variant);
        return second;
    }
    first
}

thread_local! {
    /// The location and message of the last panic.
    static PANIC: RefCell<String> = const { RefCell::new(String::new()) };
}

fn run_variant(source: &str, symbol: &str, is_foreign: bool) -> Outcome {
    let script = match parser::parse(source, &[symbol]) {
        Ok(script) => script,
        Err(Unreadable::Syntax { line, message }) => return Outcome::of(Stop::Failed { line, message }),
        Err(Unreadable::Unsupported(reason)) => return Outcome::of(Stop::Skipped(reason)),
    };
    let default = panic::take_hook();
    panic::set_hook(Box::new(|panic| PANIC.with(|last| *last.borrow_mut() = panic.to_string())));
    let outcome = panic::catch_unwind(AssertUnwindSafe(|| executor::run(&script, is_foreign)));
    panic::set_hook(default);
    outcome.unwrap_or_else(|_| Outcome::of(Stop::Failed { line: 0, message: PANIC.with(|last| last.borrow().clone()) }))
}
