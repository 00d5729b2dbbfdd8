//! The fuzz targets, one module each, and what they share: reading an input, the definitions that the fast paths are
//! held to, and tokenizers. `targets/` makes a libFuzzer program of each module.

pub mod count;
pub mod cut;
pub mod decode;
pub mod encode;
pub mod read;
pub mod scan;
pub mod train;

use std::sync::{Arc, LazyLock};

use bloomery_core::pretokenize::PreTokenizer;
use bloomery_core::special::{Piece, SpecialTokens};
use bloomery_core::{Allowed, Control, Definition, Merges, Pattern, StreamEncoder, TieBreak, Tokenizer, WordCounts};

/// The named schemes.
pub const SCHEMES: [Pattern; 4] = [Pattern::Gpt2, Pattern::Cl100k, Pattern::O200k, Pattern::Qwen];

/// Special tokens that overlap each other, words and white space.
pub const SPECIAL: [&str; 5] = ["<|x|>", "<|x|><|x|>", "<|", "a b", "\n'"];

const CORPUS: &str = "the cat sat on the mat, the cat's hat; that's that!\n\nthen the rest  of them\tslept… 😀😀 été naïve \
                      日本語日本語 ÅÅ 1234 12 ||| <|x|> aaaa aaaaaaaa    \n  \n";

/// Takes choices from the front of an input; what remains is its text.
pub struct Input<'a>(pub &'a [u8]);

impl<'a> Input<'a> {
    /// The next byte; 0 when there is none.
    pub fn byte(&mut self) -> u8 {
        let (&first, rest) = self.0.split_first().unwrap_or((&0, &[]));
        self.0 = rest;
        first
    }

    /// A number below `end`.
    pub fn below(&mut self, end: usize) -> usize {
        usize::from(self.byte()) % end.max(1)
    }

    /// The rest as text; invalid bytes become U+FFFD.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(self.0).into_owned()
    }

    /// `SPECIAL` or a part of it, as many as the next byte says.
    pub fn special_tokens(&mut self) -> Vec<String> {
        let chosen = self.byte();
        let tokens = SPECIAL.iter().enumerate().filter(|(index, _)| chosen >> index & 1 == 1);
        tokens.map(|(_, token)| (*token).to_owned()).collect()
    }
}

/// The pre-tokens that a scanner finds.
pub fn scanned(scanner: &PreTokenizer, text: &str) -> Vec<(usize, usize)> {
    let mut spans = Vec::new();
    let scan = scanner.for_each(text, &mut |_: &[u8], start: usize, end: usize| spans.push((start, end)));
    scan.expect("neither a named scheme nor its regex on a short text reaches a limit");
    spans
}

/// The scanner of a named scheme, and that of its regex, which defines it.
pub fn scanner_and_oracle(pattern: &Pattern) -> (PreTokenizer, PreTokenizer) {
    let make = |pattern: &Pattern| PreTokenizer::new(pattern).expect("the schemes' regexes compile");
    (make(pattern), make(&Pattern::Custom(pattern.regex().to_owned())))
}

/// The pre-tokens and special tokens of a text.
pub fn pieces(scanner: &PreTokenizer, special: &SpecialTokens, text: &str) -> Vec<String> {
    let mut all = Vec::new();
    let split = special.split(text, |piece| {
        match piece {
            Piece::Text(text) => {
                all.extend(scanned(scanner, text).into_iter().map(|(start, end)| text[start..end].to_owned()));
            }
            Piece::Special(index) => all.push(special.tokens()[index].clone()),
        }
        Ok(())
    });
    split.expect("nothing here returns an error");
    all
}

/// A tokenizer, and how its ids are defined.
pub struct Subject {
    /// The one under test.
    pub tokenizer: Arc<Tokenizer>,
    definition: Definition,
    oracle: PreTokenizer,
    special: SpecialTokens,
}

impl Subject {
    fn new(definition: Definition) -> Subject {
        let special: Vec<String> = definition.added_tokens.iter().map(|token| token.content.clone()).collect();
        Subject {
            oracle: scanner_and_oracle(&definition.pattern).1,
            special: SpecialTokens::new(&special).expect("they are neither empty nor twice there"),
            tokenizer: Arc::new(Tokenizer::new(definition.clone()).expect("training gives a whole vocabulary")),
            definition,
        }
    }

    /// The ids of a text by definition: split at special tokens, cut by the regex, and joined pair by pair.
    pub fn ids(&self, text: &str) -> Vec<u32> {
        let mut ids = Vec::new();
        let split = self.special.split(text, |piece| {
            match piece {
                Piece::Special(index) => ids.push(self.definition.added_tokens[index].id),
                Piece::Text(text) => {
                    for (start, end) in scanned(&self.oracle, text) {
                        self.join(&text.as_bytes()[start..end], &mut ids);
                    }
                }
            }
            Ok(())
        });
        split.expect("nothing here returns an error");
        ids
    }

    /// Joins the leftmost pair of the lowest rank until none is left.
    fn join(&self, word: &[u8], ids: &mut Vec<u32>) {
        if self.definition.whole_words
            && let Some(id) = self.id(word)
        {
            ids.push(id);
            return;
        }
        let mut parts: Vec<Vec<u8>> = word.iter().map(|&byte| vec![byte]).collect();
        let rank = |pair: &[Vec<u8>]| match &self.definition.merges {
            Merges::Listed(merges) => merges.iter().position(|(left, right)| *left == pair[0] && *right == pair[1]),
            Merges::ByRank => self.id(&pair.concat()).map(|id| id as usize),
        };
        while let Some((_, at)) = parts.windows(2).enumerate().filter_map(|(at, pair)| Some((rank(pair)?, at))).min() {
            let right = parts.remove(at + 1);
            parts[at].extend(right);
        }
        ids.extend(parts.iter().map(|part| self.id(part).expect("what merges give is in the vocabulary")));
    }

    fn id(&self, token: &[u8]) -> Option<u32> {
        self.definition.vocab.iter().find(|(bytes, _)| bytes == token).map(|&(_, id)| id)
    }

    /// Encodes as a text that comes in parts; `cuts` are byte lengths of the parts, moved to character boundaries.
    pub fn streamed(&self, text: &str, cuts: &mut Input<'_>) -> Vec<u32> {
        let mut encoder = StreamEncoder::new(self.tokenizer.clone(), &Allowed::All).expect("all are allowed");
        let (mut ids, mut start) = (Vec::new(), 0);
        while start < text.len() {
            let mut end = text.len().min(start + 1 + cuts.below(40));
            while !text.is_char_boundary(end) {
                end += 1;
            }
            encoder.push(&text[start..end], &mut ids).expect("a named scheme reaches no limit");
            start = end;
        }
        encoder.finish(&mut ids).expect("a named scheme reaches no limit");
        ids
    }
}

/// Tokenizers of every named scheme: with their merges listed, and with ranks alone.
pub static SUBJECTS: LazyLock<Vec<Subject>> = LazyLock::new(|| {
    let special = SPECIAL.map(str::to_owned);
    let trained = SCHEMES.iter().map(|pattern| {
        let mut counts = WordCounts::new(pattern, &special).expect("the special tokens are different");
        counts.add_text(CORPUS).expect("a named scheme reaches no limit");
        bloomery_core::train(&counts, 330, TieBreak::Lexicographic, &Control::default()).expect("330 is enough for all")
    });
    let both = trained.flat_map(|definition| {
        let ranks = Definition { merges: Merges::ByRank, whole_words: true, ..definition.clone() };
        [definition, ranks]
    });
    both.map(Subject::new).collect()
});
