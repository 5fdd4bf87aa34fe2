#![no_main]
//! Fuzzes a DNS answer, read and written and read.

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    if let Ok(message) = hickory_proto::op::Message::from_vec(bytes) {
        let _ = message.to_vec();
    };
});
