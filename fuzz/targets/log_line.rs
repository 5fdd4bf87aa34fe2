#![no_main]
//! Fuzzes one log line of Postfix's.

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    assert!(events::line::fuzz(bytes));
});
