#![no_main]
//! Fuzzes a log's lines, read by filters.

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    ban::hostile::fuzz_lines(bytes);
});
