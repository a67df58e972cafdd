//! A filter before the table: it says of nearly every key that was never added that it was not, in
//! a cache miss or two instead of a walk down a B-tree. Nearly every record that arrives is new.
//!
//! A chain of blocked Bloom filters, each of twice the room of the one before. Keys are prefixes of
//! digests, so that their own bits are the hash functions. Whoever makes digests that meet the
//! filter's bits gains a look at the table, nothing else.

/// Bits in a block: one line of a processor's cache.
const BLOCK_WORDS: usize = 8;
type Block = [u64; BLOCK_WORDS];

/// Bits set for a key.
const PROBES: usize = 6;

/// Bits that an expected key takes: with six probes in blocks of 512, one stranger in about eighty
/// is taken for a member.
const BITS_A_KEY: usize = 10;

/// Keys that the first layer has room for.
const FIRST: usize = 1 << 17;

/// A set of keys without false negatives.
#[derive(Debug)]
pub struct Filter {
    layers: Vec<Layer>,
}

#[derive(Debug)]
struct Layer {
    blocks: Vec<Block>,
    room: usize,
    keys: usize,
}

impl Filter {
    /// An empty filter.
    pub fn new() -> Filter {
        Filter { layers: vec![Layer::new(FIRST)] }
    }

    /// Adds a key: any 64 bits, of which the upper 62 are those of a digest.
    pub fn add(&mut self, key: u64) {
        let last = self.layers.last().expect("there is one layer at least");
        if last.keys == last.room {
            let room = last.room.saturating_mul(2);
            self.layers.push(Layer::new(room));
        }
        let layer = self.layers.last_mut().expect("there is one layer at least");
        layer.keys += 1;
        let block = layer.block(key);
        for (word, bit) in probes(key) {
            layer.blocks[block][word] |= bit;
        }
    }

    /// False when the key was never added.
    pub fn may_hold(&self, key: u64) -> bool {
        self.layers.iter().any(|layer| {
            let block = &layer.blocks[layer.block(key)];
            probes(key).all(|(word, bit)| block[word] & bit != 0)
        })
    }
}

impl Layer {
    fn new(room: usize) -> Layer {
        let blocks = (room * BITS_A_KEY).div_ceil(BLOCK_WORDS * 64);
        Layer { blocks: vec![[0; BLOCK_WORDS]; blocks], room, keys: 0 }
    }

    fn block(&self, key: u64) -> usize {
        // the upper half of the product spreads over any number of blocks
        let spread = u128::from(mixed(key)) * self.blocks.len() as u128;
        (spread >> 64) as usize
    }
}

/// The place of each probe in a block: its word and the bit in it.
fn probes(key: u64) -> impl Iterator<Item = (usize, u64)> {
    let bits = mixed(key).rotate_left(29) ^ key;
    (0..PROBES).map(move |probe| {
        let at = bits >> (9 * probe) & 511;
        ((at >> 6) as usize, 1 << (at & 63))
    })
}

/// Spreads the key's lowest bits too, which tell its kind.
fn mixed(key: u64) -> u64 {
    let key = (key ^ key >> 32).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    key ^ key >> 32
}

#[cfg(test)]
mod tests {
    use super::*;
    use ledger_core::Hash;

    fn key(n: u64) -> u64 {
        let digest = Hash::digest(&n.to_be_bytes());
        let (prefix, _) = digest.as_bytes().split_first_chunk::<8>().expect("32 bytes");
        u64::from_be_bytes(*prefix) & !3 | (n % 3)
    }

    #[test]
    fn all_members_and_few_strangers_are_found_over_several_layers() {
        let members = 5 * FIRST as u64;
        let mut filter = Filter::new();
        (0..members).for_each(|n| filter.add(key(n)));
        assert_eq!(filter.layers.len(), 3);
        assert!((0..members).all(|n| filter.may_hold(key(n))));
        let strangers = members..members + 100_000;
        let mistaken = strangers.filter(|n| filter.may_hold(key(*n))).count();
        assert!(mistaken < 5_000, "{mistaken} of 100000 strangers");
    }

    #[test]
    fn kinds_of_one_digest_are_told_apart() {
        let mut filter = Filter::new();
        (0..10_000).for_each(|n| filter.add(key(n) & !3));
        let mistaken = (0..10_000).filter(|n| filter.may_hold(key(*n) & !3 | 2)).count();
        assert!(mistaken < 500, "{mistaken} of 10000");
    }
}
