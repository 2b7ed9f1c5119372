//! Special bytes: those that may not stand in a string as themselves, or end it.
//!
//! A document's are found first, all of them, by instructions that compare many bytes at once. Where a string ends is then
//! a matter of counting zeros, and no string has to wait for the one before it.

use wide::u8x16;

/// The bytes that one instruction compares.
const LANES: usize = 16;

/// The bytes of one mask.
const BLOCK: usize = u64::BITS as usize;

/// The special bytes of a document: quotes, backslashes and control characters.
#[derive(Debug, Default)]
pub(super) struct Specials {
    /// One bit for each byte of a block, the first one lowest.
    masks: Vec<u64>,
}

impl Specials {
    /// Finds those of another document; `masks` keep their memory.
    pub(super) fn find(&mut self, bytes: &[u8]) {
        self.masks.clear();
        let (blocks, rest) = bytes.as_chunks::<BLOCK>();
        self.masks.extend(blocks.iter().map(|block| mask(block, 0)));
        if !rest.is_empty() {
            self.masks.push(last_mask(bytes, rest));
        }
    }

    /// The offset of the first special byte at or after `from`; the length if there is none. `bytes` are those that were
    /// searched.
    #[inline]
    pub(super) fn next(&self, bytes: &[u8], from: usize) -> usize {
        if let Some(mask) = self.masks.get(from / BLOCK) {
            let rest = mask >> (from % BLOCK);
            if rest != 0 {
                return from + rest.trailing_zeros() as usize;
            }
        }
        self.next_far(bytes, from / BLOCK + 1)
    }

    /// Works as [`Self::next`] from the start of a block.
    fn next_far(&self, bytes: &[u8], first: usize) -> usize {
        let masks = self.masks.get(first..).unwrap_or_default();
        let found = (first..).zip(masks).find(|(_, mask)| **mask != 0);
        found.map_or(bytes.len(), |(block, mask)| {
            block * BLOCK + mask.trailing_zeros() as usize
        })
    }

    /// Gives back memory beyond that of `bytes`.
    pub(super) fn shrink_to(&mut self, bytes: usize) {
        self.masks.clear();
        self.masks.shrink_to(bytes / BLOCK);
    }

    #[cfg(test)]
    pub(super) fn capacity(&self) -> usize {
        self.masks.capacity() * BLOCK
    }
}

/// The mask of a block's chunks and of the bits above.
#[inline]
fn mask(block: &[u8], above: u32) -> u64 {
    let (chunks, _) = block.as_chunks();
    let above = u64::from(above);
    chunks
        .iter()
        .rev()
        .fold(above, |mask, chunk| mask << LANES | u64::from(specials(chunk)))
}

/// The mask of the last block of `bytes`, which is not full.
fn last_mask(bytes: &[u8], block: &[u8]) -> u64 {
    let rest = block.len() % LANES;
    let above = match bytes.last_chunk() {
        // The bytes before the rest are shifted out.
        Some(chunk) => specials(chunk) >> (LANES - rest),
        None => block
            .iter()
            .rev()
            .fold(0, |mask, byte| mask << 1 | u32::from(is_special(*byte))),
    };
    mask(block, above)
}

/// One bit for each byte, the first one lowest.
#[inline]
fn specials(bytes: &[u8; LANES]) -> u32 {
    let bytes = u8x16::new(*bytes);
    let special = bytes.cmp_eq(u8x16::splat(b'"'))
        | bytes.cmp_eq(u8x16::splat(b'\\'))
        | bytes.min(u8x16::splat(0x1f)).cmp_eq(bytes);
    special.move_mask().cast_unsigned()
}

const fn is_special(byte: u8) -> bool {
    byte < 0x20 || byte == b'"' || byte == b'\\'
}

/// The offset of the first special byte at or after `from`; the length if there is none. For a text that is read once.
pub(super) fn find_special(bytes: &[u8], from: usize) -> usize {
    let mut at = from;
    while let Some(chunk) = bytes.get(at..).and_then(<[u8]>::first_chunk) {
        let special = specials(chunk);
        if special != 0 {
            return at + special.trailing_zeros() as usize;
        }
        at += LANES;
    }
    let rest = bytes.get(at..).unwrap_or_default();
    at + rest
        .iter()
        .position(|&byte| is_special(byte))
        .unwrap_or(rest.len())
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    fn next(bytes: &[u8], from: usize) -> usize {
        let mut specials = Specials::default();
        specials.find(bytes);
        specials.next(bytes, from)
    }

    #[test]
    fn each_special_byte_is_found_at_each_place() {
        for special in (0..0x20).chain([b'"', b'\\']) {
            for ordinary in [b'a', 0x20, 0x21, 0x23, 0x5b, 0x5d, 0x7f, 0x80, 0xa2, 0xdc, 0xff] {
                for place in 0..80 {
                    let mut bytes = [ordinary; 90];
                    bytes[place] = special;
                    bytes[place + 1] = b'"';
                    for find in [next, find_special] {
                        assert_eq!(find(&bytes, 0), place, "{special:#x} among {ordinary:#x}");
                        assert_eq!(find(&bytes, place + 1), place + 1);
                    }
                }
                assert_eq!(
                    (next(&[ordinary; 24], 0), find_special(&[ordinary; 21], 3)),
                    (24, 21)
                );
            }
        }
    }

    proptest! {
        #[test]
        fn all_ways_to_look_agree(
            bytes in vec(prop_oneof![30 => 0x20_u8.., 1 => prop::sample::select(b"\"\\\0\x1f".to_vec())], 0..300),
            at: prop::sample::Index,
        ) {
            let from = at.index(bytes.len() + 1);
            let mut one_by_one = from;
            while bytes.get(one_by_one).is_some_and(|&byte| !is_special(byte)) {
                one_by_one += 1;
            }
            prop_assert_eq!(next(&bytes, from), one_by_one);
            prop_assert_eq!(find_special(&bytes, from), one_by_one);
        }
    }
}
