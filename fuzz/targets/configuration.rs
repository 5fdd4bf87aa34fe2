#![no_main]
//! Fuzzes `komainu check`: main.cf, master.cf and a table, a NUL between them.

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    komainu::check::fuzz::configuration(bytes);
});
