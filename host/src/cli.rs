//! The command line `xila-net`: runs apps on interfaces made for them.
//!
//! | Module | Contents |
//! |---|---|
//! | `arguments` | the options as clap parses them, and the help |
//! | `plan` | the plan: all options, parsed and checked before anything is started |
//! | `interface`, `hubs`, `app`, `values` | parsing of the values of single options |
//! | `policy` | rules about what apps may do, the file of denials, and `policy check` |
//! | `mount` | mounting and unmounting of interfaces, hubs and captures |
//! | `memory` | the folder where interfaces are remembered from one run to the next |
//! | `component` | reading, compiling and running of components |
//! | `turns` | interruption of apps that only compute |
//! | `run` | running a plan, from reading the first file to the exit status |
//! | `serve` | requests that a component answers |
//! | `simulate` | the same in virtual time, from one seed |
//! | `signals`, `output`, `table` | Ctrl-C, the standard streams of apps, the table of counters |

mod app;
mod arguments;
mod audit;
mod component;
mod engines;
mod gateway;
mod hubs;
mod interface;
mod limits;
mod memory;
mod mount;
mod output;
mod plan;
mod policy;
mod publish;
mod run;
mod serve;
mod services;
mod signals;
mod simulate;
mod table;
mod turns;
mod values;

use std::io::{self, IsTerminal as _, Write as _};
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use clap::Parser as _;
use tracing_subscriber::EnvFilter;

use self::arguments::{Command, CommandLine, PolicyCommand};
use self::plan::Plan;

/// The exit status after a mistake in the command line, the same as clap's.
const MISTAKE: u8 = 2;

/// The maximum time for which useless work (a compilation after Ctrl-C) may delay the end.
const SHUTDOWN: Duration = Duration::from_millis(100);

/// The program: parses the arguments of the process, runs the command, and returns the exit status.
#[must_use]
pub fn main() -> ExitCode {
    match CommandLine::try_parse() {
        Ok(CommandLine { command: Command::Run(arguments) }) => {
            start("run", arguments.verbose, || Plan::new(&arguments)).into()
        }
        Ok(CommandLine { command: Command::Serve(arguments) }) => {
            start("serve", arguments.run.verbose, || Plan::serving(&arguments)).into()
        }
        Ok(CommandLine { command: Command::Policy(PolicyCommand::Check { file, operation }) }) => {
            explain(&file, &operation).into()
        }
        Err(error) => {
            // If the standard streams are closed, the message is lost.
            let _ = error.print();
            u8::try_from(error.exit_code()).unwrap_or(MISTAKE).into()
        }
    }
}

fn explain(file: &Path, operation: &str) -> u8 {
    match policy::check(file, operation) {
        Ok((why, status)) => {
            let _ = writeln!(io::stdout(), "{why}");
            status
        }
        Err(problem) => {
            say(&format!("error: {problem}"));
            MISTAKE
        }
    }
}

fn start(command: &str, verbosity: u8, plan: impl FnOnce() -> Result<Plan, String>) -> u8 {
    let plan = match log(verbosity).and_then(|()| plan()) {
        Ok(plan) => Arc::new(plan),
        Err(problem) => {
            say(&format!("error: {problem}\n\nFor more, try 'xila-net {command} --help'."));
            return MISTAKE;
        }
    };
    run_plan(&plan).unwrap_or_else(|error| {
        say(&format!("error: {error:#}"));
        1
    })
}

fn run_plan(plan: &Arc<Plan>) -> anyhow::Result<u8> {
    if let Some(seed) = plan.simulate {
        return simulate::simulate(plan, seed);
    }
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(plan.threads)
        .enable_all()
        .build()
        .context("cannot start the threads")?;
    let status = runtime.block_on(run::run(plan));
    runtime.shutdown_timeout(SHUTDOWN);
    status
}

/// Sends the log to standard error: warnings, more with `-v`, or as set by `RUST_LOG`.
fn log(verbosity: u8) -> Result<(), String> {
    let filter = match std::env::var("RUST_LOG") {
        Ok(filter) if !filter.is_empty() => {
            EnvFilter::try_new(&filter).map_err(|error| format!("RUST_LOG={filter}: {error}"))?
        }
        _ => EnvFilter::new(match verbosity {
            0 => "warn",
            1 => "warn,xila_network_host=info",
            2 => "warn,xila_network_host=debug",
            _ => "warn,xila_network_host=trace",
        }),
    };
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(io::stderr)
        .with_ansi(io::stderr().is_terminal())
        .try_init()
        .map_err(|error| error.to_string())
}

/// Writes a message of this program to standard error. If that is closed, the message is lost.
fn say(message: &str) {
    let _ = writeln!(io::stderr(), "{message}");
}
