//! Ranks and listed merges, held to naive encoders.

use bloomery_core::live::{by_rank, live};
use bloomery_core::{Control, Merges, Pattern, TieBreak, WordCounts, train};
use proptest::prelude::*;

type Token = Vec<u8>;

/// Joins the pair of lowest rank, the leftmost among equals, until none is left.
fn encode(word: &[u8], rank: impl Fn(&Token, &Token) -> Option<usize>) -> Vec<Token> {
    let mut tokens: Vec<Token> = word.iter().map(|&byte| vec![byte]).collect();
    loop {
        let pairs = tokens.windows(2).enumerate().filter_map(|(at, pair)| Some((rank(&pair[0], &pair[1])?, at)));
        let Some((_, at)) = pairs.min() else { return tokens };
        let joined = tokens[at..at + 2].concat();
        tokens.splice(at..at + 2, [joined]);
    }
}

fn encode_listed(word: &[u8], merges: &[(Token, Token)]) -> Vec<Token> {
    encode(word, |left, right| merges.iter().position(|(l, r)| (l, r) == (left, right)))
}

fn encode_by_rank(word: &[u8], vocab: &[(Token, u32)]) -> Vec<Token> {
    encode(word, |left, right| {
        let joined = [left.as_slice(), right].concat();
        vocab.iter().position(|(token, _)| *token == joined)
    })
}

fn letters(lengths: std::ops::Range<usize>) -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec(prop::sample::select(b"aab".to_vec()), lengths)
}

fn with_bytes(tokens: Vec<Token>) -> Vec<(Token, u32)> {
    let mut all: Vec<Token> = (0..=255).map(|byte| vec![byte]).collect();
    for token in tokens {
        if !all.contains(&token) {
            all.push(token);
        }
    }
    all.into_iter().zip(0..).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    /// Any tokens in any order, as no training would make them.
    #[test]
    fn ranks_are_their_live_merges(
        tokens in prop::collection::vec(letters(2..7), 1..25),
        words in prop::collection::vec(letters(1..40), 10),
    ) {
        let vocab = with_bytes(tokens);
        let merges = by_rank(&vocab);
        for word in words {
            prop_assert_eq!(encode_listed(&word, &merges), encode_by_rank(&word, &vocab));
        }
    }

    #[test]
    fn dead_merges_change_nothing(
        pairs in prop::collection::vec((letters(1..4), letters(1..4)), 1..25),
        words in prop::collection::vec(letters(1..40), 10),
    ) {
        let mut merges: Vec<(Token, Token)> = Vec::new();
        for pair in pairs {
            if !merges.contains(&pair) {
                merges.push(pair);
            }
        }
        let alive: Vec<(Token, Token)> = live(&merges).into_iter().cloned().collect();
        for word in words {
            prop_assert_eq!(encode_listed(&word, &alive), encode_listed(&word, &merges));
        }
    }

    #[test]
    fn training_gives_merges_that_are_those_of_the_ids(
        words in prop::collection::vec((letters(1..30), 1_u64..9), 1..12),
        merges in 0_usize..60,
    ) {
        let counts = WordCounts::from_words(words, &Pattern::Gpt2, &[]).unwrap();
        for tie_break in [TieBreak::Lexicographic, TieBreak::HuggingFace] {
            let learnt = train(&counts, 256 + merges, tie_break, &Control::default()).unwrap();
            prop_assert_eq!(Merges::Listed(by_rank(&learnt.vocab)), learnt.merges);
        }
    }
}

#[test]
fn a_token_that_its_bytes_never_join_to_has_no_merge() {
    // `ab` goes first, so `abc` is never seen as `a` and `bc`.
    let vocab = with_bytes(vec![b"ab".to_vec(), b"bc".to_vec(), b"abcd".to_vec(), b"abx".to_vec()]);
    let merges = by_rank(&vocab);
    let pair = |left: &[u8], right: &[u8]| (left.to_vec(), right.to_vec());
    assert_eq!(merges, [pair(b"a", b"b"), pair(b"b", b"c"), pair(b"ab", b"x")]);
}
