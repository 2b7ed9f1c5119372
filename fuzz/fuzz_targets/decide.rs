//! `callgate_oracle::fuzz::decide` on inputs of libFuzzer.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    if let Err(found) = callgate_oracle::fuzz::decide(bytes) {
        panic!("{found}");
    }
});
