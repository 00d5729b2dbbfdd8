//! Vocabularies and merges as JSON, in the order of the file and with its mistakes.

use std::fmt;

use rustc_hash::FxHashMap;
use serde::de::{Deserialize, Deserializer, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde::ser::{Serialize, Serializer};

use super::broken;
use crate::error::Result;

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
