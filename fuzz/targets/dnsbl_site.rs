#![no_main]
//! Fuzzes a word of `postscreen_dnsbl_sites`.

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    policy::screen::fuzz_site(bytes);
});
