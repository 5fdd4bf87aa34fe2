#![no_main]
//! Fuzzes the conversation before the SMTP server.

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    proto::screen::fuzz(bytes);
});
