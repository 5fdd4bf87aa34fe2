#![no_main]
//! Fuzzes the lists beside the spool's segments.

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    store::fuzz_lists(bytes);
});
