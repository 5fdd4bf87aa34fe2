#![no_main]
//! Fuzzes the reader of bounce templates.

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    mail::bounce_template::fuzz_templates(&String::from_utf8_lossy(bytes));
});
