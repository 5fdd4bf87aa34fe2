#![no_main]
//! Fuzzes the users' file.

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    users::file::survive(bytes);
});
