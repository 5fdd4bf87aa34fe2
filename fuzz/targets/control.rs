#![no_main]
//! Fuzzes what tools and server say to each other about the queue.

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    proto::control::fuzz(bytes);
});
