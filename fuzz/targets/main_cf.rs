#![no_main]
//! Fuzzes main.cf.

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    config::fuzz::main_cf(bytes);
});
