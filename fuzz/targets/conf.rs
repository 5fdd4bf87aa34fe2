#![no_main]
//! Fuzzes the editor of main.cf and master.cf, and what `komainu conf` shows of them.

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    config::fuzz::conf(bytes);
});
