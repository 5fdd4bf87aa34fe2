#![no_main]
//! Fuzzes SPF records as the check of the DNS reads them.

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    komainu::check::online::fuzz_spf(bytes);
});
