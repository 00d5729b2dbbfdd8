//! Added tokens: their ids, and which formats can carry them.

use rustc_hash::FxHashMap;

use crate::definition::{AddedToken, Definition};
use crate::error::{Error, Result};
use crate::merges::leave_to_added;
use crate::special;

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
