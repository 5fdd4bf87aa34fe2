#![no_main]
//! Fuzzes the judgement of a table's lines; the first line is the table's type.

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let (kind, text) = komainu_fuzz::first_line(bytes);
    tables::fuzz::review(&kind, text);
});
