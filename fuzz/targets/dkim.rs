#![no_main]
//! Fuzzes signatures of DKIM with the headers and keys that they name.

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    mail::dkim::fuzz(bytes);
});
