//! Safe cuts: the parts, pre-tokenized apart, give the pre-tokens of the whole, whatever stands behind the window.
#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| bloomery_fuzz::cut::check(data));
