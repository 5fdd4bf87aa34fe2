#![no_main]
//! Fuzzes an SMTP client's bytes.

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    proto::smtp::fuzz(bytes);
});
