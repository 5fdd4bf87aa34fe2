#![no_main]
//! Fuzzes names of attachments: RFC 2047, RFC 2231.

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    mail::attachment::fuzz_names(bytes);
});
