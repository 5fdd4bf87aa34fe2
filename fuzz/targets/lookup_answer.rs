#![no_main]
//! Fuzzes what the servers of `tcp:` and `socketmap:` tables answer.

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    proto::lookup::fuzz(bytes);
});
