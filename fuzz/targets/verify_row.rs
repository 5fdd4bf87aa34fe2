#![no_main]
//! Fuzzes what is kept of an address that was probed.

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    policy::verification::fuzz(bytes);
});
