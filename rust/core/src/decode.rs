//! Token ids to bytes and text.

use std::sync::Arc;

use crate::error::{Error, Result};
use crate::tokenizer::Tokenizer;

impl Tokenizer {
    /// The bytes of the tokens, end to end.
    ///
    /// # Errors
    /// [`Error::TokenId`] for an id that no token has.
    pub fn decode_bytes(&self, ids: &[u32]) -> Result<Vec<u8>> {
        let mut bytes = Vec::with_capacity(ids.len() * 5);
        self.decode_into(ids, 0, &mut bytes)?;
        Ok(bytes)
    }

    /// Appends the bytes of the tokens to `bytes`. `before` ids came before these, for messages.
    ///
    /// # Errors
    /// [`Error::TokenId`] for an id that no token has; `bytes` is then of no use.
    pub fn decode_into(&self, ids: &[u32], before: usize, bytes: &mut Vec<u8>) -> Result<()> {
        self.vocab().append(ids, bytes).map_err(|position| self.unknown(ids[position], before + position))
    }

    /// The text of the tokens. Bytes that are not UTF-8 become U+FFFD, one for each maximal part of a character, as
    /// Python's `bytes.decode(errors="replace")` has it.
    ///
    /// # Errors
    /// [`Error::TokenId`] for an id that no token has.
    pub fn decode(&self, ids: &[u32]) -> Result<String> {
        let bytes = self.decode_bytes(ids)?;
        Ok(String::from_utf8(bytes).unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned()))
    }

    fn unknown(&self, id: u32, position: usize) -> Error {
        Error::TokenId { id: u64::from(id), position, vocab_size: self.vocab_size() }
    }
}

/// Decodes ids as they come; what it gives, end to end, is [`Tokenizer::decode`] of them all.
#[derive(Debug)]
pub struct StreamDecoder {
    tokenizer: Arc<Tokenizer>,
    /// The beginning of a character whose other bytes are still to come.
    pending: Vec<u8>,
    position: usize,
}

impl StreamDecoder {
    /// A decoder at the start of a text.
    pub fn new(tokenizer: Arc<Tokenizer>) -> StreamDecoder {
        StreamDecoder { tokenizer, pending: Vec::new(), position: 0 }
    }

    /// Takes one more id, and gives the text that is certain by now; an incomplete character is held back.
    ///
    /// # Errors
    /// [`Error::TokenId`]; the decoder stays as it was.
    pub fn push(&mut self, id: u32) -> Result<String> {
        let token = self.tokenizer.token_bytes(id).ok_or_else(|| self.tokenizer.unknown(id, self.position))?;
        self.pending.extend_from_slice(token);
        self.position += 1;
        let whole = self.pending.len() - incomplete_end(&self.pending);
        let text = String::from_utf8_lossy(&self.pending[..whole]).into_owned();
        self.pending.drain(..whole);
        Ok(text)
    }

    /// Ends the text: an incomplete character becomes U+FFFD. The decoder is then at the start of another text.
    pub fn finish(&mut self) -> String {
        self.position = 0;
        String::from_utf8_lossy(&std::mem::take(&mut self.pending)).into_owned()
    }
}

/// Length of the incomplete character at the end of `bytes`, a text of which more is to come.
pub fn incomplete_end(bytes: &[u8]) -> usize {
    // Only the last three bytes can belong to one; a lead byte is at most that far back.
    let from = bytes.len().saturating_sub(3);
    let Some(lead) = bytes[from..].iter().rposition(|&byte| byte & 0xc0 != 0x80) else { return 0 };
    match std::str::from_utf8(&bytes[from + lead..]) {
        Err(error) if error.error_len().is_none() => bytes.len() - from - lead,
        _ => 0,
    }
}
