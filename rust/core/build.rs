//! Writes the character class table of the scanners, from the Unicode data of the same `regex-syntax` that the regex
//! engine uses: scanner and regex cannot disagree about a character.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::path::Path;

use regex_syntax::hir::{Class, HirKind};

/// As many characters as the last byte of one that is not ASCII tells apart.
const BLOCK: usize = 64;

/// Class names in the order of their values in `pretokenize/class.rs`; later ones overwrite earlier ones.
const CLASSES: [(u8, &str); 7] = [
    (1, r"[\p{Lu}\p{Lt}]"),
    (2, r"\p{Ll}"),
    (3, r"[\p{Lm}\p{Lo}]"),
    (4, r"\p{M}"),
    (5, r"\p{N}"),
    (6, r"\s"),
    (7, r"[\r\n]"),
];

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    let mut class = vec![0u8; 0x11_0000];
    for (value, regex) in CLASSES {
        let hir = regex_syntax::parse(regex).expect("a valid character class");
        let HirKind::Class(Class::Unicode(ranges)) = hir.kind() else { panic!("{regex} is not a Unicode class") };
        for range in ranges.iter() {
            class[range.start() as usize..=range.end() as usize].fill(value);
        }
    }

    let mut blocks: Vec<&[u8]> = Vec::new();
    let mut seen: HashMap<&[u8], usize> = HashMap::new();
    let index: Vec<usize> = class
        .chunks(BLOCK)
        .map(|block| {
            *seen.entry(block).or_insert_with(|| {
                blocks.push(block);
                blocks.len() - 1
            })
        })
        .collect();
    let mut source = String::new();
    writeln!(source, "static BLOCK_OF: [u16; {}] = {index:?};", index.len()).expect("writing to a String");
    writeln!(source, "static BLOCKS: [[u8; {BLOCK}]; {}] = {blocks:?};", blocks.len()).expect("writing to a String");
    let out = std::env::var("OUT_DIR").expect("cargo sets OUT_DIR");
    std::fs::write(Path::new(&out).join("class_table.rs"), source).expect("writing the class table");
}
