#![no_main]
//! Fuzzes an attached file: archives, notebooks, what Outlook wraps.

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    mail::attachment::fuzz_file(bytes);
});
