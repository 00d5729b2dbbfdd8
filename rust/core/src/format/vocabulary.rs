//! What `vocab.json` and `tokenizer.json` have in common: tokens and merges spelt in GPT-2's characters, read and checked.

use std::fmt;

use rustc_hash::{FxHashMap, FxHashSet};
use serde::de::{Deserialize, Deserializer, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde::ser::{Serialize, Serializer};

use super::byte_chars;
use super::live::{self, Merge};
use crate::definition::{AddedToken, Definition, Merges};
use crate::error::{Error, Result};
use crate::special;

/// Shorthand for an [`Error::Vocabulary`].
pub fn broken(origin: &str, message: impl Into<String>) -> Error {
    Error::Vocabulary { origin: origin.to_owned(), message: message.into() }
}

/// Parses JSON; the error says line and column, and whether the file ends too early.
pub fn parse<'a, T: Deserialize<'a>>(json: &'a [u8], origin: &str) -> Result<T> {
    serde_json::from_slice(json).map_err(|error| {
        let advice = if error.is_eof() { "; the file is cut short" } else { "" };
        broken(origin, format!("broken JSON: {error}{advice}"))
    })
}

/// Whether JSON is a vocabulary alone, an object of nothing but tokens and ids. Decided by its first value for any other.
pub fn is_flat(json: &[u8], origin: &str) -> Result<bool> {
    match serde_json::from_slice::<FxHashMap<String, u64>>(json) {
        Ok(vocab) => Ok(!vocab.is_empty()),
        Err(error) if error.is_data() => Ok(false),
        Err(_) => parse::<IgnoredAny>(json, origin).map(|_| false),
    }
}

/// The `vocab` object in the order of the file, duplicates included; `None` where it is no object (Unigram's list).
#[derive(Debug, Default)]
pub struct Entries(pub Option<Vec<(String, serde_json::Number)>>);

impl<'de> Deserialize<'de> for Entries {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        struct EntriesVisitor;
        impl<'de> Visitor<'de> for EntriesVisitor {
            type Value = Entries;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object of tokens and ids")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> std::result::Result<Entries, A::Error> {
                let mut entries = Vec::new();
                while let Some(entry) = map.next_entry()? {
                    entries.push(entry);
                }
                Ok(Entries(Some(entries)))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> std::result::Result<Entries, A::Error> {
                while seq.next_element::<IgnoredAny>()?.is_some() {}
                Ok(Entries(None))
            }
        }
        deserializer.deserialize_any(EntriesVisitor)
    }
}

/// Tokens and ids as an object in this order.
pub struct Ordered(pub Vec<(String, u32)>);

impl Serialize for Ordered {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(token, id)| (token, id)))
    }
}

/// A merge as `"a b"` or `["a", "b"]`.
#[derive(Debug)]
pub struct SpeltMerge(pub String, pub String);

impl<'de> Deserialize<'de> for SpeltMerge {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        struct MergeVisitor;
        impl<'de> Visitor<'de> for MergeVisitor {
            type Value = SpeltMerge;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a merge: two tokens with one space between them, or a list of two tokens")
            }

            fn visit_str<E: serde::de::Error>(self, text: &str) -> std::result::Result<SpeltMerge, E> {
                split_merge(text).ok_or_else(|| E::invalid_value(serde::de::Unexpected::Str(text), &self))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> std::result::Result<SpeltMerge, A::Error> {
                let (Some(left), Some(right)) = (seq.next_element()?, seq.next_element()?) else {
                    return Err(A::Error::invalid_length(1, &self));
                };
                if seq.next_element::<IgnoredAny>()?.is_some() {
                    return Err(A::Error::invalid_length(3, &self));
                }
                Ok(SpeltMerge(left, right))
            }
        }
        deserializer.deserialize_any(MergeVisitor)
    }
}

/// Two non-empty parts with one space between them.
pub fn split_merge(line: &str) -> Option<SpeltMerge> {
    let (left, right) = line.split_once(' ')?;
    (!left.is_empty() && !right.is_empty() && !right.contains(' ')).then(|| SpeltMerge(left.into(), right.into()))
}

/// Tokens and ids, sorted by id.
type Vocab = Vec<(Vec<u8>, u32)>;

/// A vocabulary as it is spelt in a file, with checked ids and merges.
pub struct Spelt {
    entries: Vec<(String, u32)>,
    merges: Vec<Merge>,
    /// The ids of the tokens that are bytes, parts of merges, or made by them.
    used: FxHashSet<u32>,
}

impl Spelt {
    /// Checks that tokens and ids are unique, that the ids fit, that the bytes are there, and that merges name tokens.
    /// `place` says where in the file a merge stands.
    pub fn new(
        entries: Vec<(String, serde_json::Number)>,
        merges: Vec<SpeltMerge>,
        origin: &str,
        place: impl Fn(usize) -> String,
    ) -> Result<Spelt> {
        let mut checked = Vec::with_capacity(entries.len());
        let mut tokens = FxHashMap::default();
        for (token, id) in &entries {
            let Some(fitting) = id.as_u64().and_then(|id| u32::try_from(id).ok()) else {
                return Err(broken(
                    origin,
                    format!("token {token:?} has id {id}, which is not an integer from 0 to {}", u32::MAX),
                ));
            };
            if token.is_empty() {
                return Err(broken(origin, format!("the token with id {id} is empty")));
            }
            if tokens.insert(token.as_str(), fitting).is_some() {
                return Err(broken(origin, format!("token {token:?} stands twice in the vocabulary")));
            }
            checked.push((token.clone(), fitting));
        }
        check_ids(checked.iter().map(|(token, id)| (token.as_str(), *id)), origin)?;
        let byte_ids: Vec<Option<u32>> =
            (0..=255).map(|byte| tokens.get(byte_chars::encode(&[byte]).as_str()).copied()).collect();
        check_bytes(|byte| byte_ids[usize::from(byte)].is_some(), origin)?;

        let mut used: FxHashSet<u32> = byte_ids.into_iter().flatten().collect();
        let mut seen = FxHashSet::default();
        let mut decoded = Vec::with_capacity(merges.len());
        let mut joined = String::new();
        for (index, SpeltMerge(left, right)) in merges.iter().enumerate() {
            joined.clear();
            joined.extend([left.as_str(), right]);
            let mut id_of = |part: &str, role: &str| match tokens.get(part) {
                Some(&id) => {
                    used.insert(id);
                    Ok(id)
                }
                None => {
                    let place = place(index);
                    let message =
                        format!("{place}: merge {left:?} {right:?}: its {role} {part:?} is not in the vocabulary");
                    Err(broken(origin, message))
                }
            };
            let pair = (id_of(left, "part")?, id_of(right, "part")?);
            id_of(&joined, "result")?;
            if !seen.insert(pair) {
                return Err(broken(origin, format!("{}: merge {left:?} {right:?} stands twice", place(index))));
            }
            let spell = |part: &str| byte_chars::decode(part).map_err(|c| outside(part, c, origin));
            decoded.push((spell(left)?, spell(right)?));
        }
        Ok(Spelt { entries: checked, merges: decoded, used })
    }

    /// The id of an entry spelt like this.
    pub fn ids(&self) -> FxHashMap<&str, u32> {
        self.entries.iter().map(|(token, id)| (token.as_str(), *id)).collect()
    }

    /// The highest id.
    pub fn highest_id(&self) -> u32 {
        self.entries.iter().map(|(_, id)| *id).max().unwrap_or(0)
    }

    /// The entries that are no bytes, no part of a merge and made by none.
    pub fn unused(&self) -> impl Iterator<Item = (&str, u32)> {
        self.entries.iter().filter(|(_, id)| !self.used.contains(id)).map(|(token, id)| (token.as_str(), *id))
    }

    /// The bytes and ids of the model, sorted by id, and its merges. An added token that no merge makes is left to
    /// `added_tokens` alone, so that a file that lists it in both places equals one that does not; its text as a whole
    /// word is the added token anyway. The exception is one that is matched between non-word characters only.
    pub fn into_model(
        self,
        added_tokens: &[AddedToken],
        whole_words: bool,
        origin: &str,
    ) -> Result<(Vocab, Vec<Merge>)> {
        let added: FxHashMap<u32, &AddedToken> = added_tokens.iter().map(|token| (token.id, token)).collect();
        let mut vocab = Vec::with_capacity(self.entries.len());
        for (token, id) in &self.entries {
            let added = added.get(id);
            let kept = added.is_none_or(|added| whole_words && added.single_word && !added.special);
            match byte_chars::decode(token) {
                Ok(bytes) if kept || self.used.contains(id) => vocab.push((bytes, *id)),
                Err(c) if added.is_none() => return Err(outside(token, c, origin)),
                _ => {}
            }
        }
        vocab.sort_unstable_by_key(|(_, id)| *id);
        Ok((vocab, self.merges))
    }
}

fn outside(token: &str, c: char, origin: &str) -> Error {
    broken(
        origin,
        format!(
            "token {token:?} has the character {c:?}, which stands for no byte; this is not a byte-level vocabulary"
        ),
    )
}

/// Refuses a vocabulary that lacks a byte of UTF-8 text. The other 13 may be absent: GPT-NeoX has none of them.
pub fn check_bytes(has: impl Fn(u8) -> bool, origin: &str) -> Result<()> {
    let in_text = |byte: u8| !matches!(byte, 0xC0 | 0xC1 | 0xF5..);
    let missing: Vec<u8> = (0..=255).filter(|&byte| in_text(byte) && !has(byte)).collect();
    let Some(first) = missing.first() else { return Ok(()) };
    let message = format!(
        "{} of the 243 bytes that UTF-8 text is made of are missing from the vocabulary, the first is 0x{first:02x}; a byte-level vocabulary has a token for each",
        missing.len()
    );
    Err(broken(origin, message))
}

/// Refuses two tokens with one id.
pub fn check_ids<'a>(tokens: impl Iterator<Item = (&'a str, u32)>, origin: &str) -> Result<()> {
    let mut owners = FxHashMap::default();
    for (token, id) in tokens {
        if let Some(other) = owners.insert(id, token) {
            return Err(broken(origin, format!("tokens {other:?} and {token:?} have the same id {id}")));
        }
    }
    Ok(())
}

/// The vocabulary of a definition as files spell it, sorted by id: the model's tokens in GPT-2's characters, and those of
/// the added tokens that `include` picks, as they are.
///
/// # Errors
/// [`Error::SpecialToken`] if an added token is spelt like another token, which would take its id.
pub fn spell(definition: &Definition, include: impl Fn(&AddedToken) -> bool) -> Result<Vec<(String, u32)>> {
    let mut spelt: Vec<(String, u32)> =
        definition.vocab.iter().map(|(bytes, id)| (byte_chars::encode(bytes), *id)).collect();
    let ids: FxHashMap<&str, u32> = spelt.iter().map(|(token, id)| (token.as_str(), *id)).collect();
    let mut more = Vec::new();
    for token in &definition.added_tokens {
        match ids.get(token.content.as_str()) {
            Some(&id) if id != token.id => {
                return Err(Error::SpecialToken {
                    token: token.content.clone(),
                    problem: format!(
                        "spelt in the file like the token with id {id}, so its own id {} cannot be written; save as .tiktoken, or choose another text",
                        token.id
                    ),
                });
            }
            Some(_) => {}
            None if include(token) => more.push((token.content.clone(), token.id)),
            None => {}
        }
    }
    spelt.append(&mut more);
    spelt.sort_unstable_by_key(|(_, id)| *id);
    Ok(spelt)
}

/// Leaves those added tokens that are no bytes, no part of a merge and made by none to `added_tokens` alone, as
/// [`Spelt::into_model`] does: no rule for whole words may find a special token in ordinary text.
pub fn leave_to_added(definition: &mut Definition) {
    let ids: FxHashSet<u32> = definition.added_tokens.iter().map(|token| token.id).collect();
    if !definition.vocab.iter().any(|(_, id)| ids.contains(id)) {
        return;
    }
    let by_rank;
    let merges = match &definition.merges {
        Merges::Listed(merges) => merges,
        Merges::ByRank => {
            by_rank = live::by_rank(&definition.vocab);
            &by_rank
        }
    };
    let made = merges.iter().map(|(left, right)| [left.as_slice(), right].concat());
    let used: FxHashSet<Vec<u8>> = made.chain(merges.iter().flat_map(|(l, r)| [l.clone(), r.clone()])).collect();
    definition.vocab.retain(|(token, id)| !ids.contains(id) || token.len() == 1 || used.contains(token));
}

/// Makes these the definition's special tokens too: those that it knows keep their ids, others follow the highest id.
///
/// # Errors
/// [`Error::SpecialToken`] for an empty one or one given twice.
pub fn append_special(definition: &mut Definition, tokens: &[String]) -> Result<()> {
    let mut ids: FxHashMap<&[u8], u32> = definition.vocab.iter().map(|(token, id)| (token.as_slice(), *id)).collect();
    ids.extend(definition.added_tokens.iter().map(|token| (token.content.as_bytes(), token.id)));
    let highest = ids.values().copied().max().unwrap_or(0);
    for token in assign_ids(tokens, highest, |token| ids.get(token.as_bytes()).copied())? {
        match definition.added_tokens.iter_mut().find(|known| known.content == token.content) {
            Some(known) => known.special = true,
            None => definition.added_tokens.push(token),
        }
    }
    definition.added_tokens.sort_unstable_by_key(|token| token.id);
    leave_to_added(definition);
    Ok(())
}

/// Says which added token has more to it than a special token's text and id, for formats that carry no more.
pub fn beyond_text_and_id(added_tokens: &[AddedToken]) -> Option<String> {
    let token =
        added_tokens.iter().find(|token| !token.special || token.lstrip || token.rstrip || token.single_word)?;
    let what = if token.special {
        "a special token that strips white space or matches single words"
    } else {
        "an added token that is not special"
    };
    Some(format!("{what}, {:?},", token.content))
}

/// Gives the special tokens asked for their ids: the one that `find` knows, or the next after `highest`.
///
/// # Errors
/// [`Error::SpecialToken`] for an empty one or one given twice.
pub fn assign_ids(tokens: &[String], highest: u32, find: impl Fn(&str) -> Option<u32>) -> Result<Vec<AddedToken>> {
    special::check(tokens)?;
    let known: Vec<Option<u32>> = tokens.iter().map(|token| find(token)).collect();
    let mut highest = known.iter().flatten().copied().fold(highest, u32::max);
    let mut added = Vec::with_capacity(tokens.len());
    for (token, id) in tokens.iter().zip(known) {
        let id = match id {
            Some(id) => id,
            None => {
                highest = highest.checked_add(1).ok_or_else(|| Error::SpecialToken {
                    token: token.clone(),
                    problem: "without a free id after the highest".to_owned(),
                })?;
                highest
            }
        };
        added.push(AddedToken::special(token, id));
    }
    added.sort_unstable_by_key(|token| token.id);
    Ok(added)
}
