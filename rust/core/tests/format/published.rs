//! The published vocabularies, read from the shared folder.

use std::fs;

use bloomery_core::format::{gpt2, hf, load, tiktoken};
use bloomery_core::live::by_rank;
use bloomery_core::{Definition, Merges, Normalizer, Pattern};

use crate::{shared, special};

fn through_tokenizer_json(definition: &Definition) {
    let json = hf::write(definition, "t.json").unwrap();
    assert!(hf::read(json.as_bytes(), "t.json").unwrap() == *definition);
}

#[test]
fn ranks_are_known_and_come_back_byte_for_byte() {
    let Some(folder) = shared() else { return };
    for (name, pattern, normalizer, tokens, first_special, vocab_size) in [
        ("r50k_base.tiktoken", Pattern::Gpt2, Normalizer::None, 50_256, 50_256, 50_257),
        ("cl100k_base.tiktoken", Pattern::Cl100k, Normalizer::None, 100_256, 100_257, 100_277),
        ("o200k_base.tiktoken", Pattern::O200k, Normalizer::None, 199_998, 199_999, 200_019),
        ("qwen.tiktoken", Pattern::Qwen, Normalizer::Nfc, 151_643, 151_643, 151_851),
    ] {
        let definition = load(&folder.join(name), None, None).unwrap();
        assert_eq!((&definition.pattern, definition.normalizer), (&pattern, normalizer));
        assert_eq!(definition.vocab.len(), tokens);
        assert_eq!(definition.merges, Merges::ByRank);
        assert_eq!(definition.added_tokens[0], special("<|endoftext|>", first_special));
        assert_eq!(definition.added_tokens.last().unwrap().id + 1, vocab_size);
        assert_eq!(by_rank(&definition.vocab).len(), tokens - 256, "every token can be made from bytes");
        through_tokenizer_json(&definition);
        assert!(tiktoken::write(&definition, name).unwrap() == fs::read(folder.join(name)).unwrap());
    }
}

#[test]
fn special_tokens_asked_for_replace_the_published_ones() {
    let Some(folder) = shared() else { return };
    let path = folder.join("cl100k_base.tiktoken");
    let asked = ["<mine>", "<|fim_prefix|>"].map(str::to_owned).to_vec();
    let definition = load(&path, Some(Pattern::Gpt2), Some(asked)).unwrap();
    assert_eq!(definition.pattern, Pattern::Gpt2);
    assert_eq!(definition.added_tokens, [special("<|fim_prefix|>", 100_258), special("<mine>", 100_259)]);
    assert!(load(&path, None, Some(Vec::new())).unwrap().added_tokens.is_empty());
}

#[test]
fn gpt2_in_its_three_forms() {
    let Some(folder) = shared() else { return };
    let json = load(&folder.join("gpt2_tokenizer.json"), None, None).unwrap();
    through_tokenizer_json(&json);
    let [vocab, merges] = ["encoder.json", "vocab.bpe"].map(|name| fs::read(folder.join(name)).unwrap());
    let pair = gpt2::read(&vocab, &merges, ("encoder.json", "vocab.bpe"), None, Pattern::Gpt2).unwrap();
    assert_eq!(pair.added_tokens, [special("<|endoftext|>", 50_256)]);
    assert!(pair.vocab == json.vocab && pair.merges == json.merges);
    let ranks = load(&folder.join("r50k_base.tiktoken"), None, None).unwrap();
    assert!(pair.vocab == ranks.vocab && pair.merges == Merges::Listed(by_rank(&ranks.vocab)));
    assert!(tiktoken::write(&pair, "t").unwrap() == fs::read(folder.join("r50k_base.tiktoken")).unwrap());
    let (vocab, merges) = gpt2::write(&ranks, "pair").unwrap();
    let again = gpt2::read(vocab.as_bytes(), merges.as_bytes(), ("v", "m"), None, Pattern::Gpt2).unwrap();
    assert!(again == pair);
}

#[test]
fn gpt_neox() {
    let Some(folder) = shared() else { return };
    let definition = load(&folder.join("gpt_neox_tokenizer.json"), None, None).unwrap();
    through_tokenizer_json(&definition);
    assert_eq!((&definition.pattern, definition.normalizer), (&Pattern::Gpt2, Normalizer::Nfc));
    assert_eq!(definition.added_tokens.len(), 25);
    let last = definition.added_tokens.last().unwrap();
    assert_eq!((last.content.as_str(), last.id, last.special, last.normalized), ("  ", 50_276, false, true));
    // The 13 bytes that UTF-8 never has are not in this vocabulary.
    assert_eq!(definition.vocab.iter().filter(|(token, _)| token.len() == 1).count(), 243);
}
