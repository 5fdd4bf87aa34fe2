#![no_main]
//! Fuzzes what an authentication server says, and what clients say to it.

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    proto::sasl::server::dovecot::fuzz(bytes);
});
