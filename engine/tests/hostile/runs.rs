//! Runs the fuzz targets in ordinary tests, with random bytes from numbered seeds and with the fuzzers' seed files.
//! `XILA_HOSTILE` is the number of runs of each kind; `XILA_HOSTILE_SEED` selects one run.

use std::panic::catch_unwind;

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().and_then(|text| text.parse().ok())
}

/// A pseudo-random number generator (SplitMix64).
fn numbers(seed: u64) -> impl FnMut() -> u64 {
    let mut state = seed;
    move || {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }
}

/// Random bytes that are derived from a seed.
fn bytes(seed: u64) -> Vec<u8> {
    let mut next = numbers(seed);
    let length = 50 + next() % 3000;
    (0..length).map(|_| next() as u8).collect()
}

/// Mutates meaningful inputs: joins parts of two of them, and changes, inserts or removes some of the bytes.
fn near(meant: &[Vec<u8>], seed: u64) -> Vec<u8> {
    let mut next = numbers(!seed);
    let mut below = |bound: usize| (next() % bound as u64) as usize;
    let mut made = meant[below(meant.len())].clone();
    let other = &meant[below(meant.len())];
    made.truncate(made.len() - below(made.len()) * below(2));
    made.extend_from_slice(&other[below(other.len())..]);
    for _ in 0..below(12) {
        let at = below(made.len());
        match below(8) {
            0 => made.insert(at, below(256) as u8),
            1 => made.insert(at, 0),
            2 if made.len() > 1 => drop(made.remove(at)),
            3 => made[at] ^= 1 << below(8),
            4 => {
                let again = made[at..(at + 1 + below(40)).min(made.len())].to_vec();
                made.splice(at..at, again);
            }
            _ => made[at] = below(256) as u8,
        }
    }
    made
}

/// Runs a target with its seed files (meaningful inputs that a fuzzer starts from), and returns their contents.
pub(crate) fn seeds(target: &str, run: fn(&[u8])) -> Vec<Vec<u8>> {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/seeds").join(target);
    let mut files: Vec<_> = std::fs::read_dir(&folder).expect("a folder of seeds").flatten().collect();
    files.sort_by_key(std::fs::DirEntry::path);
    assert!(!files.is_empty(), "no seeds in {}", folder.display());
    let run_file = |file: std::fs::DirEntry| {
        let bytes = std::fs::read(file.path()).expect("a seed");
        assert!(catch_unwind(|| run(&bytes)).is_ok(), "{} has failed", file.path().display());
        bytes
    };
    files.into_iter().map(run_file).collect()
}

/// Runs a target with random bytes.
pub(crate) fn each(run: fn(&[u8])) {
    run_all(|seed| run(&bytes(seed)));
}

/// Runs a target with mutations of meaningful inputs.
pub(crate) fn each_near(meant: &[Vec<u8>], run: fn(&[u8])) {
    run_all(|seed| run(&near(meant, seed)));
}

fn run_all(run: impl Fn(u64) + std::panic::RefUnwindSafe) {
    if let Some(seed) = number("XILA_HOSTILE_SEED") {
        return run(seed);
    }
    let count = number("XILA_HOSTILE").unwrap_or(300);
    let failed: Vec<u64> = (0..count).filter(|seed| catch_unwind(|| run(*seed)).is_err()).collect();
    assert!(failed.is_empty(), "{} of {count} have failed: {:?}", failed.len(), &failed[..failed.len().min(40)]);
}
