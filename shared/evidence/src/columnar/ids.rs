//! Ids as 128 bits of SHA-256, and a hash table of them.

use std::hash::{BuildHasher, Hasher, RandomState};

use sha2::block_api::compress256;
use sha2::{Digest, Sha256};

/// The longest id that fits into one block of SHA-256.
const SHORT: usize = 55;

/// Where SHA-256 starts: the first 32 bits of the fractions of the square roots of the first eight primes.
const START: [u32; 8] =
    [0x6a09_e667, 0xbb67_ae85, 0x3c6e_f372, 0xa54f_f53a, 0x510e_527f, 0x9b05_688c, 0x1f83_d9ab, 0x5be0_cd19];

/// The first 128 bits of SHA-256 over an id. Nobody can choose two ids that share them, so rows are told apart by these
/// alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Key {
    high: u64,
    low: u64,
}

impl Key {
    #[inline]
    pub(crate) fn of(id: &[u8]) -> Self {
        if id.len() > SHORT {
            return Self::of_long(id);
        }
        // One block, padded as FIPS 180-4 says: nearly every id is that short, and half the time of the general way goes.
        let mut block = [0; 64];
        block[..id.len()].copy_from_slice(id);
        block[id.len()] = 0x80;
        block[56..].copy_from_slice(&(8 * id.len() as u64).to_be_bytes());
        let mut state = START;
        compress256(&mut state, &[block]);
        let word = |at: usize| u64::from(state[at]) << 32 | u64::from(state[at + 1]);
        Self { high: word(0), low: word(2) }
    }

    /// All 128 bits.
    pub(crate) fn bits(self) -> u128 {
        u128::from(self.high) << 64 | u128::from(self.low)
    }

    fn of_long(id: &[u8]) -> Self {
        let digest: [u8; 32] = Sha256::digest(id).into();
        let word = |at: usize| {
            let mut bytes = [0; 8];
            bytes.copy_from_slice(&digest[at..at + 8]);
            u64::from_be_bytes(bytes)
        };
        Self { high: word(0), low: word(8) }
    }

    /// As [`crate::keys::partition`] has it.
    pub(crate) fn partition(self, partitions: u16) -> u16 {
        (self.high % u64::from(partitions.max(1))) as u16
    }

    /// Which of several passes over a partition counts this id.
    pub(crate) fn pass(self, passes: u32) -> u32 {
        if passes <= 1 { 0 } else { ((self.low >> 32) % u64::from(passes)) as u32 }
    }

    /// 64 bits that say which id it is, never 0 or 1.
    pub(crate) fn short(self) -> u64 {
        self.high.max(2)
    }
}

const FREE: u32 = u32::MAX;

/// Places of keys: open addressing, half full at most. The seed is drawn anew for each table, so that nobody can choose ids
/// that crowd it; it shows in no result.
#[derive(Debug, Clone)]
pub(crate) struct Places {
    slots: Vec<u32>,
    keys: Vec<Key>,
    seed: (u64, u64),
}

impl Places {
    pub(crate) fn new() -> Self {
        let draw = || RandomState::new().build_hasher().finish();
        Self { slots: vec![FREE; 1 << 10], keys: Vec::new(), seed: (draw(), draw()) }
    }

    /// Forgets the keys and keeps the memory.
    pub(crate) fn clear(&mut self) {
        self.keys.clear();
        self.slots.fill(FREE);
    }

    /// Makes room for `n` keys at once.
    pub(crate) fn reserve(&mut self, n: usize) {
        self.keys.reserve_exact(n.saturating_sub(self.keys.len()));
        let slots = (2 * n).next_power_of_two();
        if slots > self.slots.len() {
            self.spread(slots);
        }
    }

    fn slot(&self, key: Key) -> usize {
        let product = u128::from(key.high ^ self.seed.0) * u128::from(key.low ^ self.seed.1);
        ((product >> 64) as u64 ^ product as u64) as usize & (self.slots.len() - 1)
    }

    fn spread(&mut self, slots: usize) {
        self.slots.clear();
        self.slots.resize(slots, FREE);
        for index in 0..self.keys.len() {
            let mut at = self.slot(self.keys[index]);
            while self.slots[at] != FREE {
                at = (at + 1) & (slots - 1);
            }
            self.slots[at] = index as u32;
        }
    }

    /// Looks at where these keys would be. Each look is apart from the others, so the processor fetches many lines of memory at
    /// once, where the work between two calls of [`Self::place`] would have it wait for each.
    #[inline]
    pub(crate) fn fetch(&self, keys: &[Key]) {
        let mut seen = 0;
        for key in keys {
            seen ^= self.slots[self.slot(*key)];
        }
        std::hint::black_box(seen);
    }

    /// The place of a key, if it has one.
    pub(crate) fn find(&self, key: Key) -> Option<usize> {
        let mut at = self.slot(key);
        loop {
            match self.slots[at] {
                FREE => return None,
                index if self.keys[index as usize] == key => return Some(index as usize),
                _ => at = (at + 1) & (self.slots.len() - 1),
            }
        }
    }

    /// The place of a key, and whether it is new. Places are given in order from 0.
    pub(crate) fn place(&mut self, key: Key) -> (usize, bool) {
        if 2 * (self.keys.len() + 1) > self.slots.len() {
            self.spread(2 * self.slots.len());
        }
        let mut at = self.slot(key);
        loop {
            match self.slots[at] {
                FREE => {
                    self.slots[at] = self.keys.len() as u32;
                    self.keys.push(key);
                    return (self.keys.len() - 1, true);
                }
                index if self.keys[index as usize] == key => return (index as usize, false),
                _ => at = (at + 1) & (self.slots.len() - 1),
            }
        }
    }
}

/// The group of a unit for the delete-a-group jackknife: a hash of its bytes, fixed for good. It need only be even, so it is
/// cheaper than SHA-256.
pub(crate) fn unit_group(unit: &[u8]) -> u8 {
    const PRIME: u64 = 0x9e37_79b9_7f4a_7c15;
    let mut hash = PRIME ^ unit.len() as u64;
    let mut chunks = unit.chunks_exact(8);
    let mut mix = |word: u64| {
        hash = (hash ^ word).wrapping_mul(PRIME);
        hash ^= hash >> 32;
    };
    for chunk in &mut chunks {
        let mut bytes = [0; 8];
        bytes.copy_from_slice(chunk);
        mix(u64::from_le_bytes(bytes));
    }
    let mut rest = [0; 8];
    rest[..chunks.remainder().len()].copy_from_slice(chunks.remainder());
    mix(u64::from_le_bytes(rest));
    mix(0);
    (hash >> 58) as u8
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::keys;

    #[test]
    fn a_key_is_in_the_partition_its_writer_chose() {
        for n in 0..500 {
            let id = format!("id-{n}#0");
            for partitions in [1, 7, 64] {
                assert_eq!(Key::of(id.as_bytes()).partition(partitions), keys::partition(&id, partitions));
            }
        }
    }

    #[test]
    fn a_short_id_is_hashed_as_a_long_one() {
        for length in 0..200 {
            let id = vec![b'x'; length];
            assert_eq!(Key::of(&id), Key::of_long(&id), "{length}");
        }
    }

    #[test]
    fn places_are_found_again_and_forgotten() {
        let mut places = Places::new();
        let key = |n: u32| Key::of(&n.to_le_bytes());
        for n in 0..5_000 {
            assert_eq!(places.place(key(n)), (n as usize, true));
            assert_eq!(places.place(key(n / 2)), ((n / 2) as usize, false));
        }
        assert!((0..5_000).all(|n| places.find(key(n)) == Some(n as usize)));
        assert_eq!(places.find(key(5_001)), None);
        places.clear();
        places.reserve(100_000);
        assert_eq!((places.find(key(1)), places.place(key(9))), (None, (0, true)));
    }

    #[test]
    fn groups_of_units_are_even_and_stay() {
        let mut counts = [0_u32; 64];
        for n in 0..64_000 {
            counts[usize::from(unit_group(format!("u{n:06}").as_bytes()))] += 1;
        }
        assert!(counts.iter().all(|c| (850..1_150).contains(c)), "{counts:?}");
        let many: Vec<u8> = ["", "a", "abcdefgh", "abcdefghi"].map(|u| unit_group(u.as_bytes())).to_vec();
        assert_eq!(
            many,
            [unit_group(b""), unit_group(b"a"), unit_group(b"abcdefgh"), unit_group(b"abcdefghi")]
        );
    }
}
