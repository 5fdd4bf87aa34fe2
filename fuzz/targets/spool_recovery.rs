#![no_main]
//! Fuzzes the spool's log as a crash may leave it.

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    store::fuzz_records(bytes);
});
