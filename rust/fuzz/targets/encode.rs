//! Every way of encoding against the definition, and back.
#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| bloomery_fuzz::encode::check(data));
