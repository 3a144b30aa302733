//! The wall clock and the random numbers of a platform, for programs in a simulation.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use rand_core::TryRng;
use wasmtime_wasi::{HostWallClock, WasiCtxBuilder};

use crate::platform::{Clock, Platform, Random};

/// Gives a program the wall clock and the random numbers of `platform` in place of those of the machine, so that it
/// does the same in each run of a [simulation](crate::platform::simulated::Simulation). `began` is the time since 1970
/// at which the platform's time began.
///
/// A program in a simulation must not have folders: wasmtime-wasi reads and writes files on other threads, whose timing
/// differs in each run. The caller sets the standard streams; those that work without another thread are
/// [`OutputFile`](wasmtime_wasi::cli::OutputFile) and [`MemoryOutputPipe`](wasmtime_wasi::p2::pipe::MemoryOutputPipe).
pub fn surround(wasi: &mut WasiCtxBuilder, platform: &Platform, began: Duration) {
    let chance = || Chance(platform.random.clone());
    let mut seed = [0; 16];
    platform.random.fill(&mut seed);
    wasi.wall_clock(Calendar { clock: platform.clock.clone(), began })
        .secure_random(chance())
        .insecure_random(chance())
        .insecure_random_seed(u128::from_ne_bytes(seed));
}

/// A wall clock that follows the platform's clock.
struct Calendar {
    clock: Arc<dyn Clock>,
    began: Duration,
}

impl HostWallClock for Calendar {
    fn resolution(&self) -> Duration {
        Duration::from_nanos(1)
    }

    fn now(&self) -> Duration {
        self.began.saturating_add(self.clock.look().since_origin())
    }
}

/// The random number generator of a platform.
struct Chance(Arc<dyn Random>);

impl Chance {
    fn array<const N: usize>(&self) -> [u8; N] {
        let mut bytes = [0; N];
        self.0.fill(&mut bytes);
        bytes
    }
}

impl TryRng for Chance {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        Ok(u32::from_ne_bytes(self.array()))
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        Ok(u64::from_ne_bytes(self.array()))
    }

    fn try_fill_bytes(&mut self, into: &mut [u8]) -> Result<(), Infallible> {
        self.0.fill(into);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::platform::simulated::Simulation;

    #[test]
    fn the_wall_clock_follows_the_platforms_time_and_random_numbers_follow_its_seed() {
        let simulation = Simulation::new(3);
        let platform = simulation.platform();
        let calendar = Calendar { clock: platform.clock.clone(), began: Duration::from_secs(1000) };
        simulation.advance(Duration::from_secs(50));
        assert_eq!(calendar.now().as_secs(), 1050);
        let drawn = |seed| Chance(Simulation::new(seed).platform().random).try_next_u64();
        assert_eq!(drawn(3), drawn(3));
        assert_ne!(drawn(3), drawn(4));
        let mut bytes = [0; 32];
        Chance(platform.random).try_fill_bytes(&mut bytes).expect("it cannot fail");
        assert_ne!(bytes, [0; 32]);
    }
}
