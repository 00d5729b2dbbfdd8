//! `.tiktoken` files: a token in base64 and its rank on each line. Pattern, normalizer and special tokens are not in the
//! file; those of the published files are known by SHA-256.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hashbrown::HashTable;
use rustc_hash::FxHashMap;

use super::published;
use super::spelt::check_bytes;
use super::{added, broken};
use crate::definition::{Definition, Merges, Normalizer};
use crate::error::{Error, Result};
use crate::hash::hash_long;
use crate::live;
use crate::merges::leave_to_added;
use crate::pretokenize::Pattern;

/// Reads a `.tiktoken` file; `origin` names it in errors.
///
/// `pattern` overrides that of a published file and is needed for any other. `special_tokens` replaces the published ones:
/// those that the base encoding names keep their ids, others follow the highest id.
///
/// # Errors
/// [`Error::Argument`] for an unknown file without `pattern`, [`Error::Vocabulary`] with the line of a broken one.
pub fn read(
    bytes: &[u8],
    origin: &str,
    pattern: Option<Pattern>,
    special_tokens: Option<Vec<String>>,
) -> Result<Definition> {
    let vocab = ranks(bytes, origin)?;
    let sha256 = published::sha256(bytes);
    let published = published::find(&sha256);
    let normalizer = published.as_ref().map_or(Normalizer::None, |published| published.normalizer);
    let known: Vec<(String, u32)> = published.iter().flat_map(|published| published.special_tokens()).collect();
    let Some(pattern) = pattern.or(published.map(|published| published.pattern)) else {
        return Err(Error::Argument(format!(
            "{origin}: a .tiktoken file does not carry its pattern, and this one is none of the published files that are known by their SHA-256 (its own is {sha256}); pass pattern=, a scheme's name (gpt2, cl100k, o200k, qwen) or a regex"
        )));
    };

    let special_tokens = special_tokens.unwrap_or_else(|| known.iter().map(|(token, _)| token.clone()).collect());
    let known: FxHashMap<String, u32> = known.into_iter().collect();
    let in_vocab: FxHashMap<&[u8], u32> = vocab.iter().map(|(token, rank)| (token.as_slice(), *rank)).collect();
    let highest = vocab.last().map_or(0, |(_, rank)| *rank);
    let added_tokens = added::assign_ids(&special_tokens, highest, |token| {
        in_vocab.get(token.as_bytes()).or_else(|| known.get(token)).copied()
    })?;
    let mut definition =
        Definition { vocab, merges: Merges::ByRank, added_tokens, pattern, normalizer, whole_words: true };
    leave_to_added(&mut definition);
    Ok(definition)
}

/// The lines, sorted by rank.
fn ranks(bytes: &[u8], origin: &str) -> Result<Vec<(Vec<u8>, u32)>> {
    let mut vocab: Vec<(Vec<u8>, u32)> = Vec::new();
    // By token: which of `vocab` it is, and its line. (Copies of all tokens, made and dropped, would leave the allocator with
    // so many pieces that the first large text waits 4 ms for it to join them.)
    let mut by_token = HashTable::new();
    let mut line_of_rank = FxHashMap::default();
    for (line, number) in bytes.split(|&byte| byte == b'\n').zip(1_u64..) {
        let fail = |message: String| Err(broken(origin, format!("line {number}: {message}")));
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        if line.is_empty() {
            continue;
        }
        let shown = String::from_utf8_lossy(&line[..line.len().min(60)]);
        let Some(space) = line.iter().position(|&byte| byte == b' ') else {
            return fail(format!(
                "{shown:?} is not a token in base64, a space and a rank; the file is cut short or in another format"
            ));
        };
        let token = match STANDARD.decode(&line[..space]) {
            Ok(token) if !token.is_empty() => token,
            Ok(_) => return fail("the token is empty".to_owned()),
            Err(error) => return fail(format!("{shown:?} does not start with a token in base64: {error}")),
        };
        let rank = std::str::from_utf8(&line[space + 1..]).ok().and_then(|rank| rank.parse::<u32>().ok());
        let Some(rank) = rank else {
            return fail(format!("{shown:?} does not end in a rank, an integer from 0 to {}", u32::MAX));
        };
        let hash = hash_long(&token);
        if let Some((_, other)) = by_token.find(hash, |&(nth, _): &(usize, u64)| vocab[nth].0 == token) {
            return fail(format!("the token {:?} stands on line {other} already", String::from_utf8_lossy(&token)));
        }
        if let Some(other) = line_of_rank.insert(rank, number) {
            return fail(format!("the rank {rank} stands on line {other} already"));
        }
        by_token.insert_unique(hash, (vocab.len(), number), |&(nth, _)| hash_long(&vocab[nth].0));
        vocab.push((token, rank));
    }
    check_bytes(|byte| by_token.find(hash_long(&[byte]), |&(nth, _)| vocab[nth].0 == [byte]).is_some(), origin)?;
    vocab.sort_unstable_by_key(|(_, rank)| *rank);
    Ok(vocab)
}

/// Writes a `.tiktoken` file. It carries the tokens and their order alone: whoever loads it must give the pattern and the
/// special tokens again, unless the file is a published one.
///
/// # Errors
/// [`Error::Unsupported`] for what would change ids on loading: merges that are not those of the ranks, NFC, added tokens
/// that are not special.
pub fn write(definition: &Definition, origin: &str) -> Result<Vec<u8>> {
    let refuse = |feature: &str| {
        let feature = format!("{feature} in a .tiktoken file (save as tokenizer.json instead)");
        Err(Error::Unsupported { origin: origin.to_owned(), feature })
    };
    if let Some(token) = added::beyond_text_and_id(&definition.added_tokens) {
        return refuse(&token);
    }
    let by_rank = live::by_rank(&definition.vocab);
    if let Merges::Listed(merges) = &definition.merges
        && !live::live(merges).into_iter().eq(&by_rank)
    {
        return refuse("a list of merges that differs from merging by the tokens' ids");
    }
    if !definition.whole_words
        && let Some(token) = live::unreachable(&definition.vocab, &by_rank)
    {
        return refuse(&format!("the token {:?}, which merging never makes,", String::from_utf8_lossy(token)));
    }
    let mut lines = Vec::new();
    for (token, id) in &definition.vocab {
        lines.extend_from_slice(format!("{} {id}\n", STANDARD.encode(token)).as_bytes());
    }
    if definition.normalizer == Normalizer::Nfc {
        let published = published::find(&published::sha256(&lines));
        if !published.is_some_and(|published| published.normalizer == Normalizer::Nfc) {
            return refuse("the normalizer NFC");
        }
    }
    Ok(lines)
}
