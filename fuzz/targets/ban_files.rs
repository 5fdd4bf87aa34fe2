#![no_main]
//! Fuzzes fail2ban's configuration files.

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    ban::hostile::fuzz_files(bytes);
});
