//! What a format cannot carry is refused by name, on reading and on writing.

use bloomery_core::format::{gpt2, hf, load, save, tiktoken};
use bloomery_core::{AddedToken, Definition, Error, Merges, Normalizer, Pattern};
use serde_json::{Value, json};

use crate::{special, trained};

fn read_with(pointer: &str, value: Value) -> Result<Definition, Error> {
    let mut file: Value = serde_json::from_str(&hf::write(&trained(), "t.json").unwrap()).unwrap();
    let (parent, key) = pointer.rsplit_once('/').unwrap();
    file.pointer_mut(parent).unwrap()[key] = value;
    hf::read(file.to_string().as_bytes(), "t.json")
}

#[test]
fn features_of_tokenizer_json() {
    let byte_level =
        |prefix: bool, regex: bool| json!({"type": "ByteLevel", "add_prefix_space": prefix, "use_regex": regex});
    let split = |regex: &str, behavior: &str| json!({"type": "Split", "pattern": {"Regex": regex}, "behavior": behavior, "invert": false});
    let sequence = |key: &str, steps: &[Value]| json!({"type": "Sequence", key: steps});
    for (pointer, value, feature) in [
        ("/version", json!("2.0"), r#"version "2.0""#),
        ("/truncation", json!({"max_length": 5}), "truncation"),
        ("/padding", json!({"pad_id": 5}), "padding"),
        ("/normalizer", json!({"type": "Lowercase"}), "normalizer Lowercase"),
        (
            "/normalizer",
            sequence("normalizers", &[json!({"type": "NFC"}), json!({"type": "Strip"})]),
            "normalizer NFC then Strip",
        ),
        ("/pre_tokenizer", Value::Null, "pre_tokenizer null"),
        ("/pre_tokenizer", json!({"type": "Whitespace"}), "pre_tokenizer Whitespace"),
        ("/pre_tokenizer", byte_level(true, true), "pre_tokenizer ByteLevel with add_prefix_space"),
        ("/pre_tokenizer", byte_level(false, false), "pre_tokenizer ByteLevel without use_regex and without a Split"),
        (
            "/pre_tokenizer",
            sequence("pretokenizers", &[split("a", "Removed"), byte_level(false, false)]),
            r#"pre_tokenizer Split with behavior "Removed""#,
        ),
        (
            "/pre_tokenizer",
            sequence("pretokenizers", &[split("a", "Isolated"), split("b", "Isolated"), byte_level(false, false)]),
            "pre_tokenizer Split then Split then ByteLevel (other than one Split and one ByteLevel without use_regex)",
        ),
        (
            "/pre_tokenizer",
            sequence("pretokenizers", &[json!({"type": "Digits", "individual_digits": true}), byte_level(false, true)]),
            "pre_tokenizer Digits",
        ),
        (
            "/post_processor",
            json!({"type": "TemplateProcessing", "single": [{"SpecialToken": {"id": "<s>", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}]}),
            "post_processor TemplateProcessing that adds tokens",
        ),
        ("/post_processor", json!({"type": "BertProcessing"}), "post_processor BertProcessing"),
        ("/decoder", Value::Null, "decoder null (it would give GPT-2's characters instead of text)"),
        ("/decoder", json!({"type": "WordPiece"}), "decoder WordPiece"),
        ("/model/type", json!("WordPiece"), "model type WordPiece"),
        ("/model/dropout", json!(0.1), "dropout 0.1"),
        ("/model/continuing_subword_prefix", json!("##"), r###"continuing_subword_prefix "##""###),
        ("/model/end_of_word_suffix", json!("</w>"), r#"end_of_word_suffix "</w>""#),
        ("/model/byte_fallback", json!(true), "byte_fallback"),
    ] {
        let error = read_with(pointer, value).unwrap_err();
        assert_eq!(error.to_string(), format!("t.json: {feature} is not supported"));
    }
    let unigram = json!({"type": "Unigram", "vocab": [["a", -1.0]], "unk_id": 0});
    assert_eq!(read_with("/model", unigram).unwrap_err().to_string(), "t.json: model type Unigram is not supported");
}

#[test]
fn harmless_features_of_tokenizer_json() {
    let template = json!({"type": "TemplateProcessing", "single": [{"Sequence": {"id": "A", "type_id": 0}}], "special_tokens": {}});
    for (pointer, value) in [
        ("/normalizer", json!({"type": "Sequence", "normalizers": []})),
        (
            "/pre_tokenizer",
            json!({"type": "Sequence", "pretokenizers": [{"type": "ByteLevel", "add_prefix_space": false}]}),
        ),
        ("/post_processor", Value::Null),
        ("/post_processor", json!({"type": "Sequence", "processors": [{"type": "ByteLevel"}, template]})),
        ("/model/dropout", json!(0.0)),
        // With every byte in the vocabulary nothing is unknown.
        ("/model/unk_token", json!("<|endoftext|>")),
        ("/model/type", Value::Null),
        ("/model/continuing_subword_prefix", json!("")),
    ] {
        assert_eq!(read_with(pointer, value).unwrap(), trained(), "{pointer}");
    }
    let nfc = read_with("/normalizer", json!({"type": "Sequence", "normalizers": [{"type": "NFC"}]})).unwrap();
    assert_eq!(nfc.normalizer, Normalizer::Nfc);
}

#[test]
fn what_ranks_cannot_carry() {
    let message = |definition: &Definition| tiktoken::write(definition, "t.tiktoken").unwrap_err().to_string();
    let mut plain = trained();
    plain.added_tokens[0].special = false;
    assert_eq!(
        message(&plain),
        r#"t.tiktoken: an added token that is not special, "<|endoftext|>", in a .tiktoken file (save as tokenizer.json instead) is not supported"#
    );
    let nfc = Definition { normalizer: Normalizer::Nfc, ..trained() };
    assert!(message(&nfc).contains("the normalizer NFC"), "{}", message(&nfc));
    let mut reordered = trained();
    let Merges::Listed(merges) = &mut reordered.merges else { panic!("training lists its merges") };
    merges.reverse();
    assert!(message(&reordered).contains("a list of merges that differs from merging by the tokens' ids"));
    let mut whole = trained();
    whole.vocab.push((b"zzz".to_vec(), 999));
    assert!(message(&whole).contains(r#"the token "zzz", which merging never makes,"#));
    whole.whole_words = true;
    tiktoken::write(&whole, "t.tiktoken").unwrap();
}

#[test]
fn what_the_pair_of_files_cannot_carry() {
    let message = |definition: &Definition| gpt2::write(definition, "pair").unwrap_err().to_string();
    let cl100k = Definition { pattern: Pattern::Cl100k, ..trained() };
    assert_eq!(
        message(&cl100k),
        "pair: the pattern cl100k in vocab.json and merges.txt (save as tokenizer.json instead) is not supported"
    );
    let nfc = Definition { normalizer: Normalizer::Nfc, ..trained() };
    assert!(message(&nfc).contains("the normalizer NFC"));
    let mut stripping = trained();
    stripping.added_tokens[0].rstrip = true;
    assert!(
        message(&stripping)
            .contains(r#"a special token that strips white space or matches single words, "<|endoftext|>","#)
    );
    let mut whole = trained();
    whole.vocab.push((b"zzz".to_vec(), 999));
    assert!(message(&whole).contains(r#"the token "zzz", which no merge makes,"#));
    whole.whole_words = true;
    assert!(message(&whole).contains(r#"the token "zzz", found as a whole word only,"#));
    whole.merges = Merges::ByRank;
    assert!(message(&whole).contains(r#"the token "zzz", found as a whole word only,"#));
}

#[test]
fn added_tokens_that_would_not_keep_their_ids() {
    // Spelt ` low` as an added token and `Ġlow` in the vocabulary.
    let mut ordinary = trained();
    let (_, id) = ordinary.vocab.iter().find(|(token, _)| token == b" low").cloned().unwrap();
    ordinary.added_tokens.insert(0, special(" low", id));
    for error in [hf::write(&ordinary, "t.json").unwrap_err(), gpt2::write(&ordinary, "pair").unwrap_err()] {
        let message = error.to_string();
        assert!(
            message
                .starts_with(r#"special token " low" is a token that merges make too, which the file spells "Ġlow""#),
            "{message}"
        );
    }
    let (_, id) = ordinary.vocab.iter().find(|(token, _)| token == b"low").cloned().unwrap();
    ordinary.added_tokens[0] = special("low", id);
    let message = gpt2::write(&ordinary, "pair").unwrap_err().to_string();
    assert!(message.contains(r#"the special token "low", which merges make too,"#), "{message}");

    // `é` is how byte 0xE9 is spelt.
    let mut clash = trained();
    clash.added_tokens.push(special("é", 999));
    let error = hf::write(&clash, "t.json").unwrap_err().to_string();
    assert!(error.starts_with(r#"special token "é" is spelt in the file like the token with id 233"#), "{error}");
    assert!(gpt2::write(&clash, "pair").is_err());
    let twice = AddedToken { id: 1000, ..special("é", 999) };
    clash.added_tokens = vec![twice];
    tiktoken::write(&clash, "t.tiktoken").unwrap();
}

#[test]
fn arguments_that_disagree_with_the_path() {
    let folder = tempfile::tempdir().unwrap();
    let json = folder.path().join("tokenizer.json");
    save(&trained(), &json).unwrap();
    let error = load(&json, Some(Pattern::O200k), None).unwrap_err().to_string();
    assert!(error.ends_with(r#"pattern="o200k" disagrees with the file's own, "gpt2"; leave it out"#), "{error}");
    let error = save(&trained(), folder.path()).unwrap_err().to_string();
    assert!(error.contains("the folder has a tokenizer.json, which would be read in place of"), "{error}");
    let error = save(&trained(), &folder.path().join("t.bin")).unwrap_err().to_string();
    assert!(error.contains("the extension says the format"), "{error}");
}
