#![no_main]
//! Fuzzes a message on its way to a server that takes no 8-bit text.

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    mail::mime::fuzz(bytes);
});
