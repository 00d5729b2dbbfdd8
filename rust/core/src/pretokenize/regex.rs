//! Any regex as a pattern, by the fancy-regex engine (look-around, possessive quantifiers, Unicode classes).

use fancy_regex::Regex;

use super::Visit;
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
        let mut covered = 0;
        for (nth, found) in self.regex.find_iter(text).enumerate() {
            if nth % super::CHECK_EVERY == 0 {
                visit.check()?;
            }
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
                visit.visit(bytes, covered, found.start());
            }
            visit.visit(bytes, found.start(), found.end());
            covered = found.end();
        }
        if covered < bytes.len() {
            visit.visit(bytes, covered, bytes.len());
        }
        Ok(())
    }
}
