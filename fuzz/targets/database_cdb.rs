#![no_main]
//! Fuzzes a cdb file as a table's database.

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    tables::fuzz::database(tables::database::Format::Cdb, bytes);
});
