#![no_main]
//! Fuzzes what a before-queue filter says, and content on its way to it.

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    proto::relayed::fuzz(bytes);
});
