#![no_main]
//! Fuzzes what a policy server answers.

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    proto::policy::fuzz(bytes);
});
