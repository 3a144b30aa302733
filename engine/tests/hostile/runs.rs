//! How what the fuzzers run is run from numbers, and from what they begin with. `XILA_HOSTILE` is how many of each;
//! `XILA_HOSTILE_SEED` runs one alone.

use std::panic::catch_unwind;

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().and_then(|text| text.parse().ok())
}

/// Bytes from a seed (SplitMix64).
fn bytes(seed: u64) -> Vec<u8> {
    let mut state = seed;
    let mut next = || {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    };
    let length = 50 + next() % 3000;
    (0..length).map(|_| next() as u8).collect()
}

/// What a fuzzer begins with: strings of bytes that mean something.
pub(crate) fn seeds(target: &str, run: fn(&[u8])) {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/seeds").join(target);
    let files: Vec<_> = std::fs::read_dir(&folder).expect("a folder of seeds").flatten().collect();
    assert!(!files.is_empty(), "no seeds in {}", folder.display());
    for file in files {
        let bytes = std::fs::read(file.path()).expect("a seed");
        assert!(catch_unwind(|| run(&bytes)).is_ok(), "{} has failed", file.path().display());
    }
}

pub(crate) fn each(run: fn(&[u8])) {
    if let Some(seed) = number("XILA_HOSTILE_SEED") {
        return run(&bytes(seed));
    }
    let count = number("XILA_HOSTILE").unwrap_or(300);
    let failed: Vec<u64> = (0..count).filter(|seed| catch_unwind(|| run(&bytes(*seed))).is_err()).collect();
    assert!(failed.is_empty(), "{} of {count} have failed: {:?}", failed.len(), &failed[..failed.len().min(40)]);
}
