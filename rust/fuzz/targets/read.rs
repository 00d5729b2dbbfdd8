//! The readers of every format on arbitrary bytes: an error or a value, never a panic; and a value can be written again.
#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| bloomery_fuzz::read::check(data));
