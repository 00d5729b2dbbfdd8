//! Any regex as a pattern, by the fancy-regex engine (look-around, possessive quantifiers, Unicode classes).

use fancy_regex::Regex;

use super::Visit;
use super::batch::Batch;
use crate::error::{Error, Result};

/// A compiled custom pattern.
#[derive(Debug, Clone)]
pub(super) struct RegexScanner {
    regex: Regex,
}

impl RegexScanner {
    pub(super) fn new(pattern: &str) -> Result<RegexScanner> {
        let regex = Regex::new(pattern)
            .map_err(|error| Error::Pattern { pattern: pattern.to_owned(), message: error.to_string() })?;
        Ok(RegexScanner { regex })
    }

    /// Matches are pre-tokens, and so is text between two matches: no byte of the input is lost, whatever the pattern.
    /// An empty match is no pre-token.
    pub(super) fn for_each(&self, text: &str, visit: &mut impl Visit) -> Result<()> {
        let bytes = text.as_bytes();
        let mut batch = Batch::new();
        let mut covered = 0;
        for found in self.regex.find_iter(text) {
            let found = found.map_err(|error| Error::PatternLimit {
                pattern: self.regex.as_str().to_owned(),
                offset: covered,
                length: text.len(),
                message: error.to_string(),
            })?;
            if found.range().is_empty() {
                continue;
            }
            if found.start() > covered {
                batch.push(found.start());
            }
            batch.push(found.end());
            covered = found.end();
            if batch.is_full() {
                batch.flush(bytes, visit)?;
            }
        }
        if covered < bytes.len() {
            batch.push(bytes.len());
        }
        batch.flush(bytes, visit)
    }
}
