//! Merging sorted words: any number of sources at once, by a tree of losers.

use super::run::{Run, RunReader, RunWriter};
use super::table::{CountTable, overflow};
use crate::control::Control;
use crate::error::Result;

/// Words between two looks at [`Control::check`].
const CHECKED_EVERY: usize = 1 << 12;
/// A reader's buffer is not made smaller than this, so that a disk is not asked for crumbs, ...
const SMALLEST_BUFFER: usize = 16 << 10;
/// ... nor larger than this, from where on nothing is gained.
pub(super) const LARGEST_BUFFER: usize = 256 << 10;
/// Sources merged at once, at most.
const MOST_AT_ONCE: usize = 1024;

/// Words in the order of their bytes, one at a time.
pub(super) enum Sorted<'a> {
    Table {
        table: &'a CountTable,
        numbers: Vec<u32>,
        /// How many were given.
        at: usize,
    },
    Run(RunReader),
}

impl<'a> Sorted<'a> {
    pub(super) fn of_table(table: &'a CountTable) -> Sorted<'a> {
        Sorted::Table { table, numbers: table.sorted(), at: 0 }
    }

    /// Goes to the next word, the first time to the first; false behind the last.
    pub(super) fn advance(&mut self) -> Result<bool> {
        match self {
            Sorted::Table { numbers, at, .. } => {
                *at += 1;
                Ok(*at <= numbers.len())
            }
            Sorted::Run(reader) => reader.advance(),
        }
    }

    /// The word it stands at and its count.
    pub(super) fn get(&self) -> (&[u8], u64) {
        match self {
            Sorted::Table { table, numbers, at } => table.get(numbers[at - 1] as usize),
            Sorted::Run(reader) => (reader.word(), reader.count()),
        }
    }
}

/// Merges runs into one within about `memory` bytes, in several rounds where the buffers of all runs would not fit.
pub(super) fn merge_runs(mut runs: Vec<Run>, memory: usize, control: &Control) -> Result<Run> {
    if runs.is_empty() {
        return RunWriter::new()?.finish();
    }
    let at_once = (memory / SMALLEST_BUFFER).clamp(2, MOST_AT_ONCE);
    loop {
        // Each round writes one file, and the files of the round before it are gone afterwards.
        let mut writer = RunWriter::new()?;
        let mut merged = Vec::with_capacity(runs.len().div_ceil(at_once));
        for group in runs.chunks(at_once) {
            let buffer = (memory / group.len()).clamp(SMALLEST_BUFFER, LARGEST_BUFFER);
            let sources = group.iter().map(|run| Sorted::Run(run.reader(buffer))).collect();
            merge(sources, control, |word, count| writer.push(word, count))?;
            merged.push(writer.finish()?);
        }
        match <[Run; 1]>::try_from(merged) {
            Ok([run]) => return Ok(run),
            Err(several) => runs = several,
        }
    }
}

/// Calls `visit` with each word of the sources, in order, and the sum of its counts.
pub(super) fn merge(
    mut sources: Vec<Sorted<'_>>,
    control: &Control,
    mut visit: impl FnMut(&[u8], u64) -> Result<()>,
) -> Result<()> {
    let mut tree = Losers::new(&mut sources)?;
    let mut word = Vec::new();
    let mut sum: Option<u64> = None;
    let mut steps = 0;
    while let Some(first) = tree.first(&mut sources)? {
        let (next, count) = first;
        match sum {
            Some(so_far) if word == next => {
                sum = Some(so_far.checked_add(count).ok_or_else(|| overflow(&word))?);
            }
            _ => {
                if let Some(sum) = sum {
                    visit(&word, sum)?;
                }
                word.clear();
                word.extend_from_slice(next);
                sum = Some(count);
            }
        }
        steps += 1;
        if steps % CHECKED_EVERY == 0 {
            control.check()?;
        }
    }
    sum.map_or(Ok(()), |sum| visit(&word, sum))
}

/// A tournament of the sources, in which the smallest word wins. Each inner node holds the loser of the match there, so
/// that the winner's next word has to meet one source a level and no more.
struct Losers {
    /// Node `n` has the children `2n` and `2n + 1`; from `heads.len()` on these are the sources. Node 0 is the winner.
    nodes: Vec<usize>,
    /// The first bytes of the word that each source stands at, which decide most matches; None behind the last word.
    heads: Vec<Option<u64>>,
    started: bool,
}

impl Losers {
    /// Goes to the first word of each source.
    fn new(sources: &mut [Sorted<'_>]) -> Result<Losers> {
        let mut heads = Vec::with_capacity(sources.len());
        for source in sources.iter_mut() {
            heads.push(head(source)?);
        }
        let mut losers = Losers { nodes: vec![0; sources.len().max(1)], heads, started: false };
        if sources.len() > 1 {
            losers.nodes[0] = losers.play(1, sources);
        }
        Ok(losers)
    }

    /// Plays the matches from `node` down; returns the winner.
    fn play(&mut self, node: usize, sources: &[Sorted<'_>]) -> usize {
        if node >= self.nodes.len() {
            return node - self.nodes.len();
        }
        let (left, right) = (self.play(2 * node, sources), self.play(2 * node + 1, sources));
        let (winner, loser) = if self.is_before(right, left, sources) { (right, left) } else { (left, right) };
        self.nodes[node] = loser;
        winner
    }

    fn is_before(&self, a: usize, b: usize, sources: &[Sorted<'_>]) -> bool {
        match (self.heads[a], self.heads[b]) {
            (Some(x), Some(y)) if x == y => sources[a].get().0 < sources[b].get().0,
            (Some(x), Some(y)) => x < y,
            (a, _) => a.is_some(),
        }
    }

    /// The smallest word not yet given, and its count.
    fn first<'s>(&mut self, sources: &'s mut [Sorted<'_>]) -> Result<Option<(&'s [u8], u64)>> {
        if sources.is_empty() {
            return Ok(None);
        }
        if self.started {
            let mut winner = self.nodes[0];
            self.heads[winner] = head(&mut sources[winner])?;
            let mut node = (winner + self.nodes.len()) / 2;
            while node > 0 {
                if self.is_before(self.nodes[node], winner, sources) {
                    std::mem::swap(&mut self.nodes[node], &mut winner);
                }
                node /= 2;
            }
            self.nodes[0] = winner;
        }
        self.started = true;
        let winner = self.nodes[0];
        Ok(self.heads[winner].map(|_| sources[winner].get()))
    }
}

/// Goes to the next word; its first 8 bytes as a number that orders as they do.
fn head(source: &mut Sorted<'_>) -> Result<Option<u64>> {
    if !source.advance()? {
        return Ok(None);
    }
    let (word, _) = source.get();
    let mut bytes = [0; 8];
    let length = word.len().min(8);
    bytes[..length].copy_from_slice(&word[..length]);
    Ok(Some(u64::from_be_bytes(bytes)))
}
