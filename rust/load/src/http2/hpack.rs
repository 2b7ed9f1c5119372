//! Header blocks: a decoder (RFC 7541), and the encoding of the few integers and strings that requests need.

use std::collections::VecDeque;

use super::huffman::Huffman;
use super::static_table::STATIC_TABLE;

/// The size of the dynamic table that a peer may use unless settings change it, in bytes.
pub(super) const DEFAULT_TABLE_BYTES: usize = 4_096;

/// The overhead of each entry's size according to the RFC, in bytes.
const ENTRY_OVERHEAD_BYTES: usize = 32;

/// The longest continuation of an integer: more than any length here needs.
const MAX_INTEGER_BYTES: u32 = 5;

type Entry = (Box<[u8]>, Box<[u8]>);

/// Reads header blocks in the order of their arrival.
#[derive(Debug)]
pub(super) struct Decoder {
    huffman: Huffman,
    /// Newest first.
    table: VecDeque<Entry>,
    table_bytes: usize,
    capacity_bytes: usize,
}

impl Decoder {
    pub(super) fn new() -> Self {
        Self {
            huffman: Huffman::new(),
            table: VecDeque::new(),
            table_bytes: 0,
            capacity_bytes: DEFAULT_TABLE_BYTES,
        }
    }

    /// Passes each field of a block to `field`; `None` if the block is malformed, after which no other block can be
    /// read.
    pub(super) fn decode(&mut self, mut block: &[u8], mut field: impl FnMut(&[u8], &[u8])) -> Option<()> {
        while let Some(first) = block.first().copied() {
            if first & 0x80 != 0 {
                let index = integer(&mut block, 7)?;
                let (name, value) = self.entry(index)?;
                field(name, value);
            } else if first & 0x40 != 0 {
                let (name, value) = self.literal(&mut block, 6)?;
                field(&name, &value);
                self.insert(name, value);
            } else if first & 0x20 != 0 {
                let bytes = integer(&mut block, 5)?;
                if bytes > DEFAULT_TABLE_BYTES {
                    return None;
                }
                self.capacity_bytes = bytes;
                self.evict(0);
            } else {
                let (name, value) = self.literal(&mut block, 4)?;
                field(&name, &value);
            }
        }
        Some(())
    }

    fn literal(&self, block: &mut &[u8], prefix_bits: u32) -> Option<Entry> {
        let name = match integer(block, prefix_bits)? {
            0 => self.string(block)?,
            index => self.entry(index)?.0.into(),
        };
        Some((name, self.string(block)?))
    }

    fn string(&self, block: &mut &[u8]) -> Option<Box<[u8]>> {
        let is_huffman = block.first()? & 0x80 != 0;
        let length = integer(block, 7)?;
        let (text, rest) = block.split_at_checked(length)?;
        *block = rest;
        if is_huffman {
            self.huffman.decode(text).map(Vec::into_boxed_slice)
        } else {
            Some(text.into())
        }
    }

    fn entry(&self, index: usize) -> Option<(&[u8], &[u8])> {
        let index = index.checked_sub(1)?;
        if let Some((name, value)) = STATIC_TABLE.get(index) {
            return Some((name.as_bytes(), value.as_bytes()));
        }
        let (name, value) = self.table.get(index - STATIC_TABLE.len())?;
        Some((name, value))
    }

    fn insert(&mut self, name: Box<[u8]>, value: Box<[u8]>) {
        let bytes = entry_bytes(&name, &value);
        self.evict(bytes);
        // An entry larger than the table empties it and is not stored.
        if bytes <= self.capacity_bytes {
            self.table_bytes += bytes;
            self.table.push_front((name, value));
        }
    }

    /// Evicts entries until there is room for this many bytes.
    fn evict(&mut self, bytes: usize) {
        while self.table_bytes + bytes > self.capacity_bytes {
            let Some((name, value)) = self.table.pop_back() else {
                break;
            };
            self.table_bytes -= entry_bytes(&name, &value);
        }
    }
}

/// The size of an entry in a dynamic table.
pub(super) const fn entry_bytes(name: &[u8], value: &[u8]) -> usize {
    name.len() + value.len() + ENTRY_OVERHEAD_BYTES
}

/// Takes an integer with a prefix of this many bits from the front of a block.
fn integer(block: &mut &[u8], prefix_bits: u32) -> Option<usize> {
    let (first, mut rest) = block.split_first()?;
    let mask = (1_usize << prefix_bits) - 1;
    let mut value = usize::from(*first) & mask;
    if value == mask {
        let mut shift = 0;
        loop {
            let (byte, after) = rest.split_first()?;
            rest = after;
            value = value.checked_add((usize::from(*byte) & 0x7f) << shift)?;
            shift += 7;
            if byte & 0x80 == 0 {
                break;
            }
            if shift >= 7 * MAX_INTEGER_BYTES {
                return None;
            }
        }
    }
    *block = rest;
    Some(value)
}

/// Appends an integer with a prefix of this many bits, below the flags of its first byte.
pub(super) fn put_integer(out: &mut Vec<u8>, flags: u8, prefix_bits: u32, value: usize) {
    let mask = (1_usize << prefix_bits) - 1;
    if value < mask {
        out.push(flags | low_byte(value));
        return;
    }
    out.push(flags | low_byte(mask));
    let mut rest = value - mask;
    while rest >= 0x80 {
        out.push(low_byte(rest & 0x7f) | 0x80);
        rest >>= 7;
    }
    out.push(low_byte(rest));
}

/// Appends a string without Huffman coding.
pub(super) fn put_string(out: &mut Vec<u8>, text: &[u8]) {
    put_integer(out, 0, 7, text.len());
    out.extend_from_slice(text);
}

const fn low_byte(value: usize) -> u8 {
    value.to_le_bytes()[0]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(decoder: &mut Decoder, block: &[u8]) -> Option<Vec<(String, String)>> {
        let mut fields = Vec::new();
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        decoder.decode(block, |name, value| fields.push((text(name), text(value))))?;
        Some(fields)
    }

    fn owned(fields: &[(&str, &str)]) -> Vec<(String, String)> {
        fields
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect()
    }

    #[test]
    fn indexed_literal_and_remembered_fields() {
        let mut decoder = Decoder::new();
        let mut first = vec![0x88];
        first.push(0x5f);
        put_string(&mut first, b"application/grpc");
        first.push(0x40);
        put_string(&mut first, b"grpc-status");
        put_string(&mut first, b"0");
        let expected = owned(&[
            (":status", "200"),
            ("content-type", "application/grpc"),
            ("grpc-status", "0"),
        ]);
        assert_eq!(fields(&mut decoder, &first), Some(expected.clone()));
        // The newest entry has the lowest index after the static entries.
        assert_eq!(fields(&mut decoder, &[0x88, 0xbf, 0xbe]), Some(expected));
    }

    #[test]
    fn a_table_that_shrinks_forgets_the_oldest() {
        let mut decoder = Decoder::new();
        for name in ["a", "b"] {
            let mut block = vec![0x40];
            put_string(&mut block, name.as_bytes());
            put_string(&mut block, b"1");
            assert!(fields(&mut decoder, &block).is_some());
        }
        let mut shrink = Vec::new();
        put_integer(&mut shrink, 0x20, 5, entry_bytes(b"b", b"1"));
        shrink.push(0xbe);
        assert_eq!(fields(&mut decoder, &shrink), Some(owned(&[("b", "1")])));
        assert_eq!(fields(&mut decoder, &[0xbf]), None);
    }

    #[test]
    fn integers_come_back() {
        for value in [0, 1, 30, 31, 127, 128, 255, 1_337, 65_536, 1 << 30] {
            for prefix_bits in [4, 5, 6, 7] {
                let mut out = Vec::new();
                put_integer(&mut out, 0, prefix_bits, value);
                let mut block = out.as_slice();
                assert_eq!(integer(&mut block, prefix_bits), Some(value));
                assert!(block.is_empty());
            }
        }
    }

    #[test]
    fn malformed_blocks_are_refused() {
        for block in [
            &[0x80][..],                                 // index 0
            &[0xff, 0xff],                               // an integer without an end
            &[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f], // an integer too long
            &[0x40, 0x05, b'a'],                         // a string cut off
            &[0x3f, 0xe2, 0x1f],                         // a table above what was offered
            &[0xbe],                                     // an entry that is not there
        ] {
            assert_eq!(fields(&mut Decoder::new(), block), None, "{block:x?}");
        }
    }

    proptest::proptest! {
        #[test]
        fn no_block_is_a_panic(block: Vec<u8>) {
            let _ = fields_count(&block);
        }
    }

    fn fields_count(block: &[u8]) -> usize {
        let mut count = 0;
        let _ = Decoder::new().decode(block, |_, _| count += 1);
        count
    }
}
