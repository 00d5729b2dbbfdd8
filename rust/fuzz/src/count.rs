//! Word counting: a file in small blocks, texts on several threads and counts merged from parts against the definition.

use std::collections::BTreeMap;
use std::io::Write;

use crate::{Input, SCHEMES, scanned};
use bloomery_core::count::Limits;
use bloomery_core::input::{InputOptions, Reader, Source};
use bloomery_core::pretokenize::{Cutter, PreTokenizer};
use bloomery_core::special::{Piece, SpecialTokens};
use bloomery_core::{Control, WordCounts};

/// Panics where they differ.
pub fn check(data: &[u8]) {
    let mut input = Input(data);
    let special = input.special_tokens();
    let pattern = &SCHEMES[input.below(SCHEMES.len())];
    let block_bytes = 1 + input.below(100);
    let text = input.text();
    let control = Control::default();

    let scanner = PreTokenizer::new(pattern).expect("it is a named scheme");
    let splitter = SpecialTokens::new(&special).expect("they are neither empty nor twice there");
    let mut expected: BTreeMap<Vec<u8>, u64> = BTreeMap::new();
    let split = splitter.split(&text, |piece| {
        if let Piece::Text(text) = piece {
            for (start, end) in scanned(&scanner, text) {
                *expected.entry(text.as_bytes()[start..end].to_vec()).or_default() += 1;
            }
        }
        Ok(())
    });
    split.expect("nothing here returns an error");
    let none = || WordCounts::new(pattern, &special).expect("they are neither empty nor twice there");

    let mut whole = none();
    whole.add_text(&text).expect("a named scheme reaches no limit");
    let listed: BTreeMap<Vec<u8>, u64> = whole.sorted().expect("they are in memory").into_iter().collect();
    assert_eq!(listed, expected, "{pattern} on {text:?}");

    let mut file = tempfile::NamedTempFile::new().expect("there is a temporary folder");
    file.write_all(text.as_bytes()).expect("there is room for a short text");
    let (sources, options) = ([Source::Path(file.path().into())], InputOptions::default());
    let cutter = Cutter::new(pattern, &special);
    let last_cut = |text: &[u8]| cutter.last_cut(text);
    let mut reader =
        Reader::open(&sources, &options, &last_cut, &control).expect("it exists").with_block_bytes(block_bytes);
    let mut by_blocks = none();
    while let Some(block) = reader.next_block().expect("it can be read") {
        for part in block.decode(&options, &control).expect("it is UTF-8").iter() {
            by_blocks.add_text(part).expect("a named scheme reaches no limit");
        }
    }
    assert_eq!(by_blocks, whole, "{pattern} on {text:?} in blocks of {block_bytes}");
    let limits = Limits { threads: Some(2), max_memory: None };
    let read =
        WordCounts::from_sources(&sources, &options, pattern, &special, limits, &control).expect("it can be read");
    assert_eq!(read, whole);

    let mut merged = none();
    merged.add_texts(&[&text, "", &text], Some(2), &control).expect("a named scheme reaches no limit");
    let mut twice = whole.clone();
    twice.merge(&whole).expect("they were counted alike");
    assert_eq!(merged, twice);
}
