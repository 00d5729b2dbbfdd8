//! The hand-written scanners against the regexes that define them, and the decided prefixes of texts that go on.
#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| bloomery_fuzz::scan::check(data));
