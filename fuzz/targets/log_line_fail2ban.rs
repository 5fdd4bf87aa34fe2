#![no_main]
//! Fuzzes one log line of fail2ban's.

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    assert!(events::fail2ban::fuzz(bytes));
});
