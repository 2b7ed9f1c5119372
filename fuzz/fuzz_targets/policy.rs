//! `callgate_oracle::fuzz::policy` on inputs of libFuzzer.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    if let Err(found) = callgate_oracle::fuzz::policy(bytes) {
        panic!("{found}");
    }
});
