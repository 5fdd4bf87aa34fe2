#![no_main]
//! Fuzzes an address of an SMTP command.

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    mail::address::fuzz_path(bytes);
    mail::address::fuzz_list(bytes);
});
