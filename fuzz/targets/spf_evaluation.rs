#![no_main]
//! Fuzzes SPF records, their macro strings and what they lead to.

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    policy::spf::fuzz(bytes);
});
