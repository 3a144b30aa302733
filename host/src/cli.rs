//! The command line `xila-net`: runs apps on interfaces made for them.
//!
//! | Module | Holds |
//! |---|---|
//! | `arguments` | the options, as clap reads them, and the help |
//! | `plan` | the options read and checked as a whole, before anything is touched |
//! | `interface`, `hubs`, `app`, `values` | what the words of single options mean |
//! | `mount` | interfaces, hubs and captures, put up and taken down |
//! | `memory` | where interfaces are remembered from one run to the next |
//! | `component` | components read and compiled; what an app's store holds, and how it is run |
//! | `turns` | the interruption of apps that only compute |
//! | `run` | the whole, from the first file read to the exit status |
//! | `simulate` | the same in virtual time, from one seed |
//! | `signals`, `output`, `table` | Ctrl-C, the apps' standard streams, the table of counts |

mod app;
mod arguments;
mod component;
mod hubs;
mod interface;
mod memory;
mod mount;
mod output;
mod plan;
mod run;
mod signals;
mod simulate;
mod table;
mod turns;
mod values;

use std::io::{self, IsTerminal as _, Write as _};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context as _;
use clap::Parser as _;
use tracing_subscriber::EnvFilter;

use self::arguments::{Command, CommandLine, RunArguments};
use self::plan::Plan;

/// The exit status after a mistake in the command line, as clap has it.
const MISTAKE: u8 = 2;

/// How long work that is of no use any more (a compilation after Ctrl-C) may hold up the end.
const SHUTDOWN: Duration = Duration::from_millis(100);

/// The program: does what the process's arguments say, and returns its exit status.
#[must_use]
pub fn main() -> ExitCode {
    match CommandLine::try_parse() {
        Ok(CommandLine { command: Command::Run(arguments) }) => start(&arguments).into(),
        Err(error) => {
            // Where the standard streams are closed, nobody is left to be told.
            let _ = error.print();
            u8::try_from(error.exit_code()).unwrap_or(MISTAKE).into()
        }
    }
}

fn start(arguments: &RunArguments) -> u8 {
    let plan = match log(arguments.verbose).and_then(|()| Plan::new(arguments)) {
        Ok(plan) => plan,
        Err(problem) => {
            say(&format!("error: {problem}\n\nFor more, try 'xila-net run --help'."));
            return MISTAKE;
        }
    };
    run_plan(&plan).unwrap_or_else(|error| {
        say(&format!("error: {error:#}"));
        1
    })
}

fn run_plan(plan: &Plan) -> anyhow::Result<u8> {
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

/// Sends the log to standard error: warnings, more with `-v`, or what `RUST_LOG` says.
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

/// Writes a message of this program to standard error. Where that is closed, nobody is left to be told.
fn say(message: &str) {
    let _ = writeln!(io::stderr(), "{message}");
}
