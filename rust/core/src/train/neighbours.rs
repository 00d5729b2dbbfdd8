//! Sums by the symbol on one side of the merges of a step.

/// An array over all symbols, and which of it is in use.
#[derive(Default)]
pub(super) struct Neighbours {
    sums: Vec<Sum>,
    used: Vec<u32>,
}

/// What stood beside merges, by symbol.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Sum {
    /// How often, with word counts.
    pub(super) count: u64,
    /// At how many places.
    pub(super) places: u32,
    /// A note for whoever has read the sum: a pair's number + 1.
    pub(super) pair: u32,
}

impl Neighbours {
    /// Makes room for symbols up to `last`.
    pub(super) fn resize(&mut self, last: u32) {
        self.sums.resize(last as usize + 1, Sum::default());
    }

    #[inline]
    pub(super) fn add(&mut self, symbol: u32, count: u64) {
        let sum = &mut self.sums[symbol as usize];
        if sum.places == 0 {
            self.used.push(symbol);
        }
        sum.places += 1;
        sum.count += count;
    }

    #[inline]
    pub(super) fn get(&self, symbol: u32) -> Sum {
        self.sums[symbol as usize]
    }

    /// Calls `visit` for each symbol in use; the pair number that it returns stays until [`Neighbours::clear`].
    pub(super) fn note(&mut self, mut visit: impl FnMut(u32, Sum) -> Option<u32>) {
        for &symbol in &self.used {
            let sum = &mut self.sums[symbol as usize];
            let pair = visit(symbol, *sum);
            sum.pair = pair.map_or(0, |pair| pair + 1);
        }
    }

    /// The pair noted for a symbol.
    #[inline]
    pub(super) fn noted(&self, symbol: u32) -> Option<u32> {
        self.sums[symbol as usize].pair.checked_sub(1)
    }

    pub(super) fn clear(&mut self) {
        for symbol in self.used.drain(..) {
            self.sums[symbol as usize] = Sum::default();
        }
    }
}
