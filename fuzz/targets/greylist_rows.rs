#![no_main]
//! Fuzzes rows of Postgrey's database, and of our own file of triplets.

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    komainu::greylisting::fuzz(bytes);
});
