#![no_main]
//! Fuzzes a message's header, cut at any place.

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    mail::message::fuzz_cleanup(
        bytes.get(1..).unwrap_or_default(),
        usize::from(bytes.first().copied().unwrap_or(1)).max(1),
    );
});
