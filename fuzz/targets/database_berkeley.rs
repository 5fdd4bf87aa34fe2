#![no_main]
//! Fuzzes a Berkeley DB file (hash:, btree:) as a table's database.

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    tables::fuzz::database(tables::database::Format::Berkeley, bytes);
});
