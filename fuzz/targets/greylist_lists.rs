#![no_main]
//! Fuzzes Postgrey's options and whitelists, and a request that they judge.

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    policy::greylist::fuzz(bytes);
});
