//! GPT-2's pair of files: `vocab.json` (token to id) and `merges.txt` (a merge on each line, in order of rank).

use rustc_hash::{FxHashMap, FxHashSet};

use super::added;
use super::broken;
use super::byte_chars;
use super::json::{Entries, Ordered, SpeltMerge, parse, split_merge};
use super::spelt::{self, Spelt};
use crate::definition::{Definition, Merges, Normalizer};
use crate::error::{Error, Result};
use crate::live::{self, Merge};
use crate::pretokenize::Pattern;

/// Reads the pair; `origins` are the names of the two files in errors.
///
/// Without `special_tokens`, the entries that are neither a byte nor made by a merge are the special tokens: the model can
/// make no use of them, so the only reason to list them is that they are matched in the text. With it, those are the
/// special tokens, and the ones that the vocabulary lacks follow its highest id.
///
/// # Errors
/// [`Error::Vocabulary`] with the line or the entry that is broken.
pub fn read(
    vocab_json: &[u8],
    merges_txt: &[u8],
    origins: (&str, &str),
    special_tokens: Option<Vec<String>>,
    pattern: Pattern,
) -> Result<Definition> {
    let Entries(Some(entries)) = parse(vocab_json, origins.0)? else {
        return Err(broken(origins.0, "not an object of tokens and ids"));
    };
    let merges_txt = std::str::from_utf8(merges_txt)
        .map_err(|error| broken(origins.1, format!("invalid UTF-8 at byte {}", error.valid_up_to())))?;
    let mut lines = Vec::new();
    let mut merges = Vec::new();
    for (line, number) in merges_txt.split('\n').zip(1_u64..) {
        let line = line.strip_suffix('\r').unwrap_or(line);
        // Merges may start with `#` as well: only the first line can be a header.
        if line.is_empty() || (number == 1 && line.starts_with("#version")) {
            continue;
        }
        let Some(merge) = split_merge(line) else {
            return Err(broken(
                origins.1,
                format!("line {number}: {line:?} is not two tokens with one space between them"),
            ));
        };
        lines.push(number);
        merges.push(merge);
    }
    let spelt = Spelt::new(entries, merges, origins.0, |index| format!("{}, line {}", origins.1, lines[index]))?;

    let special_tokens = special_tokens.unwrap_or_else(|| spelt.unused().map(|(token, _)| token.to_owned()).collect());
    let unused: FxHashMap<&str, u32> = spelt.unused().collect();
    let ids = spelt.ids();
    let added_tokens = added::assign_ids(&special_tokens, spelt.highest_id(), |token| {
        // A special token stands there as it is; one that merges make as well is spelt like any other.
        unused.get(token).or_else(|| ids.get(byte_chars::encode(token.as_bytes()).as_str())).copied()
    })?;
    let (vocab, merges) = spelt.into_model(&added_tokens, false, origins.0)?;
    Ok(Definition {
        vocab,
        merges: Merges::Listed(merges),
        added_tokens,
        pattern,
        normalizer: Normalizer::None,
        whole_words: false,
    })
}

/// Writes `vocab.json` and `merges.txt`.
///
/// # Errors
/// [`Error::Unsupported`] for what the pair cannot carry and would change ids on loading: a pattern other than `gpt2`,
/// NFC, added tokens that are not special, tokens that no merges make.
pub fn write(definition: &Definition, origin: &str) -> Result<(String, String)> {
    let refuse = |feature: String| {
        let feature = format!("{feature} in vocab.json and merges.txt (save as tokenizer.json instead)");
        Err(Error::Unsupported { origin: origin.to_owned(), feature })
    };
    if definition.pattern != Pattern::Gpt2 {
        return refuse(format!("the pattern {}", definition.pattern));
    }
    if definition.normalizer == Normalizer::Nfc {
        return refuse("the normalizer NFC".to_owned());
    }
    if let Some(token) = added::beyond_text_and_id(&definition.added_tokens) {
        return refuse(token);
    }
    let by_rank;
    let merges: &[Merge] = match &definition.merges {
        Merges::Listed(merges) => merges,
        Merges::ByRank => {
            by_rank = live::by_rank(&definition.vocab);
            &by_rank
        }
    };
    if definition.whole_words
        && let Some(token) = live::unreachable(&definition.vocab, live::live(merges))
    {
        return refuse(format!("the token {:?}, found as a whole word only,", String::from_utf8_lossy(token)));
    }
    let spell = |(left, right): &Merge| SpeltMerge(byte_chars::encode(left), byte_chars::encode(right));
    let spelt_merges: Vec<SpeltMerge> = merges.iter().map(spell).collect();
    let mut merges_txt = String::from("#version: 0.2\n");
    for SpeltMerge(left, right) in &spelt_merges {
        merges_txt.extend([left, " ", right, "\n"]);
    }
    let vocab = spelt::spell(definition, |_| true)?;
    // The reader takes the entries that merges have no use for as the special tokens.
    let used: FxHashSet<&str> =
        spelt_merges.iter().flat_map(|SpeltMerge(left, right)| [left.as_str(), right.as_str()]).collect();
    let made: FxHashSet<String> = spelt_merges.iter().map(|SpeltMerge(left, right)| format!("{left}{right}")).collect();
    let added: FxHashSet<u32> = definition.added_tokens.iter().map(|token| token.id).collect();
    let plain = |token: &str| token.chars().nth(1).is_none() || used.contains(token) || made.contains(token);
    if let Some((token, id)) = vocab.iter().find(|(token, id)| plain(token) == added.contains(id)) {
        return refuse(if added.contains(id) {
            format!("the special token {token:?}, which merges make too,")
        } else {
            format!("the token {token:?}, which no merge makes,")
        });
    }
    let vocab_json = serde_json::to_string(&Ordered(vocab))
        .map_err(|error| broken(origin, format!("cannot be written: {error}")))?;
    Ok((vocab_json, merges_txt))
}
