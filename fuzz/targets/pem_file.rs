#![no_main]
//! Fuzzes what files of certificates and keys hold.

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    komainu::check::surroundings::fuzz_pem(bytes);
});
