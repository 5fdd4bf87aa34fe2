#![no_main]
//! Fuzzes a date pattern, and a line.

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    ban::hostile::fuzz_date(bytes);
});
