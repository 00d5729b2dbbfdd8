//! What `vocab.json` and `tokenizer.json` have in common: tokens and merges spelt in GPT-2's characters, checked.

use rustc_hash::{FxHashMap, FxHashSet};

use super::json::SpeltMerge;
use super::{broken, byte_chars};
use crate::definition::{AddedToken, Definition};
use crate::error::{Error, Result};
use crate::live::Merge;

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
            "token {token:?} has the character {c:?}, which stands for no byte; this is not a byte-level vocabulary, or the token is a special one that special_tokens does not name"
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
/// [`Error::SpecialToken`] if an added token would not keep its id: it is spelt like another token, or is itself a token
/// that is spelt otherwise.
pub fn spell(definition: &Definition, include: impl Fn(&AddedToken) -> bool) -> Result<Vec<(String, u32)>> {
    let mut spelt: Vec<(String, u32)> =
        definition.vocab.iter().map(|(bytes, id)| (byte_chars::encode(bytes), *id)).collect();
    let ids: FxHashMap<&str, u32> = spelt.iter().map(|(token, id)| (token.as_str(), *id)).collect();
    let mut more = Vec::new();
    for token in &definition.added_tokens {
        let refuse = |problem: String| Err(Error::SpecialToken { token: token.content.clone(), problem });
        match ids.get(token.content.as_str()) {
            Some(&other) if other != token.id => {
                return refuse(format!(
                    "spelt in the file like the token with id {other}, which would take the place of its own id {}; save as .tiktoken, or choose another text",
                    token.id
                ));
            }
            Some(_) => {}
            None => {
                let spelling = byte_chars::encode(token.content.as_bytes());
                if ids.get(spelling.as_str()) == Some(&token.id) {
                    return refuse(format!(
                        "a token that merges make too, which the file spells {spelling:?}, so that the two would not share their id; save as .tiktoken, or choose another text"
                    ));
                }
                if include(token) {
                    more.push((token.content.clone(), token.id));
                }
            }
        }
    }
    spelt.append(&mut more);
    spelt.sort_unstable_by_key(|(_, id)| *id);
    Ok(spelt)
}
