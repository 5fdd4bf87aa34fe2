#![no_main]
//! Fuzzes passwords as they are stored.

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    users::stored::survive(bytes);
});
