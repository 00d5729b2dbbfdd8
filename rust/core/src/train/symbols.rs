//! The symbols of training: the 256 bytes, then one for each merge, with their byte strings.

/// Byte strings by symbol.
#[derive(Debug, Clone)]
pub(super) struct Symbols {
    bytes: Vec<Vec<u8>>,
    /// Lengths of `bytes`, asked for far more often.
    lens: Vec<u32>,
    pairs: Vec<(u32, u32)>,
}

impl Symbols {
    pub(super) fn new() -> Symbols {
        Symbols { bytes: (0..=u8::MAX).map(|byte| vec![byte]).collect(), lens: vec![1; 256], pairs: Vec::new() }
    }

    pub(super) fn bytes(&self, symbol: u32) -> &[u8] {
        &self.bytes[symbol as usize]
    }

    /// Length in bytes.
    #[inline]
    pub(super) fn len_of(&self, symbol: u32) -> usize {
        self.lens[symbol as usize] as usize
    }

    /// Makes the symbol of a merge.
    pub(super) fn join(&mut self, left: u32, right: u32) -> u32 {
        self.lens.push(self.lens[left as usize] + self.lens[right as usize]);
        self.bytes.push([self.bytes(left), self.bytes(right)].concat());
        self.pairs.push((left, right));
        (self.bytes.len() - 1) as u32
    }

    /// Number of merges so far.
    pub(super) fn merges(&self) -> usize {
        self.pairs.len()
    }

    /// All symbols' byte strings, and the pairs that were merged.
    pub(super) fn into_parts(self) -> (Vec<Vec<u8>>, Vec<(u32, u32)>) {
        (self.bytes, self.pairs)
    }
}
