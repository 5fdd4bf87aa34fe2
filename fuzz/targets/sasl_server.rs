#![no_main]
//! Fuzzes what clients say to mechanisms of our own: nobody gets in.

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    proto::sasl::server::exchange::survive(bytes);
});
