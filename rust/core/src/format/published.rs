//! The `.tiktoken` files that their publishers pair with a pattern and special tokens, known by SHA-256.

use sha2::{Digest, Sha256};

use crate::definition::Normalizer;
use crate::pretokenize::Pattern;

/// What a published `.tiktoken` file leaves out.
pub struct Published {
    sha256: &'static str,
    /// The pattern.
    pub pattern: Pattern,
    /// The normalizer.
    pub normalizer: Normalizer,
    /// The special tokens of the base encoding.
    special_tokens: &'static [(&'static str, u32)],
    /// A run of numbered special tokens, `<|extra_0|>` and so on: how many, and the first one's id.
    extra: (u32, u32),
}

const PUBLISHED: [Published; 5] = [
    Published {
        // r50k_base, also GPT-2
        sha256: "306cd27f03c1a714eca7108e03d66b7dc042abe8c258b44c199a7ed9838dd930",
        pattern: Pattern::Gpt2,
        normalizer: Normalizer::None,
        special_tokens: &[("<|endoftext|>", 50256)],
        extra: (0, 0),
    },
    Published {
        // p50k_base: runs of spaces come after <|endoftext|>
        sha256: "94b5ca7dff4d00767bc256fdd1b27e5b17361d7b8a5f968547f9f23eb70d2069",
        pattern: Pattern::Gpt2,
        normalizer: Normalizer::None,
        special_tokens: &[("<|endoftext|>", 50256)],
        extra: (0, 0),
    },
    Published {
        // cl100k_base
        sha256: "223921b76ee99bde995b7ff738513eef100fb51d18c93597a113bcffe865b2a7",
        pattern: Pattern::Cl100k,
        normalizer: Normalizer::None,
        special_tokens: &[
            ("<|endoftext|>", 100_257),
            ("<|fim_prefix|>", 100_258),
            ("<|fim_middle|>", 100_259),
            ("<|fim_suffix|>", 100_260),
            ("<|endofprompt|>", 100_276),
        ],
        extra: (0, 0),
    },
    Published {
        // o200k_base
        sha256: "446a9538cb6c348e3516120d7c08b09f57c36495e2acfffe59a5bf8b0cfb1a2d",
        pattern: Pattern::O200k,
        normalizer: Normalizer::None,
        special_tokens: &[("<|endoftext|>", 199_999), ("<|endofprompt|>", 200_018)],
        extra: (0, 0),
    },
    Published {
        // Qwen
        sha256: "b2b1b8dfb5cc5f024bafc373121c6aba3f66f9a5a0269e243470a1de16a33186",
        pattern: Pattern::Qwen,
        normalizer: Normalizer::Nfc,
        special_tokens: &[("<|endoftext|>", 151_643), ("<|im_start|>", 151_644), ("<|im_end|>", 151_645)],
        extra: (205, 151_646),
    },
];

impl Published {
    /// The special tokens and their ids.
    pub fn special_tokens(&self) -> impl Iterator<Item = (String, u32)> {
        let (count, first) = self.extra;
        let named = self.special_tokens.iter().map(|&(token, id)| (token.to_owned(), id));
        named.chain((0..count).map(move |i| (format!("<|extra_{i}|>"), first + i)))
    }
}

/// The SHA-256 of a file, in hexadecimal.
pub fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The published file with this SHA-256.
pub fn find(sha256: &str) -> Option<Published> {
    PUBLISHED.into_iter().find(|published| published.sha256 == sha256)
}
