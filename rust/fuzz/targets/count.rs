//! Word counting: a file in small blocks, texts on several threads and counts merged from parts against the definition.
#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| bloomery_fuzz::count::check(data));
