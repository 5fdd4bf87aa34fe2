#![no_main]
//! Fuzzes an LMDB file as a table's database.

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    tables::fuzz::database(tables::database::Format::Lmdb, bytes);
});
