#![no_main]
//! Fuzzes the source of a pcre: table; the first line is the key that is asked.

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let (key, text) = komainu_fuzz::first_line(bytes);
    tables::fuzz::lookup_in("pcre", text, &key);
});
