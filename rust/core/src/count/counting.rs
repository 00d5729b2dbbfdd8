//! From texts to words and their counts, on several threads.

use std::sync::Mutex;

use super::Rules;
use super::spill::{Bound, Tally};
use super::store::Store;
use super::table::CountTable;
use crate::control::Control;
use crate::error::{Error, Result};
use crate::input::{InputOptions, Reader};
use crate::parallel::on_each_thread;
use crate::pretokenize::Visit;
use crate::special::Piece;

struct Counter<'a> {
    tally: &'a mut Tally,
    control: &'a Control,
}

impl Visit for Counter<'_> {
    #[inline]
    fn visit(&mut self, text: &[u8], start: usize, ends: &[usize]) -> Result<()> {
        self.control.check()?;
        self.tally.increment(text, start, ends, self.control)
    }
}

impl Rules {
    pub(super) fn count(&self, text: &str, tally: &mut Tally, control: &Control) -> Result<()> {
        self.special.split(text, |piece| match piece {
            Piece::Text(text) => self.pre_tokenizer.for_each(text, &mut Counter { tally, control }),
            Piece::Special(_) => Ok(()),
        })
    }
}

/// Counts what the reader gives.
pub(super) fn count_all(
    reader: Reader<'_>,
    options: &InputOptions,
    rules: &Rules,
    threads: usize,
    bound: Option<Bound>,
    control: &Control,
) -> Result<Store> {
    let reader = Mutex::new(Some(reader));
    let tallies = on_each_thread(threads, || {
        let mut tally = Tally::new(bound);
        let counted = count_blocks(&reader, options, rules, &mut tally, control);
        if counted.is_err() {
            // Without a reader the other threads stop at their next block.
            *reader.lock().unwrap_or_else(|poisoned| poisoned.into_inner()) = None;
        }
        counted.map(|()| tally)
    })?;
    together(tallies, bound, control)
}

/// Takes blocks from the reader until there are no more, one at a time so that memory stays bounded.
fn count_blocks(
    reader: &Mutex<Option<Reader<'_>>>,
    options: &InputOptions,
    rules: &Rules,
    tally: &mut Tally,
    control: &Control,
) -> Result<()> {
    loop {
        control.check()?;
        let block = {
            let mut reader = reader.lock().map_err(|_| Error::Cancelled)?;
            match reader.as_mut().map(Reader::next_block).transpose()?.flatten() {
                Some(block) => block,
                None => return Ok(()),
            }
        };
        for text in block.decode(options, control)?.iter() {
            rules.count(text, tally, control)?;
        }
    }
}

/// The sum of what the threads counted: in memory where that keeps within the bound.
fn together(tallies: Vec<Tally>, bound: Option<Bound>, control: &Control) -> Result<Store> {
    let Some(bound) = bound else {
        return Ok(Store::Table(merge_tables(tallies.into_iter().map(|tally| tally.table).collect())?));
    };
    let bytes: usize = tallies.iter().map(|tally| tally.table.bytes()).sum();
    if bytes <= bound.in_memory && !tallies.iter().any(Tally::has_spilled) {
        return Ok(Store::Table(merge_tables(tallies.into_iter().map(|tally| tally.table).collect())?));
    }
    // Each thread makes one run of its own, then those few are merged.
    let threads = tallies.len();
    let tallies = Mutex::new(tallies);
    let runs = on_each_thread(threads, || {
        let tally = tallies.lock().map_err(|_| Error::Cancelled)?.pop();
        tally.map(|tally| tally.into_run(control)).transpose()
    })?;
    Store::of_runs(runs.into_iter().flatten().collect(), bound.in_memory, control)
}

/// The sum of the tables, each of which is dropped as soon as it was added.
pub(super) fn merge_tables(mut tables: Vec<CountTable>) -> Result<CountTable> {
    // The largest is kept, the smaller ones are copied into it.
    tables.sort_by_key(CountTable::len);
    let mut all = tables.pop().unwrap_or_default();
    for table in tables {
        all.merge(&table)?;
    }
    Ok(all)
}
