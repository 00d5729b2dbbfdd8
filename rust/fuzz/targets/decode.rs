//! Decoding whole and one id at a time, of ids that make broken characters and of ids that do not exist.
#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| bloomery_fuzz::decode::check(data));
