#![no_main]
//! Fuzzes a queued message's envelope record.

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    queue::entry::fuzz(bytes);
});
