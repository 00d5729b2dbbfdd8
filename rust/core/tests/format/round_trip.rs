//! What is written comes back equal.

use std::fs;

use bloomery_core::format::byte_chars::{BYTE_TO_CHAR, byte_of};
use bloomery_core::format::{hf, load, save};
use bloomery_core::{AddedToken, Definition, Merges, Normalizer, Pattern};

use crate::{special, trained};

fn by_rank() -> Definition {
    Definition { merges: Merges::ByRank, whole_words: true, ..trained() }
}

#[test]
fn byte_characters_are_a_bijection() {
    for (byte, c) in (0..=255).zip(BYTE_TO_CHAR) {
        assert_eq!(byte_of(c), Some(byte));
    }
    let chars = (0..=0x10FFFF).filter_map(char::from_u32).filter(|&c| byte_of(c).is_some()).count();
    assert_eq!(chars, 256);
    assert_eq!((BYTE_TO_CHAR[0], BYTE_TO_CHAR[32], BYTE_TO_CHAR[0xAD]), ('Ā', 'Ġ', 'Ń'));
}

#[test]
fn every_definition_through_tokenizer_json() {
    let mut flags = trained();
    let run = flags.vocab.len() as u32 + 2;
    let plain = AddedToken { special: false, normalized: true, ..special("   ", run) };
    let stripping = AddedToken { lstrip: true, rstrip: true, single_word: true, ..special("word", run + 1) };
    flags.added_tokens.extend([plain, stripping]);
    // Ids that a reader would not give by itself.
    let mut gaps = flags.clone();
    gaps.added_tokens[2].id += 90;
    gaps.added_tokens[3].id += 90;
    // An added token that merges make, too.
    let mut ordinary = trained();
    let (token, id) = ordinary.vocab.iter().find(|(token, _)| token == b"low").unwrap().clone();
    ordinary.added_tokens.insert(0, special(&String::from_utf8(token).unwrap(), id));
    let custom = Pattern::Custom(r"[^\s\p{N}]+|\p{N}{1,2}+|\s++$|\s".to_owned());
    for definition in [
        flags,
        gaps,
        ordinary,
        by_rank(),
        Definition { whole_words: true, ..trained() },
        Definition { normalizer: Normalizer::Nfc, ..trained() },
        Definition { pattern: Pattern::Cl100k, ..by_rank() },
        Definition { pattern: custom, ..trained() },
    ] {
        let json = hf::write(&definition, "t.json").unwrap();
        let read = hf::read(json.as_bytes(), "t.json").unwrap();
        if definition.whole_words && definition.merges != Merges::ByRank {
            // Merges in order of ids are the ranks, under either name.
            assert_eq!(read, by_rank());
        } else {
            assert_eq!(read, definition);
        }
        assert_eq!(hf::write(&read, "t.json").unwrap(), json);
    }
}

#[test]
fn saved_files_are_recognised_by_content() {
    let folder = tempfile::tempdir().unwrap();
    let (json, ranks, pair) =
        (folder.path().join("t.json"), folder.path().join("t.tiktoken"), folder.path().join("pair"));
    let definition = trained();
    for path in [&json, &ranks, &pair] {
        save(&definition, path).unwrap();
        save(&definition, path).unwrap();
    }
    assert_eq!(load(&json, None, None).unwrap(), definition);
    assert_eq!(load(&pair, None, None).unwrap(), definition);
    let special = Some(vec!["<|endoftext|>".to_owned(), "<漢é>".to_owned()]);
    assert_eq!(load(&ranks, Some(Pattern::Gpt2), special).unwrap(), by_rank());
    let mut names: Vec<_> = fs::read_dir(&pair).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    names.sort();
    assert_eq!(names, ["merges.txt", "vocab.json"]);

    // Under other names, and ranks to the pair of files.
    for (from, to) in [(&json, "a"), (&ranks, "b")] {
        fs::rename(from, folder.path().join(to)).unwrap();
    }
    assert_eq!(load(&folder.path().join("a"), Some(Pattern::Gpt2), None).unwrap(), definition);
    save(&by_rank(), &pair).unwrap();
    assert_eq!(load(&pair, None, None).unwrap(), definition);
    fs::rename(pair.join("vocab.json"), pair.join("encoder.json")).unwrap();
    fs::rename(pair.join("merges.txt"), pair.join("vocab.bpe")).unwrap();
    assert_eq!(load(&pair, None, None).unwrap(), definition);
    fs::rename(folder.path().join("a"), pair.join("tokenizer.json")).unwrap();
    assert_eq!(load(&pair, None, None).unwrap(), definition);
}

#[test]
fn merges_may_start_with_a_hash_and_lack_the_header() {
    let folder = tempfile::tempdir().unwrap();
    save(&trained(), folder.path()).unwrap();
    let merges = fs::read_to_string(folder.path().join("merges.txt")).unwrap();
    assert!(merges.contains("\n# #\n"), "{merges}");
    fs::write(folder.path().join("merges.txt"), merges.strip_prefix("#version: 0.2\n").unwrap()).unwrap();
    assert_eq!(load(folder.path(), None, None).unwrap(), trained());
}

#[test]
fn special_tokens_are_found_or_appended() {
    let folder = tempfile::tempdir().unwrap();
    let (json, pair) = (folder.path().join("t.json"), folder.path().join("pair"));
    let definition = trained();
    save(&definition, &json).unwrap();
    save(&definition, &pair).unwrap();
    let (end, next) = (definition.vocab.len() as u32, definition.vocab.len() as u32 + 2);
    let asked = Some(vec!["<new>".to_owned(), "<|endoftext|>".to_owned()]);
    assert_eq!(
        load(&json, None, asked.clone()).unwrap().added_tokens,
        [special("<|endoftext|>", end), special("<漢é>", end + 1), special("<new>", next)]
    );
    let error = load(&pair, None, asked).unwrap_err().to_string();
    assert!(error.contains(r#"token "<漢é>" has the character '漢', which stands for no byte"#), "{error}");
    assert!(error.ends_with("special_tokens does not name"), "{error}");
    let all = Some(["<new>", "<|endoftext|>", "<漢é>"].map(str::to_owned).to_vec());
    assert_eq!(load(&pair, None, all).unwrap().added_tokens.len(), 3);
    let error = load(&json, None, Some(vec![String::new()])).unwrap_err().to_string();
    assert_eq!(error, r#"special token "" is empty"#);
}
