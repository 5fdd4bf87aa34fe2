#![no_main]
//! Fuzzes what tables and Maildirs say about quotas.

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    komainu::deliver::quota::fuzz(bytes);
});
