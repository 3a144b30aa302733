//! The random generator that every draw goes through, and a keyed hash.
//!
//! Peers see values that come from both: sequence numbers, timestamps, ports and cookies. These tell a peer nothing
//! about the values that other peers see.

use core::fmt;
use core::hash::{BuildHasher, Hash, Hasher};
use core::ops::RangeInclusive;

use siphasher::sip::SipHasher24;

/// The words of a ChaCha20 block, and of its key. The words of a block that do not become the next key are the output.
const BLOCK: usize = 16;
const KEY: usize = 8;

/// A generator of numbers that others must not guess.
///
/// It is ChaCha20 with fast key erasure: half of each block becomes the key of the next one, the other half is the
/// output, and both are erased when they are used. So outputs tell nothing about the state or about each other, and a
/// leaked state tells nothing about earlier outputs.
pub struct Random {
    key: [u32; KEY],
    /// The output of the last block. Words are drawn from the end and zeroed.
    words: [u32; BLOCK - KEY],
    left: usize,
}

impl Random {
    /// A generator. `key` comes from the platform's cryptographically secure generator.
    #[must_use]
    pub fn new(key: [u8; 32]) -> Self {
        Self { key: words(&key), words: [0; BLOCK - KEY], left: 0 }
    }

    /// 32 bits.
    pub fn next_u32(&mut self) -> u32 {
        if self.left == 0 {
            self.refill();
        }
        self.left = self.left.saturating_sub(1);
        self.words.get_mut(self.left).map_or(0, core::mem::take)
    }

    /// 64 bits.
    pub fn next_u64(&mut self) -> u64 {
        (u64::from(self.next_u32()) << 32) | u64::from(self.next_u32())
    }

    /// A uniformly distributed number below `bound`; 0 if `bound` is 0.
    pub fn below(&mut self, bound: u32) -> u32 {
        // D. Lemire, "Fast Random Integer Generation in an Interval" (2019): the high half of the product is the
        // number. Products whose low half is below 2^32 modulo `bound` are drawn again, because they would make some
        // numbers more likely than others.
        let uneven = bound.wrapping_neg().checked_rem(bound).unwrap_or(0);
        loop {
            let product = u64::from(self.next_u32()) * u64::from(bound);
            if product as u32 >= uneven {
                return (product >> 32) as u32;
            }
        }
    }

    /// An independent generator, for a part of the engine that draws its own numbers.
    #[must_use]
    pub fn split(&mut self) -> Self {
        Self::new(core::array::from_fn(|_| self.next_u32().to_le_bytes()[0]))
    }

    /// A uniformly distributed number of a range; the start of the range if it is empty.
    pub fn range(&mut self, range: RangeInclusive<u16>) -> u16 {
        let (start, end) = range.into_inner();
        let count = u32::from(end.saturating_sub(start)) + 1;
        start.saturating_add(self.below(count) as u16)
    }

    fn refill(&mut self) {
        // Every key makes only one block, so the counter and the nonce may always be the same.
        let block = chacha20(&self.key, [0; 4]);
        let (key, words) = block.split_at(KEY);
        self.key.copy_from_slice(key);
        self.words.copy_from_slice(words);
        self.left = self.words.len();
    }
}

impl fmt::Debug for Random {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Random").finish_non_exhaustive()
    }
}

/// The key of a keyed hash, SipHash-2-4. Without it nobody can predict a hash or find inputs with the same hash.
#[derive(Clone)]
pub struct Secret(SipHasher24);

impl Secret {
    /// A new secret. Each purpose needs its own: if two purposes shared a secret, the outputs of one would tell about
    /// the other.
    #[must_use]
    pub fn new(random: &mut Random) -> Self {
        Self(SipHasher24::new_with_keys(random.next_u64(), random.next_u64()))
    }

    /// The hash of the parts, in the order in which they are hashed. Several parts are passed as a tuple or an array.
    #[must_use]
    pub fn hash(&self, parts: &impl Hash) -> u64 {
        let mut hasher = self.0;
        parts.hash(&mut hasher);
        hasher.finish()
    }
}

/// For hash tables whose keys a peer can choose.
impl BuildHasher for Secret {
    type Hasher = SipHasher24;

    fn build_hasher(&self) -> SipHasher24 {
        self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Secret").finish_non_exhaustive()
    }
}

fn words<const COUNT: usize>(bytes: &[u8]) -> [u32; COUNT] {
    let mut words = [0; COUNT];
    for (word, bytes) in words.iter_mut().zip(bytes.as_chunks().0) {
        *word = u32::from_le_bytes(*bytes);
    }
    words
}

/// The block function of RFC 8439 section 2.3; `input` is the block counter and the nonce.
fn chacha20(key: &[u32; KEY], input: [u32; 4]) -> [u32; BLOCK] {
    let mut start = [0; BLOCK];
    let constants = words::<4>(b"expand 32-byte k");
    for (word, value) in start.iter_mut().zip(constants.iter().chain(key).chain(&input)) {
        *word = *value;
    }
    let mut block = start;
    for _ in 0..10 {
        for column in 0..4 {
            quarter_round(&mut block, [column, 4 + column, 8 + column, 12 + column]);
        }
        for diagonal in 0..4 {
            let turned = |by: usize| (diagonal + by) % 4;
            quarter_round(&mut block, [diagonal, 4 + turned(1), 8 + turned(2), 12 + turned(3)]);
        }
    }
    for (word, start) in block.iter_mut().zip(start) {
        *word = word.wrapping_add(start);
    }
    block
}

/// The quarter round of RFC 8439 section 2.1. The indices are constants of [`chacha20`].
const fn quarter_round(block: &mut [u32; BLOCK], [a, b, c, d]: [usize; 4]) {
    block[a] = block[a].wrapping_add(block[b]);
    block[d] = (block[d] ^ block[a]).rotate_left(16);
    block[c] = block[c].wrapping_add(block[d]);
    block[b] = (block[b] ^ block[c]).rotate_left(12);
    block[a] = block[a].wrapping_add(block[b]);
    block[d] = (block[d] ^ block[a]).rotate_left(8);
    block[c] = block[c].wrapping_add(block[d]);
    block[b] = (block[b] ^ block[c]).rotate_left(7);
}

#[cfg(test)]
mod tests {
    use alloc::collections::BTreeSet;
    use alloc::format;

    use super::*;

    fn random() -> Random {
        Random::new([7; 32])
    }

    #[test]
    fn the_block_function_matches_the_test_vector_of_the_rfc() {
        // RFC 8439 section 2.3.2.
        let key: [u8; 32] = core::array::from_fn(|index| index as u8);
        let block = chacha20(&words(&key), [1, 0x0900_0000, 0x4a00_0000, 0]);
        let expected = [
            0xe4e7_f110,
            0x1559_3bd1,
            0x1fdd_0f50,
            0xc471_20a3,
            0xc7f4_d1c7,
            0x0368_c033,
            0x9aaa_2204,
            0x4e6c_d4c3,
            0x4664_82d2,
            0x09aa_9f07,
            0x05d7_c214,
            0xa202_8bd9,
            0xd19c_12b5,
            0xb94e_16de,
            0xe883_d0cb,
            0x4e3c_50a2,
        ];
        assert_eq!(block, expected);
    }

    #[test]
    fn drawn_words_are_erased_from_the_state() {
        let mut random = random();
        let key = random.key;
        let drawn: [u32; 8] = core::array::from_fn(|_| random.next_u32());
        assert_ne!(random.key, key);
        assert_eq!(random.words, [0; 8]);
        let block = chacha20(&key, [0; 4]);
        assert_eq!(random.key, block[..8]);
        assert!(drawn.iter().rev().eq(&block[8..]));
    }

    #[test]
    fn draws_repeat_for_the_same_key_only() {
        let draws = |key: u8| {
            let mut random = Random::new([key; 32]);
            core::array::from_fn::<u64, 100, _>(|_| random.next_u64())
        };
        assert_eq!(draws(1), draws(1));
        let different: BTreeSet<u64> = draws(1).into_iter().chain(draws(2)).collect();
        assert_eq!(different.len(), 200);
    }

    #[test]
    fn numbers_stay_in_their_range_and_reach_all_of_it() {
        let mut random = random();
        let mut counts = [0; 7];
        for _ in 0..70_000 {
            counts[random.below(7) as usize] += 1;
        }
        assert!(counts.iter().all(|count| (9_500..10_500).contains(count)), "{counts:?}");
        let ports: BTreeSet<u16> = (0..1000).map(|_| random.range(65_530..=65_535)).collect();
        assert!(ports.into_iter().eq(65_530..=65_535));
        assert_eq!((random.below(0), random.below(1), random.range(9..=9)), (0, 0, 9));
        #[expect(clippy::reversed_empty_ranges, reason = "what an empty range gives is the question")]
        let empty = random.range(9..=3);
        assert_eq!(empty, 9);
        random.range(0..=u16::MAX);
    }

    #[test]
    fn a_bound_above_half_of_all_is_not_uneven() {
        // With 3 * 2^30 numbers, a bare product would give every third number twice as often as the others.
        let mut random = random();
        let thirds = (0..30_000).filter(|_| random.below(3 << 30).is_multiple_of(3)).count();
        assert!((9_500..10_500).contains(&thirds), "{thirds}");
    }

    #[test]
    fn hashes_depend_on_the_secret_and_on_every_part() {
        let mut random = random();
        let (one, other) = (Secret::new(&mut random), Secret::new(&mut random));
        assert_eq!(one.hash(&(1, 2)), one.clone().hash(&(1, 2)));
        assert_ne!(one.hash(&(1, 2)), other.hash(&(1, 2)));
        assert_ne!(one.hash(&(1, 2)), one.hash(&(2, 1)));
        assert_eq!(one.hash(&5u32), one.hash_one(5u32));
    }

    #[test]
    fn the_keyed_hash_is_siphash_2_4() {
        // The test vector of the paper's appendix A: key 00..0f, message 00..0e.
        let secret = Secret(SipHasher24::new_with_keys(0x0706_0504_0302_0100, 0x0f0e_0d0c_0b0a_0908));
        let mut hasher = secret.build_hasher();
        hasher.write(&core::array::from_fn::<u8, 15, _>(|index| index as u8));
        assert_eq!(hasher.finish(), 0xa129_ca61_49be_45e5);
    }

    #[test]
    fn nothing_secret_is_printed() {
        let mut random = random();
        let secret = Secret::new(&mut random);
        assert_eq!((format!("{random:?}"), format!("{secret:?}")), ("Random { .. }".into(), "Secret { .. }".into()));
    }
}
