#![no_main]
//! Fuzzes what a proxy says first about the client behind it.

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    proto::proxy::fuzz(bytes);
});
