#![no_main]
//! Fuzzes packets between the server and its privileged helper.

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let _ = (komainu::privileged::Request::decode(bytes), komainu::privileged::Answer::decode(bytes));
});
