#![no_main]
//! Fuzzes what milters say.

libfuzzer_sys::fuzz_target!(|input: (&[u8], u8)| proto::milter::fuzz(input.0, usize::from(input.1)));
