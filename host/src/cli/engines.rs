//! The engines that compile and run components.

use anyhow::Result;
use wasmtime::component::Linker;
use wasmtime::{Config, Enabled, Engine, PoolingAllocationConfig};

use crate::wasm::command::{self, State};
use crate::wasm::http;

/// An engine, and what the components that it runs may import.
pub(super) struct AppEngine {
    pub(super) engine: Engine,
    pub(super) link: fn(&mut Linker<State>) -> wasmtime::Result<()>,
}

/// The engines of all apps.
pub(super) struct Engines {
    /// For components of which an instance answers each request: it takes its memory from a pool.
    pool: Option<AppEngine>,
    /// For programs of WASI 0.2, without concurrency support, which makes their calls cheaper. A component with
    /// asynchronous functions is invalid for it, which it detects before it compiles anything.
    p2: AppEngine,
    /// For all other programs.
    all: AppEngine,
}

impl Engines {
    /// Engines for a run in real time. If a component answers requests, `requests` says how many at once.
    pub(super) fn new(requests: Option<usize>) -> Result<Self> {
        let configured = |concurrency| {
            let mut config = Config::new();
            config.concurrency_support(concurrency).epoch_interruption(true);
            config
        };
        // The reservation fails where this process may not have so many addresses.
        let pool = requests.and_then(pool).and_then(|pool| {
            let engine = Engine::new(configured(false).allocation_strategy(pool));
            engine.inspect_err(|error| tracing::info!("instances have no pool of memory: {error:#}")).ok()
        });
        Ok(Self {
            pool: pool.map(|engine| AppEngine { engine, link: link_p2 }),
            p2: AppEngine { engine: Engine::new(&configured(false))?, link: link_p2 },
            all: AppEngine { engine: Engine::new(&configured(true))?, link: link_all },
        })
    }

    /// Engines for a simulation: the turns of their programs are measured by executed instructions, not by time. Their
    /// programs have no `wasi:http` and `wasi:tls`, whose tasks run by the clock of tokio.
    pub(super) fn simulated() -> Result<Self> {
        let engine = |concurrency| {
            let mut config = Config::new();
            config.concurrency_support(concurrency).consume_fuel(true).cranelift_nan_canonicalization(true);
            Engine::new(&config)
        };
        Ok(Self {
            pool: None,
            p2: AppEngine { engine: engine(false)?, link: command::add_p2_to_linker },
            all: AppEngine { engine: engine(true)?, link: command::add_to_linker },
        })
    }

    /// All engines.
    pub(super) fn each(&self) -> impl Iterator<Item = &Engine> {
        self.of_answering().map(|engine| &engine.engine)
    }

    /// Those for programs, the cheapest first.
    pub(super) fn of_programs(&self) -> impl Iterator<Item = &AppEngine> {
        [&self.p2, &self.all].into_iter()
    }

    /// Those for components that answer requests, the cheapest first.
    pub(super) fn of_answering(&self) -> impl Iterator<Item = &AppEngine> {
        self.pool.iter().chain(self.of_programs())
    }
}

fn link_p2(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    command::add_p2_to_linker(linker)?;
    http::add_p2_to_linker(linker)
}

fn link_all(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    command::add_to_linker(linker)?;
    http::add_to_linker(linker)
}

/// How many requests may be answered at once by instances of a pool. For more the addresses might not suffice.
const MOST: usize = 1000;
/// How many memories and tables an instance of a pool may have. A component that needs more has no pool.
const MEMORIES: u32 = 2;
const TABLES: u32 = 4;
/// How many elements a table may have. The runtimes of interpreted languages need tens of thousands.
const ELEMENTS: usize = 200_000;
/// How many bytes of its memory an instance leaves to the next one, set to zero.
const KEPT: usize = 1 << 20;

/// A pool for so many instances at once, if that is possible: an instance of it needs no system calls and hardly any page
/// faults to have its memory, which otherwise is most of the work for a short request.
fn pool(requests: usize) -> Option<PoolingAllocationConfig> {
    let instances = u32::try_from(requests.min(MOST + 1)).ok().filter(|_| requests <= MOST)?;
    let mut pool = PoolingAllocationConfig::new();
    // These are only counted.
    pool.total_component_instances(u32::MAX).total_core_instances(u32::MAX);
    pool.max_memories_per_component(MEMORIES).total_memories(instances * MEMORIES);
    pool.max_tables_per_component(TABLES).total_tables(instances * TABLES).table_elements(ELEMENTS);
    pool.total_stacks(instances);
    pool.linear_memory_keep_resident(KEPT).table_keep_resident(KEPT).pagemap_scan(Enabled::Auto);
    Some(pool)
}

#[cfg(test)]
mod tests {
    use wasmtime::component::Component;

    use super::*;

    /// A component with one core module, which has so many memories of a page each.
    fn with_memories(count: u8) -> Vec<u8> {
        let memories: Vec<u8> = [0, 1].repeat(usize::from(count));
        let section = [&[5, count * 2 + 1, count][..], &memories].concat();
        let module = [b"\0asm\x01\0\0\0", &section[..]].concat();
        let length = u8::try_from(module.len()).expect("a short module");
        [b"\0asm\x0d\0\x01\0\x01", &[length][..], &module].concat()
    }

    #[test]
    fn a_component_that_needs_more_than_a_pool_has_runs_without_one() {
        let engines = Engines::new(Some(8)).expect("engines");
        let pool = engines.pool.as_ref().expect("a pool");
        for (memories, fits) in [(1, true), (2, false)] {
            let component = with_memories(memories);
            let runs = |engine: &&AppEngine| Component::new(&engine.engine, &component).is_ok();
            let engine = engines.of_answering().find(runs).expect("an engine");
            assert_eq!(Engine::same(&engine.engine, &pool.engine), fits, "{memories} memories");
        }
    }

    #[test]
    fn only_what_answers_a_bounded_number_of_requests_has_a_pool() {
        for (requests, has_pool) in [(None, false), (Some(1), true), (Some(MOST), true), (Some(MOST + 1), false)] {
            let engines = Engines::new(requests).expect("engines");
            assert_eq!(engines.pool.is_some(), has_pool, "{requests:?}");
            assert_eq!(engines.each().count(), if has_pool { 3 } else { 2 });
            assert_eq!(engines.of_programs().count(), 2);
        }
    }
}
