//! Where the words of a [`super::WordCounts`] are: in a table, or, counted within a bound that they outgrew, on disk.

use super::LeftOut;
use super::counting::merge_tables;
use super::merging::{LARGEST_BUFFER, Sorted, merge, merge_runs};
use super::run::{Run, RunWriter};
use super::table::CountTable;
use crate::control::Control;
use crate::error::Result;

/// Words and counts. A copy of a run shares its file.
#[derive(Debug, Clone)]
pub(super) enum Store {
    Table(CountTable),
    Run(Run),
}

impl Store {
    /// The sum of the runs, merged within about `memory` bytes.
    pub(super) fn of_runs(mut runs: Vec<Run>, memory: usize, control: &Control) -> Result<Store> {
        match runs.pop() {
            None => Ok(Store::Table(CountTable::default())),
            Some(run) if runs.is_empty() => Ok(Store::Run(run)),
            Some(run) => {
                runs.push(run);
                merge_runs(runs, memory, control).map(Store::Run)
            }
        }
    }

    pub(super) fn len(&self) -> usize {
        match self {
            Store::Table(table) => table.len(),
            Store::Run(run) => run.words,
        }
    }

    pub(super) fn total(&self) -> u128 {
        match self {
            Store::Table(table) => table.iter().map(|(_, count)| u128::from(count)).sum(),
            Store::Run(run) => run.total,
        }
    }

    /// The words that occur at least `least` times, where the others were, and what those are.
    pub(super) fn at_least(&self, least: u64) -> Result<(Store, LeftOut)> {
        let mut left_out = LeftOut::default();
        let mut leave = |count: u64| {
            left_out.words += u64::from(count < least);
            left_out.occurrences += if count < least { u128::from(count) } else { 0 };
            count < least
        };
        let kept = match self {
            Store::Table(table) => {
                let mut kept = CountTable::default();
                for (word, count) in table.iter() {
                    if !leave(count) {
                        kept.add(word, count)?;
                    }
                }
                Store::Table(kept)
            }
            Store::Run(_) => {
                let mut writer = RunWriter::new()?;
                let keep = |word: &[u8], count| if leave(count) { Ok(()) } else { writer.push(word, count) };
                self.try_for_each_sorted(keep)?;
                Store::Run(writer.finish()?)
            }
        };
        Ok((kept, left_out))
    }

    /// In the same order at each call.
    pub(super) fn try_for_each(&self, mut visit: impl FnMut(&[u8], u64) -> Result<()>) -> Result<()> {
        match self {
            Store::Table(table) => table.iter().try_for_each(|(word, count)| visit(word, count)),
            Store::Run(_) => self.try_for_each_sorted(visit),
        }
    }

    /// In the order of the words' bytes.
    pub(super) fn try_for_each_sorted(&self, mut visit: impl FnMut(&[u8], u64) -> Result<()>) -> Result<()> {
        let mut words = self.sorted();
        while words.advance()? {
            let (word, count) = words.get();
            visit(word, count)?;
        }
        Ok(())
    }

    /// The words in order, one at a time.
    pub(super) fn sorted(&self) -> Sorted<'_> {
        match self {
            Store::Table(table) => Sorted::of_table(table),
            Store::Run(run) => Sorted::Run(run.reader(LARGEST_BUFFER)),
        }
    }

    /// Adds what `other` holds: in memory if both are there, else on disk.
    pub(super) fn add(&mut self, other: &Store) -> Result<()> {
        if let (Store::Table(table), Store::Table(other)) = (&mut *self, other) {
            return table.merge(other);
        }
        let mut writer = RunWriter::new()?;
        merge(vec![self.sorted(), other.sorted()], &Control::default(), |word, count| writer.push(word, count))?;
        *self = Store::Run(writer.finish()?);
        Ok(())
    }

    /// Adds tables, which are dropped one by one.
    pub(super) fn absorb(&mut self, mut tables: Vec<CountTable>) -> Result<()> {
        if let Store::Table(table) = self {
            tables.push(std::mem::take(table));
            *table = merge_tables(tables)?;
            return Ok(());
        }
        self.add(&Store::Table(merge_tables(tables)?))
    }

    /// Whether both hold the same counts of the same words.
    pub(super) fn is_same(&self, other: &Store) -> Result<bool> {
        if self.len() != other.len() || self.total() != other.total() {
            return Ok(false);
        }
        let (mut left, mut right) = (self.sorted(), other.sorted());
        while left.advance()? && right.advance()? {
            if left.get() != right.get() {
                return Ok(false);
            }
        }
        Ok(true)
    }
}
