#![no_main]
//! Fuzzes a message with attachments and archives.

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    mail::attachment::fuzz(bytes);
});
