#![no_main]
//! Fuzzes headers of Authentication-Results: read, written again, and who they claim to be of.

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    mail::authentication_results::fuzz(bytes);
});
