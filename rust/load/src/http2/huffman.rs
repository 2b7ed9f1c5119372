//! HPACK's Huffman code (RFC 7541 section 5.2 and appendix B).
//!
//! The code is canonical: codes of one length are assigned in the order of the symbols. The lengths therefore define
//! the code.

/// The code length of each byte in bits; the last one is the end-of-string symbol, which never appears in a string.
#[rustfmt::skip]
const LENGTHS: [u8; 257] = [
    13, 23, 28, 28, 28, 28, 28, 28, 28, 24, 30, 28, 28, 30, 28, 28, 28, 28, 28, 28, 28, 28, 30, 28,
    28, 28, 28, 28, 28, 28, 28, 28, 6, 10, 10, 12, 13, 6, 8, 11, 10, 10, 8, 11, 8, 6, 6, 6,
    5, 5, 5, 6, 6, 6, 6, 6, 6, 6, 7, 8, 15, 6, 12, 10, 13, 6, 7, 7, 7, 7, 7, 7,
    7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 8, 7, 8, 13, 19, 13, 14, 6,
    15, 5, 6, 5, 6, 5, 6, 6, 6, 5, 7, 7, 6, 6, 6, 5, 6, 7, 6, 5, 5, 6, 7, 7,
    7, 7, 7, 15, 11, 14, 13, 28, 20, 22, 20, 20, 22, 22, 22, 23, 22, 23, 23, 23, 23, 23, 24, 23,
    24, 24, 22, 23, 24, 23, 23, 23, 23, 21, 22, 23, 22, 23, 23, 24, 22, 21, 20, 22, 22, 23, 23, 21,
    23, 22, 22, 24, 21, 22, 23, 23, 21, 21, 22, 21, 23, 22, 23, 23, 20, 22, 22, 22, 23, 22, 22, 23,
    26, 26, 20, 19, 22, 23, 22, 25, 26, 26, 26, 27, 27, 26, 24, 25, 19, 21, 26, 27, 27, 26, 27, 24,
    21, 21, 26, 26, 28, 27, 27, 27, 20, 24, 20, 21, 22, 21, 21, 23, 22, 22, 25, 25, 24, 24, 26, 23,
    26, 27, 26, 26, 27, 27, 27, 27, 27, 28, 27, 27, 27, 27, 27, 26, 30,
];

/// The longest code, in bits.
const MAX_BITS: usize = 30;

/// The longest padding at the end of a string, in bits.
const MAX_PADDING_BITS: usize = 7;

/// The decoding tables, by code length.
#[derive(Debug)]
pub(super) struct Huffman {
    /// The first code of each length.
    first_code: [u32; MAX_BITS + 1],
    /// The number of codes of each length.
    count: [u32; MAX_BITS + 1],
    /// The index in `symbols` of the first symbol of each length.
    start: [usize; MAX_BITS + 1],
    /// Symbols by code length, then by value.
    symbols: Vec<u16>,
}

impl Huffman {
    /// Computes the tables.
    pub(super) fn new() -> Self {
        let mut symbols: Vec<u16> = (0..=256).collect();
        symbols.sort_by_key(|symbol| LENGTHS[usize::from(*symbol)]);
        let mut tables = Self {
            first_code: [0; MAX_BITS + 1],
            count: [0; MAX_BITS + 1],
            start: [0; MAX_BITS + 1],
            symbols,
        };
        for length in LENGTHS {
            tables.count[usize::from(length)] += 1;
        }
        let (mut code, mut start) = (0, 0);
        for bits in 1..=MAX_BITS {
            code <<= 1;
            tables.first_code[bits] = code;
            tables.start[bits] = start;
            code += tables.count[bits];
            start += tables.count[bits] as usize;
        }
        tables
    }

    /// The bytes that `encoded` stands for; `None` if it is not a string of this code.
    pub(super) fn decode(&self, encoded: &[u8]) -> Option<Vec<u8>> {
        let mut decoded = Vec::with_capacity(encoded.len() * 2);
        let (mut code, mut bits, mut only_ones) = (0_u32, 0_usize, true);
        for byte in encoded {
            for shift in (0..8).rev() {
                let bit = u32::from(byte >> shift & 1);
                code = code << 1 | bit;
                only_ones &= bit == 1;
                bits += 1;
                if bits > MAX_BITS {
                    return None;
                }
                // Wrapping: a code below the first of its length does not exist, and wraps to a huge offset.
                let offset = code.wrapping_sub(self.first_code[bits]);
                if offset < self.count[bits] {
                    let symbol = *self.symbols.get(self.start[bits] + offset as usize)?;
                    decoded.push(u8::try_from(symbol).ok()?);
                    (code, bits, only_ones) = (0, 0, true);
                }
            }
        }
        (bits <= MAX_PADDING_BITS && only_ones).then_some(decoded)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(hex: &str) -> Vec<u8> {
        (0..hex.len() / 2)
            .map(|index| u8::from_str_radix(&hex[2 * index..2 * index + 2], 16).unwrap())
            .collect()
    }

    #[test]
    fn the_examples_of_the_rfc() {
        let huffman = Huffman::new();
        for (encoded, decoded) in [
            ("f1e3c2e5f23a6ba0ab90f4ff", "www.example.com"),
            ("a8eb10649cbf", "no-cache"),
            ("25a849e95ba97d7f", "custom-key"),
            ("25a849e95bb8e8b4bf", "custom-value"),
            ("6402", "302"),
            (
                "d07abe941054d444a8200595040b8166e082a62d1bff",
                "Mon, 21 Oct 2013 20:13:21 GMT",
            ),
            ("", ""),
        ] {
            assert_eq!(
                huffman.decode(&bytes(encoded)).as_deref(),
                Some(decoded.as_bytes())
            );
        }
    }

    #[test]
    fn what_is_no_string_is_refused() {
        let huffman = Huffman::new();
        // A whole byte of padding; padding that is not all ones; the end-of-string symbol.
        for encoded in ["f1e3c2e5f23a6ba0ab90f4ffff", "00", "ffffffff"] {
            assert_eq!(huffman.decode(&bytes(encoded)), None, "{encoded}");
        }
    }
}
