#![no_main]
//! Fuzzes an expression of a filter's, and a line.

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    ban::hostile::fuzz_filter(bytes);
});
