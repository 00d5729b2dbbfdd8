//! Encoding and decoding: every way in gives the same ids, and the ids give the text back.

#![expect(clippy::unwrap_used, reason = "a failure is a failed test")]

use std::io::Write;
use std::sync::{Arc, LazyLock};

use bloomery_core::input::{InputOptions, Source};
use bloomery_core::{
    AddedToken, Allowed, Control, Definition, Dtype, EncodeFilesOptions, Normalizer, Pattern, StreamDecoder,
    StreamEncoder, TieBreak, Tokenizer, WordCounts, train,
};
use proptest::prelude::*;

const CORPUS: &str = "the cat sat on the mat, the cat's hat; that's that!\n\nthen the rest  of them\tslept… 😀😀 été naïve \
                      日本語日本語 ÅÅ 1234 12 ||| <|x|> aaaa aaaaaaaa    \n  \n";

fn definition(pattern: &Pattern, special: &[&str]) -> Definition {
    let special: Vec<String> = special.iter().map(|&token| token.to_owned()).collect();
    let mut counts = WordCounts::new(pattern, &special).unwrap();
    counts.add_text(CORPUS).unwrap();
    train(&counts, 330, TieBreak::Lexicographic, &Control::default()).unwrap()
}

static TOKENIZERS: LazyLock<Vec<Arc<Tokenizer>>> = LazyLock::new(|| {
    let special = ["<|x|>", "<|x|><|x|>", "<|", "at "];
    let custom = Pattern::Custom(r"\p{L}+|\s+|[^\s\p{L}]+".to_owned());
    let mut all: Vec<Definition> = [Pattern::Gpt2, Pattern::Cl100k, Pattern::O200k, Pattern::Qwen, custom]
        .iter()
        .map(|pattern| definition(pattern, &special))
        .collect();
    let mut nfc = definition(&Pattern::Gpt2, &special);
    nfc.normalizer = Normalizer::Nfc;
    let first = 256 + 74;
    nfc.added_tokens.push(AddedToken { special: false, normalized: true, ..AddedToken::special("~~", first) });
    nfc.added_tokens.push(AddedToken { special: false, normalized: true, ..AddedToken::special("~~~~", first + 1) });
    all.push(nfc);
    let mut flagged = definition(&Pattern::Gpt2, &["<|x|>"]);
    flagged.added_tokens[0].lstrip = true;
    flagged.added_tokens[0].rstrip = true;
    all.push(flagged);
    all.into_iter().map(|definition| Arc::new(Tokenizer::new(definition).unwrap())).collect()
});

fn text() -> impl Strategy<Value = String> {
    let parts = vec![
        "the",
        " cat",
        "'s",
        "at ",
        "at",
        " ",
        "  ",
        "~",
        "~~",
        "    ",
        "\n",
        "\t",
        "1",
        "234",
        "<",
        "|",
        "<|",
        "x",
        "|>",
        "<|x|>",
        "é",
        "e\u{301}",
        "\u{301}",
        "日本",
        "😀",
        "A\u{30a}",
        "\u{212b}",
        "aaaa",
        "!",
        "\u{1100}\u{1161}",
    ];
    prop::collection::vec(prop::sample::select(parts), 0..30).prop_map(|parts| parts.concat())
}

/// The ids of the text, on one thread and on three, and those of the text twice, by way of ids of 16 bits.
fn narrow(tokenizer: &Tokenizer, text: &str) -> [Vec<u32>; 3] {
    let (control, two) = (Control::default(), [text, text].map(Into::into));
    let made: [Vec<u16>; 3] = [
        tokenizer.encode(text, &Allowed::All).unwrap(),
        tokenizer.encode_parallel(&text.into(), &Allowed::All, Some(3), &control).unwrap(),
        tokenizer.encode_batch(&two, &Allowed::All, Some(2), &control).unwrap().0,
    ];
    made.map(|ids| ids.into_iter().map(u32::from).collect())
}

fn streamed(tokenizer: &Arc<Tokenizer>, text: &str, cuts: &[prop::sample::Index]) -> Vec<u32> {
    let boundaries: Vec<usize> = (0..=text.len()).filter(|&at| text.is_char_boundary(at)).collect();
    let mut cuts: Vec<usize> = cuts.iter().map(|cut| *cut.get(&boundaries)).collect();
    cuts.push(text.len());
    cuts.sort_unstable();
    let mut encoder = StreamEncoder::new(tokenizer.clone(), &Allowed::All).unwrap();
    let (mut ids, mut start) = (Vec::new(), 0);
    for cut in cuts {
        encoder.push(&text[start..cut], &mut ids).unwrap();
        start = cut;
    }
    encoder.finish(&mut ids).unwrap();
    ids
}

/// For each named scheme a tokenizer with few tokens of two characters, and one that cuts by the scheme's regex, all else equal:
/// that one never cuts a word. Some of the tokens tell whether a word was begun anew where it must not be, as in `……日` or
/// `aああAa`.
static CUT_AND_WHOLE: LazyLock<Vec<(Arc<Tokenizer>, Tokenizer)>> = LazyLock::new(|| {
    let corpus =
        "日本語 日本 本日 日 한국어 한국 국어 어 ไทย ไท ย น้ำ हिन्दी 你好吗 好 ……「日本」 カタカナ タカ 😀 １２３ "
            .repeat(2)
            + &"\n…日\nあAa".repeat(20);
    let two = |pattern: &Pattern| {
        let mut counts = WordCounts::new(pattern, &[]).unwrap();
        counts.add_text(&corpus).unwrap();
        let definition = train(&counts, 320, TieBreak::Lexicographic, &Control::default()).unwrap();
        let custom = Pattern::Custom(pattern.regex().to_owned());
        let whole = Definition { pattern: custom, ..definition.clone() };
        (Arc::new(Tokenizer::new(definition).unwrap()), Tokenizer::new(whole).unwrap())
    };
    [Pattern::Gpt2, Pattern::Cl100k, Pattern::O200k, Pattern::Qwen].iter().map(two).collect()
});

fn text_of_many_scripts() -> impl Strategy<Value = String> {
    let parts = vec![
        "日", "本", "語", "国", "한", "국", "어", "は", "あ", "Aa", "カ", "タ", "ー", "ย", "ไ", "ท", "้", "ह", "ि", "न्",
        "你", "…", "「", "」", "。", "\u{3000}", "😀", "𠀀", "é", "д", "ب", "ſ", "a", "A", " ", "  ", "\n", "'", "'s",
        "1", "１", "२", "/",
    ];
    prop::collection::vec(prop::sample::select(parts), 0..90).prop_map(|parts| parts.concat())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(600))]

    #[test]
    fn words_may_be_cut_where_no_token_lies_across(
        text in text_of_many_scripts(),
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..8),
    ) {
        for (cut, whole) in CUT_AND_WHOLE.iter() {
            let ids: Vec<u32> = whole.encode(&text, &Allowed::All).unwrap();
            prop_assert_eq!(cut.encode::<u32>(&text, &Allowed::All).unwrap(), &ids[..], "{:?}", cut.definition().pattern);
            prop_assert_eq!(streamed(cut, &text, &cuts), ids, "{:?}", cut.definition().pattern);
        }
    }

    #[test]
    fn all_ways_of_encoding_agree_and_decode_to_the_text(text in text(), cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..8)) {
        for tokenizer in TOKENIZERS.iter() {
            let ids: Vec<u32> = tokenizer.encode(&text, &Allowed::All).unwrap();
            prop_assert_eq!(&tokenizer.encode_parallel::<u32>(&text.as_str().into(), &Allowed::All, Some(3), &Control::default()).unwrap(), &ids);
            prop_assert_eq!(&streamed(tokenizer, &text, &cuts), &ids, "{:?}", tokenizer.definition().pattern);
            prop_assert_eq!(tokenizer.count(&text, &Allowed::All).unwrap(), ids.len());
            let (batch, offsets) = tokenizer.encode_batch::<u32>(&[text.as_str(), "", &text].map(Into::into), &Allowed::All, Some(2), &Control::default()).unwrap();
            prop_assert_eq!(&batch, &[ids.as_slice(), &ids].concat());
            prop_assert_eq!(narrow(tokenizer, &text), [ids.clone(), ids.clone(), batch]);
            let len = ids.len() as u64;
            prop_assert_eq!(offsets, [0, len, len, 2 * len]);
            let (same, spans) = tokenizer.encode_with_offsets(&text, &Allowed::All, &Control::default()).unwrap();
            prop_assert_eq!(&same, &ids);
            prop_assert_eq!(spans.len(), ids.len());
            let flagged = tokenizer.definition().added_tokens.iter().any(|token| token.rstrip);
            if !flagged {
                let normalized = if tokenizer.definition().normalizer == Normalizer::Nfc {
                    unicode_normalization::UnicodeNormalization::nfc(text.as_str()).collect()
                } else {
                    text.clone()
                };
                prop_assert_eq!(tokenizer.decode(&ids).unwrap(), normalized);
            }
            // Spans cover the text in order; two tokens share a character only when each has a part of it.
            let mut covered = 0;
            for span in &spans {
                prop_assert!(span.start <= covered && span.start < span.end && span.end >= covered, "{:?}", spans);
                covered = span.end;
            }
            prop_assert_eq!(covered, text.chars().count());
        }
    }

    #[test]
    fn ordinary_encoding_knows_no_special_token(text in text()) {
        for tokenizer in TOKENIZERS.iter() {
            let ids: Vec<u32> = tokenizer.encode(&text, &Allowed::None).unwrap();
            prop_assert!(!ids.iter().any(|&id| tokenizer.is_special(id)));
            prop_assert_eq!(tokenizer.encode::<u32>(&text, &Allowed::Only(Vec::new())).unwrap(), ids);
        }
    }

    #[test]
    fn streamed_decoding_is_decoding(ids in prop::collection::vec(0u32..330, 0..40)) {
        let tokenizer = &TOKENIZERS[0];
        let mut decoder = StreamDecoder::new(tokenizer.clone());
        let mut text = String::new();
        for &id in &ids {
            let part = decoder.push(id).unwrap();
            text.push_str(&part);
        }
        text.push_str(&decoder.finish());
        prop_assert_eq!(text, tokenizer.decode(&ids).unwrap());
    }

    #[test]
    fn a_file_of_ids_holds_the_ids_of_the_text(text in text(), repeat in 1usize..40, threads in 1usize..4) {
        let text = text.repeat(repeat);
        for tokenizer in TOKENIZERS.iter() {
            let mut input = tempfile::NamedTempFile::new().unwrap();
            input.write_all(text.as_bytes()).unwrap();
            let output = tempfile::tempdir().unwrap();
            let path = output.path().join("ids.bin");
            let options = EncodeFilesOptions { threads: Some(threads), ..EncodeFilesOptions::default() };
            let report = tokenizer.encode_files(&[Source::Path(input.path().into())], &path, &options, &Control::default()).unwrap();
            let ids: Vec<u32> = tokenizer.encode(&text, &Allowed::All).unwrap();
            let bytes: Vec<u8> = ids.iter().flat_map(|&id| (id as u16).to_le_bytes()).collect();
            prop_assert_eq!(std::fs::read(&path).unwrap(), bytes);
            prop_assert_eq!((report.tokens, report.bytes, report.dtype), (ids.len() as u64, text.len() as u64, Dtype::U16));
        }
    }
}

#[test]
fn spans_are_those_of_the_text_as_given_under_nfc() {
    let mut definition = definition(&Pattern::Gpt2, &["<|x|>"]);
    definition.normalizer = Normalizer::Nfc;
    let tokenizer = Tokenizer::new(definition).unwrap();
    let text = "e\u{301}q <|x|>\u{212b}";
    let (ids, spans) = tokenizer.encode_with_offsets(text, &Allowed::All, &Control::default()).unwrap();
    let spans: Vec<(Vec<u8>, std::ops::Range<usize>)> =
        ids.iter().map(|&id| tokenizer.token_bytes(id).unwrap().to_vec()).zip(spans).collect();
    let expected: Vec<(&[u8], _)> =
        vec![("é".as_bytes(), 0..2), (b"q", 2..3), (b" ", 3..4), (b"<|x|>", 4..9), ("Å".as_bytes(), 9..10)];
    assert_eq!(spans.iter().map(|(bytes, span)| (bytes.as_slice(), span.clone())).collect::<Vec<_>>(), expected);
}

#[test]
fn documents_are_closed_where_they_are_not_yet() {
    let tokenizer = Tokenizer::new(definition(&Pattern::Gpt2, &["<|x|>"])).unwrap();
    let end = tokenizer.token_id(b"<|x|>").unwrap();
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, content: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, content).unwrap();
        Source::Path(path)
    };
    let sources = [
        file("open.txt", "the<|x|>cat"),
        file("closed.txt", "the<|x|>"),
        file("empty.txt", ""),
        file("rows.jsonl", "{\"text\": \"a<|x|>\"}\n{\"text\": \"\"}\n"),
    ];
    let output = folder.path().join("ids.npy");
    let options = EncodeFilesOptions { end_of_text: Some(end), ..EncodeFilesOptions::default() };
    let report = tokenizer.encode_files(&sources, &output, &options, &Control::default()).unwrap();
    let bytes = std::fs::read(&output).unwrap();
    let ids: Vec<u32> = bytes[128..].chunks(2).map(|two| u32::from(u16::from_le_bytes([two[0], two[1]]))).collect();
    let mut expected: Vec<u32> = tokenizer.encode("the<|x|>cat<|x|>the<|x|>", &Allowed::All).unwrap();
    expected.extend(tokenizer.encode::<u32>("a<|x|>", &Allowed::None).unwrap());
    expected.extend([end, end]);
    assert_eq!(ids, expected);
    assert_eq!((report.documents, report.tokens), (5, ids.len() as u64));
    let header = String::from_utf8_lossy(&bytes[..128]).into_owned();
    assert!(header.contains(&format!("'shape': ({},)", ids.len())), "{header}");
}

#[test]
fn ids_that_do_not_fit_are_refused() {
    let mut definition = definition(&Pattern::Gpt2, &["<|x|>"]);
    let end = |id| AddedToken::special("<|y|>", id);
    definition.added_tokens.push(end(0xffff));
    let fits = Tokenizer::new(definition.clone()).unwrap();
    assert_eq!(fits.encode::<u16>("<|y|>", &Allowed::All).unwrap(), [0xffff]);
    *definition.added_tokens.last_mut().unwrap() = end(0x1_0000);
    let large = Tokenizer::new(definition).unwrap();
    assert_eq!(large.encode::<u32>("<|y|>", &Allowed::All).unwrap(), [0x1_0000]);
    let refused = [
        large.encode::<u16>("a", &Allowed::All).unwrap_err(),
        large.encode_parallel::<u16>(&"a".into(), &Allowed::All, None, &Control::default()).unwrap_err(),
        large.encode_batch::<u16>(&["a".into()], &Allowed::All, None, &Control::default()).unwrap_err(),
    ];
    for error in refused {
        assert_eq!(error.to_string(), "ids of a vocabulary of 65537 do not fit uint16; use uint32");
    }
}

#[test]
fn a_word_that_is_cut_where_the_scanner_stops_goes_on_as_it_began() {
    for (cut, whole) in CUT_AND_WHOLE.iter() {
        for before in 0..150 {
            for word in ["aああAa", "……日本", "ああAa日"] {
                let text = format!("{}\n{word}", "-".repeat(before));
                let ids: Vec<u32> = whole.encode(&text, &Allowed::All).unwrap();
                assert_eq!(cut.encode::<u32>(&text, &Allowed::All).unwrap(), ids, "{text:?}");
            }
        }
    }
}

#[test]
fn a_part_of_a_word_is_not_looked_up_as_if_it_were_a_whole_one() {
    let text = "the 日 語日語".to_owned();
    let counts = WordCounts::from_words([(b"the".to_vec(), 1)], &Pattern::Gpt2, &[]).unwrap();
    let mut definition = train(&counts, 258, TieBreak::Lexicographic, &Control::default()).unwrap();
    definition.whole_words = true;
    definition.vocab.push((" 日".into(), 300));
    definition.vocab.push(("日".into(), 301));
    let tokenizer = Tokenizer::new(definition).unwrap();
    let mut expected: Vec<u32> = vec![257, 300];
    expected.extend(" 語日語".bytes().map(|byte| tokenizer.token_id(&[byte]).unwrap()));
    assert_eq!(tokenizer.encode::<u32>(&text, &Allowed::All).unwrap(), expected);
}

#[test]
fn bad_requests_are_refused_by_name() {
    let tokenizer = Arc::new(Tokenizer::new(definition(&Pattern::Gpt2, &["<|x|>"])).unwrap());
    let message = |error: bloomery_core::Error| error.to_string();
    assert_eq!(
        message(tokenizer.encode::<u32>("a", &Allowed::Only(vec!["<|y|>".into()])).unwrap_err()),
        "special token \"<|y|>\" is not one of this tokenizer's special tokens"
    );
    assert_eq!(
        message(tokenizer.decode(&[1, 9999]).unwrap_err()),
        "token id 9999 at position 1 is not in the vocabulary (vocab_size 330)"
    );
    let missing = [Source::Path("/no/such/file.txt".into())];
    let options = EncodeFilesOptions { input: InputOptions::default(), ..EncodeFilesOptions::default() };
    let error = tokenizer.encode_files(&missing, "ids.npy".as_ref(), &options, &Control::default()).unwrap_err();
    assert!(message(error).starts_with("/no/such/file.txt: "));
}

#[test]
fn looking_whole_words_up_finds_no_special_token_in_ordinary_text() {
    let mut definition = definition(&Pattern::Gpt2, &["hat"]);
    let without = Tokenizer::new(definition.clone()).unwrap().encode::<u32>("hat", &Allowed::None).unwrap();
    definition.whole_words = true;
    let tokenizer = Tokenizer::new(definition).unwrap();
    let special = tokenizer.token_id(b"hat").unwrap();
    assert_eq!(tokenizer.encode::<u32>("hat", &Allowed::All).unwrap(), [special]);
    assert_eq!(tokenizer.encode::<u32>("hat", &Allowed::None).unwrap(), without);
}

#[test]
fn contradictions_in_a_vocabulary_are_refused_by_name() {
    let good = definition(&Pattern::Gpt2, &["<|x|>"]);
    let refused = |change: &dyn Fn(&mut Definition)| {
        let mut definition = good.clone();
        change(&mut definition);
        Tokenizer::new(definition).unwrap_err().to_string()
    };
    assert_eq!(
        refused(&|d| d.vocab.retain(|(token, _)| token != b"b" && token != b"c")),
        "vocabulary: 2 of the 256 bytes are no tokens (the first is b\"b\"); a byte-level tokenizer needs them all"
    );
    assert_eq!(
        refused(&|d| d.vocab.push((b"qq".to_vec(), 97))),
        "vocabulary: id 97 is both token b\"a\" and token b\"qq\""
    );
    assert_eq!(refused(&|d| d.vocab.push((b"a".to_vec(), 999))), "vocabulary: ids 97 and 999 are both token b\"a\"");
    assert_eq!(refused(&|d| d.added_tokens[0].content.clear()), "special token \"\" is empty");
    assert_eq!(
        refused(&|d| d.added_tokens.push(AddedToken::special("<|x|>", 999))),
        "special token \"<|x|>\" is given twice"
    );
    let error = refused(&|d| {
        let bloomery_core::Merges::Listed(merges) = &mut d.merges else { unreachable!("training lists its merges") };
        merges.push((b"q".to_vec(), b"z".to_vec()));
    });
    assert!(error.ends_with(", b\"q\" + b\"z\": its result b\"qz\" is not in the vocabulary"), "{error}");
}

#[test]
fn a_truncated_vocabulary_is_that_of_a_shorter_training() {
    let special = ["<|x|>".to_owned(), "<|y|>".to_owned()];
    let mut counts = WordCounts::new(&Pattern::Gpt2, &special).unwrap();
    counts.add_text(CORPUS).unwrap();
    let train = |size| train(&counts, size, TieBreak::Lexicographic, &Control::default()).unwrap();
    let large = Tokenizer::new(train(320)).unwrap();
    for size in [258, 259, 300, 320] {
        assert_eq!(large.truncate(size).unwrap(), train(size));
    }
    assert_eq!(
        large.truncate(257).unwrap_err().to_string(),
        "vocab_size 257 is too small: 256 bytes and 2 special tokens need at least 258"
    );
    assert_eq!(large.truncate(321).unwrap_err().to_string(), "cannot truncate a vocabulary of 320 to 321");
}
