//! The readers of every format on arbitrary bytes: an error or a value, never a panic; and a value can be written again.

use std::io::Write;

use crate::Input;
use bloomery_core::count::Limits;
use bloomery_core::format::{gpt2, hf, tiktoken, word_counts};
use bloomery_core::input::{InputOptions, Source, Utf8Errors};
use bloomery_core::{Control, Definition, Pattern, Tokenizer, WordCounts};

const SUFFIXES: [&str; 6] = [".txt", ".jsonl", ".parquet", ".txt.gz", ".jsonl.zst", ".json"];

/// Panics where they differ.
pub fn check(data: &[u8]) {
    let mut input = Input(data);
    let kind = input.below(4 + SUFFIXES.len());
    match kind {
        0 => {
            if let Ok(definition) = hf::read(input.0, "tokenizer.json") {
                let written = made(&definition).then(|| hf::write(&definition, "again"));
                if let Some(Ok(json)) = written {
                    assert_eq!(hf::read(json.as_bytes(), "again").expect("it was just written"), definition);
                }
            }
        }
        1 => {
            let special = input.special_tokens();
            let read = tiktoken::read(input.0, "ranks.tiktoken", Some(Pattern::Gpt2), Some(special));
            let _ = read.is_ok_and(|definition| made(&definition));
        }
        2 => {
            let at = input.0.iter().position(|&byte| byte == 0).unwrap_or(input.0.len());
            let (vocab, merges) = input.0.split_at(at);
            let merges = merges.get(1..).unwrap_or_default();
            let read = gpt2::read(vocab, merges, ("vocab.json", "merges.txt"), None, Pattern::Gpt2);
            let _ = read.is_ok_and(|definition| made(&definition));
        }
        3 => drop(word_counts::read(written(input.0, ".parquet").path())),
        _ => {
            let errors = [Utf8Errors::Strict, Utf8Errors::Replace, Utf8Errors::Ignore][input.below(3)];
            let file = written(input.0, SUFFIXES[kind - 4]);
            let options = InputOptions { errors, ..InputOptions::default() };
            let sources = [Source::Path(file.path().into())];
            drop(WordCounts::from_sources(
                &sources,
                &options,
                &Pattern::Gpt2,
                &[],
                Limits::default(),
                &Control::default(),
            ));
        }
    }
}

/// Whether a tokenizer can be made of it.
fn made(definition: &Definition) -> bool {
    Tokenizer::new(definition.clone()).is_ok()
}

fn written(bytes: &[u8], suffix: &str) -> tempfile::NamedTempFile {
    let mut file = tempfile::Builder::new().suffix(suffix).tempfile().expect("there is a temporary folder");
    file.write_all(bytes).expect("there is room for a few bytes");
    file
}
