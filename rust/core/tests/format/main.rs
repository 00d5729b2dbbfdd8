//! The file formats: round trips, published vocabularies, broken files, and what is refused.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking, in its helper functions too")]

mod broken;
mod live;
mod onig;
mod published;
mod refused;
mod round_trip;

use std::path::PathBuf;

use bloomery_core::{AddedToken, Control, Definition, Pattern, TieBreak, WordCounts, train};

/// A vocabulary learnt from a few words, with two special tokens behind.
fn trained() -> Definition {
    let special = ["<|endoftext|>".to_owned(), "<漢é>".to_owned()];
    let mut counts = WordCounts::new(&Pattern::Gpt2, &special).unwrap();
    counts.add_text("####\n####\n##\nlow low low lower lowest new newer newest 漢字漢字 naïve naïveté").unwrap();
    train(&counts, 256 + 30 + 2, TieBreak::Lexicographic, &Control::default()).unwrap()
}

fn special(content: &str, id: u32) -> AddedToken {
    AddedToken::special(content, id)
}

/// The folder of published vocabularies, or None with a word on why the test is skipped.
fn shared() -> Option<PathBuf> {
    let default = || PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared"));
    let folder = std::env::var_os("BLOOMERY_SHARED").map_or_else(default, PathBuf::from).join("vocab");
    if !folder.is_dir() {
        eprintln!(
            "skipped: {} is absent; set BLOOMERY_SHARED to the folder with published vocabularies",
            folder.display()
        );
        return None;
    }
    Some(folder)
}
