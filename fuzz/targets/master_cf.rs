#![no_main]
//! Fuzzes master.cf.

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    config::fuzz::master_cf(bytes);
});
