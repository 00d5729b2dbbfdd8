//! Broken files: what, where, and what to do.

use std::fs;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bloomery_core::format::{gpt2, hf, load, tiktoken};
use bloomery_core::{Error, Pattern};
use serde_json::{Value, json};

use crate::trained;

fn hf_error(change: impl FnOnce(&mut String)) -> String {
    let mut text = hf::write(&trained(), "t.json").unwrap();
    change(&mut text);
    let error = hf::read(text.as_bytes(), "t.json").unwrap_err();
    assert!(matches!(error, Error::Vocabulary { .. }), "{error:?}");
    error.to_string()
}

fn hf_value_error(change: impl FnOnce(&mut Value)) -> String {
    hf_error(|text| {
        let mut value: Value = serde_json::from_str(text).unwrap();
        change(&mut value);
        *text = value.to_string();
    })
}

#[test]
fn tokenizer_json() {
    let cut = hf_error(|text| text.truncate(text.find("\"merges\"").unwrap() + 20));
    assert!(
        cut.starts_with("t.json: broken JSON: EOF while parsing a list at line 345 column 0; the file is cut short"),
        "{cut}"
    );
    let twice = hf_error(|text| *text = text.replacen("\"!\": 33", "\"a\": 33", 1));
    assert_eq!(twice, "t.json: token \"a\" stands twice in the vocabulary");
    let same_id = hf_error(|text| *text = text.replacen("\"!\": 33", "\"!\": 34", 1));
    assert_eq!(same_id, "t.json: tokens \"!\" and \"\\\"\" have the same id 34");
    let large = hf_error(|text| *text = text.replacen("\"!\": 33", "\"!\": 4294967296", 1));
    assert_eq!(large, "t.json: token \"!\" has id 4294967296, which is not an integer from 0 to 4294967295");
    let negative = hf_error(|text| *text = text.replacen("\"!\": 33", "\"!\": -1", 1));
    assert!(negative.contains("token \"!\" has id -1"), "{negative}");
    let text = hf_error(|text| *text = text.replacen("\"!\": 33", "\"!\": \"33\"", 1));
    assert!(text.contains("invalid type: string \"33\"") && text.contains(" at line "), "{text}");
    let missing = hf_error(|text| *text = text.replacen("\"!\": 33,", "", 1));
    assert!(
        missing.contains(
            "1 of the 243 bytes that UTF-8 text is made of are missing from the vocabulary, the first is 0x21"
        ),
        "{missing}"
    );
    let outside = hf_error(|text| *text = text.replacen("\"!\": 33,", "\"!\": 33, \"▁the\": 9999,", 1));
    assert!(outside.contains("token \"▁the\" has the character '▁', which stands for no byte"), "{outside}");
    assert_eq!(hf_error(|text| *text = "{}".into()), "t.json: no model: this is not a tokenizer.json");
}

#[test]
fn merges_of_tokenizer_json() {
    let part = hf_value_error(|file| file["model"]["merges"][3] = json!(["!", "qqq"]));
    assert_eq!(part, "t.json: model.merges[3]: merge \"!\" \"qqq\": its part \"qqq\" is not in the vocabulary");
    let result = hf_value_error(|file| file["model"]["merges"][3] = json!("! !"));
    assert_eq!(result, "t.json: model.merges[3]: merge \"!\" \"!\": its result \"!!\" is not in the vocabulary");
    let twice = hf_value_error(|file| file["model"]["merges"][3] = file["model"]["merges"][0].clone());
    assert!(twice.starts_with("t.json: model.merges[3]: merge ") && twice.ends_with(" stands twice"), "{twice}");
    for bad in [json!("abc"), json!("a b c"), json!(["a"]), json!(["a", "b", "c"]), json!(3)] {
        let shape = hf_value_error(|file| file["model"]["merges"][3] = bad);
        assert!(
            shape.contains("a merge: two tokens with one space between them, or a list of two tokens at line 1 column"),
            "{shape}"
        );
    }
}

#[test]
fn added_tokens_of_tokenizer_json() {
    let contradiction = hf_value_error(|file| file["added_tokens"][0]["id"] = json!(5));
    assert_eq!(contradiction, "t.json: added token \"<|endoftext|>\" has id 5, but the vocabulary says 286");
    let taken = hf_value_error(|file| file["added_tokens"][0]["content"] = json!("<x>"));
    assert_eq!(taken, "t.json: tokens \"<|endoftext|>\" and \"<x>\" have the same id 286");
}

#[test]
fn ranks() {
    let mut lines: Vec<String> = (0..=255_u8).map(|byte| format!("{} {byte}", STANDARD.encode([byte]))).collect();
    lines.push("YWI= 256".into());
    let read = |lines: &[String]| tiktoken::read(lines.join("\n").as_bytes(), "t.tiktoken", Some(Pattern::Gpt2), None);
    assert_eq!(read(&lines).unwrap().vocab.len(), 257);
    for (line, message) in [
        (
            "YWI",
            "line 257: \"YWI\" is not a token in base64, a space and a rank; the file is cut short or in another format",
        ),
        ("YWI 256", "line 257: \"YWI 256\" does not start with a token in base64: "),
        ("YWI= 25x", "line 257: \"YWI= 25x\" does not end in a rank, an integer from 0 to 4294967295"),
        ("YWI= 4294967296", "line 257: \"YWI= 4294967296\" does not end in a rank"),
        ("YWI= ", "line 257: \"YWI= \" does not end in a rank"),
        (" 256", "line 257: the token is empty"),
        ("YWI= 25", "line 257: the rank 25 stands on line 26 already"),
        ("YQ== 256", "line 257: the token \"a\" stands on line 98 already"),
    ] {
        lines[256] = line.to_owned();
        let error = read(&lines).unwrap_err().to_string();
        assert!(error.starts_with(&format!("t.tiktoken: {message}")), "{error}");
    }
    let error = read(&lines[..200]).unwrap_err().to_string();
    assert!(error.contains("45 of the 243 bytes that UTF-8 text is made of are missing"), "{error}");
    lines.pop();
    let error = tiktoken::read(lines.join("\n").as_bytes(), "t.tiktoken", None, None).unwrap_err();
    assert!(matches!(error, Error::Argument(_)));
    let message = error.to_string();
    assert!(message.contains("does not carry its pattern") && message.contains("pass pattern="), "{message}");
    let sha256 = message.split("its own is ").nth(1).unwrap().split(')').next().unwrap();
    assert!(sha256.len() == 64 && sha256.bytes().all(|b| b.is_ascii_hexdigit()), "{message}");
}

#[test]
fn the_pair_of_files() {
    let (vocab, merges) = gpt2::write(&trained(), "pair").unwrap();
    let read = |vocab: &str, merges: &str| {
        gpt2::read(vocab.as_bytes(), merges.as_bytes(), ("vocab.json", "merges.txt"), None, Pattern::Gpt2)
            .unwrap_err()
            .to_string()
    };
    let cut = &merges[..merges.rfind(' ').unwrap()];
    let last = merges.lines().count();
    assert!(read(&vocab, cut).starts_with(&format!("merges.txt: line {last}: ")), "{}", read(&vocab, cut));
    let extra = read(&vocab, &format!("{merges}a b c\n"));
    assert_eq!(
        extra,
        format!("merges.txt: line {}: \"a b c\" is not two tokens with one space between them", last + 1)
    );
    let header = read(&vocab, &format!("{merges}#version: 0.2\n"));
    assert!(header.contains("#version:"), "{header}");
    let unknown = read(&vocab, &format!("{merges}! !\n"));
    assert_eq!(
        unknown,
        format!(
            "vocab.json: merges.txt, line {}: merge \"!\" \"!\": its result \"!!\" is not in the vocabulary",
            last + 1
        )
    );
    let truncated = read(&vocab[..100], &merges);
    assert!(truncated.starts_with("vocab.json: broken JSON: EOF while parsing"), "{truncated}");
    assert_eq!(read("[]", &merges), "vocab.json: not an object of tokens and ids");
}

#[test]
fn not_a_tokenizer() {
    let folder = tempfile::tempdir().unwrap();
    let load_text = |text: &str| {
        let path = folder.path().join("file");
        fs::write(&path, text).unwrap();
        let message = load(&path, None, None).unwrap_err().to_string();
        message.strip_prefix(&format!("{}: ", path.display())).unwrap().to_owned()
    };
    let (vocab, merges) = gpt2::write(&trained(), "pair").unwrap();
    let both = "pass the folder that has vocab.json and merges.txt both";
    assert_eq!(load_text(&vocab), format!("a vocabulary without its merges; {both}"));
    assert_eq!(load_text(&merges), format!("merges without their vocabulary; {both}"));
    // `model` and `version` are words of GPT-2's vocabulary.
    assert_eq!(load_text(r#"{"model": 1, "version": 2}"#), format!("a vocabulary without its merges; {both}"));
    assert!(load_text(&vocab[..99]).contains("the file is cut short"));
    for text in ["", "some text\n", "[1]", "\u{feff}"] {
        assert!(load_text(text).starts_with("neither a tokenizer.json nor a .tiktoken file"), "{text:?}");
    }
    let error = load(&folder.path().join("nowhere"), None, None).unwrap_err().to_string();
    assert!(error.contains("nowhere: No such file"), "{error}");
    let error = load(folder.path(), None, None).unwrap_err().to_string();
    assert!(error.ends_with("the folder has no tokenizer.json, and no vocab.json with merges.txt"), "{error}");
}
