#![no_main]
//! Fuzzes DMARC: a `From:` header, and records that its questions find.

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    policy::dmarc::fuzz(bytes);
});
