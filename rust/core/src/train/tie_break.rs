//! Which of several equally frequent pairs is merged first.

use std::cmp::Ordering;

use super::symbols::Symbols;

/// A named order among pairs of equal count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TieBreak {
    /// The greatest pair of byte strings, `max` over `(left_bytes, right_bytes)`. The course's rule, and the default.
    Lexicographic,
    /// The lowest (left id, right id), with ids as the `tokenizers` BpeTrainer gives them: the bytes in the order of
    /// their GPT-2 characters, then merges.
    HuggingFace,
}

impl TieBreak {
    /// A number that is greater where a pair goes first; equal where only [`TieBreak::compare`] can tell.
    pub(super) fn key(self, symbols: &Symbols, left: u32, right: u32) -> u64 {
        match self {
            TieBreak::Lexicographic => {
                let bytes = symbols.bytes(left);
                let mut first = [0; 8];
                let len = bytes.len().min(8);
                first[..len].copy_from_slice(&bytes[..len]);
                u64::from_be_bytes(first)
            }
            TieBreak::HuggingFace => {
                let [left, right] = [left, right].map(|symbol| u64::from(hugging_face_id(Symbols::token_id(symbol))));
                !(left << 32 | right)
            }
        }
    }

    /// `Greater` where the first pair goes before the second. Two different pairs are never equal: symbols of equal
    /// bytes are the same symbol (see [`super::train`]).
    pub(super) fn compare(self, symbols: &Symbols, a: (u32, u32), b: (u32, u32)) -> Ordering {
        match self {
            TieBreak::Lexicographic => {
                let bytes = |(left, right)| (symbols.bytes(left), symbols.bytes(right));
                bytes(a).cmp(&bytes(b))
            }
            TieBreak::HuggingFace => self.key(symbols, a.0, a.1).cmp(&self.key(symbols, b.0, b.1)),
        }
    }
}

/// Rank of a token in the BpeTrainer's numbering, special tokens aside.
fn hugging_face_id(token_id: u32) -> u32 {
    match token_id {
        // GPT-2 writes printable Latin-1 bytes as themselves, in order of their code points first of all, and the rest
        // as U+0100 onwards, in order.
        0x21..=0x7e => token_id - 0x21,
        0xa1..=0xac => token_id - 0xa1 + 94,
        0xae..=0xff => token_id - 0xae + 106,
        0x00..=0x20 => token_id + 188,
        0x7f..=0xa0 => token_id - 0x7f + 221,
        0xad => 255,
        merged => merged,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_numbered_in_the_order_of_their_gpt2_characters() {
        let mut next = 256;
        let mut by_character: Vec<(u32, u32)> = (0..256)
            .map(|byte| match byte {
                0x21..=0x7e | 0xa1..=0xac | 0xae..=0xff => (byte, byte),
                _ => {
                    next += 1;
                    (next - 1, byte)
                }
            })
            .collect();
        by_character.sort_unstable();
        for (id, (_, byte)) in by_character.into_iter().enumerate() {
            assert_eq!(hugging_face_id(byte), id as u32, "byte {byte:#x}");
        }
        assert_eq!(hugging_face_id(256), 256);
    }
}
