//! Counting the calls of a `CheckBatch` while its bytes arrive.
//!
//! A call takes two bytes at least, and two hundred once it is decoded: a batch of the largest size that is allowed could
//! fill the memory. So the calls are counted before anything is decoded, and a batch of too many is refused at once.

use tonic::Status;

/// Number of `CheckBatchRequest.calls`.
const CALLS: u64 = 1;
/// A varint of 64 bits has ten bytes at most.
const LAST_SHIFT: u32 = 63;

/// The part of a field that the next byte belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum At {
    Key,
    Length { of_call: bool },
    Varint,
}

/// The top-level fields of one message, as far as it has come.
#[derive(Clone, Debug)]
pub(crate) struct CallCounter {
    count: usize,
    at: At,
    /// The varint that is being read.
    value: u64,
    shift: u32,
    /// Bytes of a field's contents that are still to come.
    skip: u64,
}

impl CallCounter {
    /// Creates a counter that has read no bytes.
    pub(crate) const fn new() -> Self {
        Self {
            count: 0,
            at: At::Key,
            value: 0,
            shift: 0,
            skip: 0,
        }
    }

    /// Goes through the next bytes; refuses more than `max` calls, and what is no such message.
    pub(crate) fn read(&mut self, mut bytes: &[u8], max: usize) -> Result<(), Status> {
        loop {
            let skipped = usize::try_from(self.skip).map_or(bytes.len(), |skip| skip.min(bytes.len()));
            self.skip -= skipped as u64;
            bytes = bytes.get(skipped..).unwrap_or_default();
            let Some((&byte, rest)) = bytes.split_first() else {
                return Ok(());
            };
            bytes = rest;
            if let Some(value) = self.varint(byte)? {
                self.field(value)?;
                if self.count > max {
                    return Err(Status::invalid_argument(format!(
                        "expected at most {max} calls in one batch, got more; send them in several batches or in a stream"
                    )));
                }
            }
        }
    }

    fn varint(&mut self, byte: u8) -> Result<Option<u64>, Status> {
        if self.shift > LAST_SHIFT {
            return Err(malformed());
        }
        self.value |= u64::from(byte & 0x7f) << self.shift;
        self.shift += 7;
        if byte & 0x80 != 0 {
            return Ok(None);
        }
        self.shift = 0;
        Ok(Some(std::mem::take(&mut self.value)))
    }

    fn field(&mut self, value: u64) -> Result<(), Status> {
        self.at = match self.at {
            At::Key => {
                let number = value >> 3;
                match value & 7 {
                    0 => At::Varint,
                    1 => {
                        self.skip = 8;
                        At::Key
                    }
                    2 => At::Length {
                        of_call: number == CALLS,
                    },
                    5 => {
                        self.skip = 4;
                        At::Key
                    }
                    // Groups could hide calls from this count, and nobody has sent them for many years.
                    _ => return Err(malformed()),
                }
            }
            At::Length { of_call } => {
                self.count += usize::from(of_call);
                self.skip = value;
                At::Key
            }
            At::Varint => At::Key,
        };
        Ok(())
    }
}

fn malformed() -> Status {
    Status::invalid_argument("cannot decode the message; expected a `CheckBatchRequest`")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn count(chunks: &[&[u8]], max: usize) -> Result<usize, String> {
        let mut calls = CallCounter::new();
        for chunk in chunks {
            calls
                .read(chunk, max)
                .map_err(|status| status.message().to_owned())?;
        }
        Ok(calls.count)
    }

    #[test]
    fn calls_are_counted_wherever_the_chunks_break() {
        // Two calls, one of them empty, among unknown fields of every kind.
        let message = b"\x0a\x03abc\x10\xff\x01\x19\x0a\x0a\x0a\x0a\x0a\x0a\x0a\x0a\x1a\x02\x0a\x00\x25\x0a\x0a\x0a\x0a\x0a\x00";
        for first in 0..message.len() {
            for second in first..message.len() {
                let chunks = [&message[..first], &message[first..second], &message[second..]];
                assert_eq!(count(&chunks, 2), Ok(2), "{first} {second}");
            }
        }
        let long = [b"\x0a\x80\x02".as_slice(), &[0; 256], b"\x0a\x00"].concat();
        assert_eq!(count(&[&long], 2), Ok(2));
    }

    #[test]
    fn too_many_are_refused_before_they_have_all_come() {
        let three = b"\x0a\x00".repeat(3);
        assert_eq!(count(&[&three], 3), Ok(3));
        assert_eq!(
            count(&[&three], 2).unwrap_err(),
            "expected at most 2 calls in one batch, got more; send them in several batches or in a stream"
        );
    }

    #[test]
    fn what_cannot_be_counted_is_refused() {
        for wrong in [&b"\x0b\x0a\x00\x0c"[..], b"\x0f", &[0xff; 11]] {
            assert!(count(&[wrong], 1_000).is_err(), "{wrong:?}");
        }
    }
}
