//! Training against its definition.

#![expect(clippy::unwrap_used, reason = "a failure is a failed test")]

use bloomery_core::train::naive;
use bloomery_core::{Control, Error, Merges, Pattern, TieBreak, WordCounts, train};
use proptest::prelude::*;

fn learnt(words: &[(Vec<u8>, u64)], merges: usize, tie_break: TieBreak) -> Vec<(Vec<u8>, Vec<u8>)> {
    let counts = WordCounts::from_words(words.iter().cloned(), &Pattern::Gpt2, &[]).unwrap();
    let definition = train(&counts, 256 + merges, tie_break, &Control::default()).unwrap();
    let Merges::Listed(learnt) = definition.merges else { panic!("training lists its merges") };
    assert_eq!(definition.vocab.len(), 256 + learnt.len());
    learnt
}

fn by_definition(words: &[(Vec<u8>, u64)], merges: usize, tie_break: TieBreak) -> Vec<(Vec<u8>, Vec<u8>)> {
    let words: Vec<(&[u8], u64)> = words.iter().map(|(word, count)| (word.as_slice(), *count)).collect();
    naive::merges(&words, merges, tie_break)
}

/// Words over few letters, so that runs (`aaaa`), alternations (`abab`) and ties are the rule.
fn words() -> impl Strategy<Value = Vec<(Vec<u8>, u64)>> {
    let letters = prop_oneof![
        Just(vec![b'a']),
        Just(vec![b'a', b'b']),
        Just(vec![b'a', b'b', b'c']),
        Just(vec![b' ', b'a', 0, 0x7f, 0xad, 0xff]),
    ];
    letters.prop_flat_map(|letters| {
        let word = prop::collection::vec(prop::sample::select(letters), 1..24);
        prop::collection::vec((word, 1u64..6), 1..20)
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn merges_are_those_of_the_definition(words in words(), merges in 0usize..60) {
        for tie_break in [TieBreak::Lexicographic, TieBreak::HuggingFace] {
            prop_assert_eq!(learnt(&words, merges, tie_break), by_definition(&words, merges, tie_break));
        }
    }

    #[test]
    fn no_two_merges_give_the_same_bytes(words in words()) {
        let mut joined: Vec<Vec<u8>> =
            learnt(&words, 1000, TieBreak::Lexicographic).into_iter().map(|(left, right)| [left, right].concat()).collect();
        let all = joined.len();
        joined.sort();
        joined.dedup();
        prop_assert_eq!(joined.len(), all);
    }

    #[test]
    fn counts_merged_from_parts_train_like_the_whole(texts in prop::collection::vec("[ab<|x>\\n ]{0,30}", 1..12), at in any::<prop::sample::Index>()) {
        let special = ["<|x|>".to_owned()];
        let count = |texts: &[String], threads| {
            let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
            let mut counts = WordCounts::new(&Pattern::Gpt2, &special).unwrap();
            counts.add_texts(&texts, Some(threads), &Control::default()).unwrap();
            counts
        };
        let (head, tail) = texts.split_at(at.index(texts.len()));
        let mut parts = count(tail, 1);
        parts.merge(&count(head, 3)).unwrap();
        let whole = count(&texts, 2);
        prop_assert_eq!(&parts, &whole);
        let train = |counts| train(counts, 300, TieBreak::Lexicographic, &Control::default()).unwrap();
        prop_assert_eq!(train(&parts), train(&whole));
    }
}

#[test]
fn frequent_pairs_with_more_places_than_are_listed_at_a_time_are_merged_in_order() {
    let words: Vec<(Vec<u8>, u64)> = (0..12u64)
        .map(|word| {
            let letters = (0..20 + word).map(|place| b'a' + ((word * 7 + place * place + place / 3) % 2) as u8);
            (letters.collect(), if word % 2 == 0 { (250 + word) << 33 } else { 1 + word })
        })
        .collect();
    let counts = WordCounts::from_words(words.iter().cloned(), &Pattern::Gpt2, &[]).unwrap();
    let borrowed: Vec<(&[u8], u64)> = words.iter().map(|(word, count)| (word.as_slice(), *count)).collect();
    for tie_break in [TieBreak::Lexicographic, TieBreak::HuggingFace] {
        let trained = train(&counts, 256 + 60, tie_break, &Control::default()).unwrap();
        assert_eq!(trained.merges, Merges::Listed(naive::merges(&borrowed, 60, tie_break)));
    }
}

#[test]
fn counts_beyond_32_bits_decide() {
    let just_over = u64::from(u32::MAX) + 2;
    let words = [(b"ab".to_vec(), just_over), (b"zy".to_vec(), just_over - 1), (b"xw".to_vec(), 1 << 40)];
    let merges = learnt(&words, 3, TieBreak::Lexicographic);
    let expected: Vec<(Vec<u8>, Vec<u8>)> =
        [("x", "w"), ("a", "b"), ("z", "y")].map(|(l, r)| (l.into(), r.into())).into();
    assert_eq!(merges, expected);
}

#[test]
fn counts_that_overflow_64_bits_are_refused() {
    let words = [(b"ab".to_vec(), u64::MAX), (b"cd".to_vec(), 1)];
    let counts = WordCounts::from_words(words, &Pattern::Gpt2, &[]).unwrap();
    let error = train(&counts, 300, TieBreak::Lexicographic, &Control::default()).unwrap_err();
    assert_eq!(error.to_string(), "the count of all pairs together exceeds 64 bits");
    let twice = [(b"ab".to_vec(), u64::MAX), (b"ab".to_vec(), 1)];
    let error = WordCounts::from_words(twice, &Pattern::Gpt2, &[]).unwrap_err();
    assert_eq!(error.to_string(), "the count of the word \"ab\" exceeds 64 bits");
}

#[test]
fn a_vocabulary_too_small_for_bytes_and_special_tokens_is_refused() {
    let counts = WordCounts::new(&Pattern::Gpt2, &["<|a|>".into(), "<|b|>".into()]).unwrap();
    let error = train(&counts, 257, TieBreak::Lexicographic, &Control::default()).unwrap_err();
    assert_eq!(error.to_string(), "vocab_size 257 is too small: 256 bytes and 2 special tokens need at least 258");
    assert!(train(&counts, 258, TieBreak::Lexicographic, &Control::default()).is_ok());
}

#[test]
fn a_cancelled_training_stops() {
    let counts = WordCounts::from_words([(b"abcd".to_vec(), 1)], &Pattern::Gpt2, &[]).unwrap();
    let control = Control::default();
    control.cancel();
    assert!(matches!(train(&counts, 300, TieBreak::Lexicographic, &control), Err(Error::Cancelled)));
}

#[test]
fn words_of_other_rules_are_not_merged() {
    let mut counts = WordCounts::new(&Pattern::Gpt2, &[]).unwrap();
    let error = counts.merge(&WordCounts::new(&Pattern::O200k, &[]).unwrap()).unwrap_err().to_string();
    assert!(error.starts_with("word counts differ in pattern: \"gpt2\" and \"o200k\""), "{error}");
    let error = counts.merge(&WordCounts::new(&Pattern::Gpt2, &["x".into()]).unwrap()).unwrap_err().to_string();
    assert!(error.starts_with("word counts differ in special tokens: [] and [\"x\"]"), "{error}");
}

#[test]
fn words_followed_by_zeros_are_other_words() {
    let mut counts = WordCounts::new(&Pattern::Custom("[^|]+".into()), &["|".into()]).unwrap();
    let long = "x".repeat(40);
    counts.add_text(&format!("a|a\0|a\0\0|a|{long}|{long}\0|{long}|0123456789abcdef|0123456789abcde")).unwrap();
    let words: Vec<(Vec<u8>, u64)> = counts.sorted().unwrap();
    let expected = [("0123456789abcde", 1), ("0123456789abcdef", 1), ("a", 2), ("a\0", 1), ("a\0\0", 1)];
    let mut expected: Vec<(Vec<u8>, u64)> =
        expected.iter().map(|(word, count)| (word.as_bytes().to_vec(), *count)).collect();
    expected.extend([(long.clone().into_bytes(), 2), ((long + "\0").into_bytes(), 1)]);
    assert_eq!(words, expected);
}
