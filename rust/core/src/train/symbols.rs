//! The symbols of training: the 256 bytes, then one for each merge, with their byte strings.

/// What stands between two words: no symbol. The byte `b` is symbol `b + 1`, so a symbol is its token id + 1.
pub(super) const BORDER: u32 = 0;

/// Byte strings by symbol.
#[derive(Debug, Clone)]
pub(super) struct Symbols {
    bytes: Vec<Box<[u8]>>,
    pairs: Vec<(u32, u32)>,
}

impl Symbols {
    pub(super) fn new() -> Symbols {
        let bytes = std::iter::once(Box::default()).chain((0..=u8::MAX).map(|byte| Box::from([byte])));
        Symbols { bytes: bytes.collect(), pairs: Vec::new() }
    }

    #[inline]
    pub(super) fn of_byte(byte: u8) -> u32 {
        u32::from(byte) + 1
    }

    #[inline]
    pub(super) fn token_id(symbol: u32) -> u32 {
        symbol - 1
    }

    pub(super) fn bytes(&self, symbol: u32) -> &[u8] {
        &self.bytes[symbol as usize]
    }

    /// Makes the symbol of a merge.
    pub(super) fn join(&mut self, left: u32, right: u32) -> u32 {
        self.bytes.push([self.bytes(left), self.bytes(right)].concat().into());
        self.pairs.push((left, right));
        (self.bytes.len() - 1) as u32
    }

    /// Number of merges so far.
    pub(super) fn merges(&self) -> usize {
        self.pairs.len()
    }

    /// One more than the greatest symbol.
    pub(super) fn end(&self) -> u32 {
        self.bytes.len() as u32
    }

    /// The merges in order, as byte strings.
    pub(super) fn merged_bytes(&self) -> impl ExactSizeIterator<Item = (Vec<u8>, Vec<u8>)> {
        self.pairs.iter().map(|&(left, right)| (self.bytes(left).to_vec(), self.bytes(right).to_vec()))
    }

    /// The byte strings of all tokens, by id.
    pub(super) fn into_tokens(self) -> impl ExactSizeIterator<Item = Vec<u8>> {
        self.bytes.into_iter().skip(BORDER as usize + 1).map(Vec::from)
    }
}
