//! Counting within a bound: when a thread's table is full, its words go to disk as a sorted run.

use super::merging::merge_runs;
use super::run::{Run, RunWriter};
use super::table::CountTable;
use crate::control::Control;
use crate::error::{Error, Result};

/// Below this much a thread would do little else than write runs.
pub const MINIMUM_FOR_A_THREAD: u64 = 1_000_000;
/// What a thread takes beside its table and its blocks: its stack, the table's front and scratch, what it writes from.
const BESIDE: usize = 400 << 10;
/// Words sorted at once, so that cancelling does not wait for long.
const SORTED_AT_ONCE: usize = 1 << 18;

/// How the memory is shared out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Bound {
    /// The number of threads that it is for.
    pub(super) threads: usize,
    /// Bytes that are read at once.
    pub(super) block: usize,
    /// Bytes of a thread's table.
    table: usize,
    /// Bytes of the buffers of a merge, of which every thread may make one.
    merge: usize,
    /// Bytes that all tables together may have for being merged in memory: the largest grows by what the others have.
    pub(super) in_memory: usize,
}

impl Bound {
    /// At most `threads` threads, fewer where there is not enough for each.
    pub(super) fn new(max_memory: u64, threads: usize) -> Result<Bound> {
        if max_memory < MINIMUM_FOR_A_THREAD {
            return Err(Error::Argument(format!(
                "max_memory is {max_memory} bytes, but counting needs at least {MINIMUM_FOR_A_THREAD} (1MB)"
            )));
        }
        let all = usize::try_from(max_memory).unwrap_or(usize::MAX);
        let threads = threads.min(all / MINIMUM_FOR_A_THREAD as usize);
        let share = all / threads;
        let block = (share / 32).clamp(64 << 10, 4 << 20);
        // A block is held as it was read and as text, and the reader may hold the start of the next one.
        // Sorting takes a number of four bytes for each entry of 24.
        let table = (share - 3 * block - BESIDE) / 7 * 6;
        Ok(Bound { threads, block, table, merge: share / 2, in_memory: all / 2 })
    }
}

/// What one thread counted.
pub(super) struct Tally {
    pub(super) table: CountTable,
    /// Bytes that the table may have.
    limit: Option<usize>,
    merge: usize,
    writer: Option<RunWriter>,
    runs: Vec<Run>,
}

impl Tally {
    pub(super) fn new(bound: Option<Bound>) -> Tally {
        match bound {
            None => Tally::with(CountTable::default(), None, 0),
            Some(bound) => Tally::with(CountTable::within(bound.table), Some(bound.table), bound.merge),
        }
    }

    fn with(table: CountTable, limit: Option<usize>, merge: usize) -> Tally {
        Tally { table, limit, merge, writer: None, runs: Vec::new() }
    }

    /// As [`CountTable::increment`].
    #[inline]
    pub(super) fn increment(&mut self, text: &[u8], start: usize, ends: &[usize], control: &Control) -> Result<()> {
        match (self.limit, ends.last()) {
            (Some(limit), Some(&end)) if self.table.is_full(limit, ends.len(), end - start) => {
                self.increment_slowly(limit, text, start, ends, control)
            }
            _ => self.table.increment(text, start, ends),
        }
    }

    #[cold]
    fn increment_slowly(
        &mut self,
        limit: usize,
        text: &[u8],
        mut start: usize,
        ends: &[usize],
        control: &Control,
    ) -> Result<()> {
        for &end in ends {
            if self.table.is_full(limit, 1, end - start) {
                self.spill(control)?;
            }
            if self.table.is_full(limit, 1, end - start) {
                // The word alone is too much: it becomes a run of its own, from where it stands.
                let writer = writer(&mut self.writer)?;
                writer.push(&text[start..end], 1)?;
                let run = writer.finish()?;
                self.runs.push(run);
            } else {
                self.table.increment(text, start, &[end])?;
            }
            start = end;
        }
        Ok(())
    }

    pub(super) fn has_spilled(&self) -> bool {
        !self.runs.is_empty()
    }

    /// Moves the table's words to disk.
    fn spill(&mut self, control: &Control) -> Result<()> {
        let writer = writer(&mut self.writer)?;
        for numbers in self.table.sorted_parts(SORTED_AT_ONCE) {
            control.check()?;
            for number in numbers {
                let (word, count) = self.table.get(number as usize);
                writer.push(word, count)?;
            }
            self.runs.push(writer.finish()?);
        }
        self.table.clear();
        Ok(())
    }

    /// All that was counted as one run.
    pub(super) fn into_run(mut self, control: &Control) -> Result<Run> {
        self.spill(control)?;
        let Tally { table, merge, writer, runs, .. } = self;
        drop((table, writer));
        merge_runs(runs, merge, control)
    }
}

fn writer(writer: &mut Option<RunWriter>) -> Result<&mut RunWriter> {
    match writer {
        Some(writer) => Ok(writer),
        none => Ok(none.insert(RunWriter::new()?)),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;
    use crate::count::merging::{Sorted, merge};
    use crate::count::store::Store;

    /// A tally with a table of that many bytes, whose merges have room for the smallest number of buffers.
    fn tiny(table: usize) -> Tally {
        Tally::with(CountTable::within(table), Some(table), 0)
    }

    fn count(tally: &mut Tally, words: &[Vec<u8>]) {
        let text = words.concat();
        let mut end = 0;
        let ends: Vec<usize> = words.iter().map(|word| (end += word.len(), end).1).collect();
        let mut start = 0;
        for ends in ends.chunks(300) {
            tally.increment(&text, start, ends, &Control::default()).unwrap();
            start = ends[ends.len() - 1];
        }
    }

    fn listed(store: &Store) -> Vec<(Vec<u8>, u64)> {
        let mut words = Vec::new();
        store
            .try_for_each_sorted(|word, count| {
                words.push((word.to_vec(), count));
                Ok(())
            })
            .unwrap();
        words
    }

    fn oracle(words: &[Vec<u8>]) -> Vec<(Vec<u8>, u64)> {
        let mut counts = BTreeMap::new();
        words.iter().for_each(|word| *counts.entry(word.clone()).or_insert(0) += 1);
        counts.into_iter().collect()
    }

    /// Words of which many are equal, prefixes of each other, or differ in zeros at the end; some are longer than a tiny
    /// table.
    fn words() -> impl Strategy<Value = Vec<Vec<u8>>> {
        let byte = prop::sample::select(vec![0, b'a', b'b', 0xff]);
        let len = prop_oneof![6 => 1..6usize, 3 => 13..19usize, 1 => 30..90usize];
        let word = len.prop_flat_map(move |len| prop::collection::vec(byte.clone(), len));
        let long = (1000..4000usize, any::<u8>()).prop_map(|(len, byte)| vec![byte; len]);
        prop::collection::vec(prop_oneof![200 => word, 1 => long], 0..900)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(200))]

        #[test]
        fn tables_count_as_a_map_does(words in words(), table in prop::option::of(1_100usize..20_000)) {
            let mut tally = table.map_or_else(|| Tally::new(None), tiny);
            count(&mut tally, &words);
            let store = if tally.has_spilled() {
                Store::Run(tally.into_run(&Control::default()).unwrap())
            } else {
                Store::Table(tally.table)
            };
            let expected = oracle(&words);
            prop_assert_eq!(listed(&store), &expected[..]);
            prop_assert_eq!(store.len(), expected.len());
            prop_assert_eq!(store.total(), words.len() as u128);
        }

        #[test]
        fn stores_of_every_kind_add_up(left in words(), right in words(), spilled in any::<[bool; 2]>()) {
            let store = |words: &[Vec<u8>], spilled| {
                let mut tally = Tally::new(None);
                count(&mut tally, words);
                if spilled { Store::Run(tally.into_run(&Control::default()).unwrap()) } else { Store::Table(tally.table) }
            };
            let (mut sum, other) = (store(&left, spilled[0]), store(&right, spilled[1]));
            sum.add(&other).unwrap();
            let all = [left.as_slice(), &right].concat();
            prop_assert_eq!(listed(&sum), oracle(&all));
            prop_assert!(sum.is_same(&store(&all, false)).unwrap() && store(&all, true).is_same(&sum).unwrap());
            prop_assert_eq!(sum.is_same(&other).unwrap(), left.is_empty());
        }
    }

    #[test]
    fn a_thread_that_counted_nothing_makes_an_empty_run() {
        let store = Store::Run(tiny(1100).into_run(&Control::default()).unwrap());
        assert_eq!((store.len(), listed(&store)), (0, Vec::new()));
    }

    #[test]
    fn thousands_of_runs_are_merged_in_rounds() {
        let words: Vec<Vec<u8>> = (0..9000u32).map(|n| (n % 4000).to_string().into_bytes()).collect();
        let mut tally = tiny(1100);
        count(&mut tally, &words);
        assert!(tally.runs.len() > 2000, "{}", tally.runs.len());
        let store = Store::Run(tally.into_run(&Control::default()).unwrap());
        assert_eq!(listed(&store), oracle(&words));
    }

    #[test]
    fn counts_that_overflow_are_refused_on_disk_too() {
        let run = |count| {
            let mut writer = RunWriter::new().unwrap();
            writer.push(b"word", count).unwrap();
            writer.finish().unwrap()
        };
        let error = merge_runs(vec![run(u64::MAX), run(1)], 0, &Control::default()).unwrap_err();
        assert!(matches!(error, Error::CountOverflow { .. }), "{error}");
        let sum = merge_runs(vec![run(u64::MAX - 1), run(1)], 0, &Control::default()).unwrap();
        assert_eq!(sum.total, u128::from(u64::MAX));
    }

    #[test]
    fn a_run_cut_short_or_overwritten_is_an_error_and_no_panic() {
        let mut tally = Tally::new(None);
        count(&mut tally, &(0..2000u32).map(|n| format!("word {n}").into_bytes()).collect::<Vec<_>>());
        let run = tally.into_run(&Control::default()).unwrap();
        let read = || {
            let mut reader = run.reader(100);
            while reader.advance()? {}
            Ok::<_, Error>(())
        };
        read().unwrap();
        let file = run.file();
        let length = file.file().metadata().unwrap().len();
        for bytes in [[0xff; 16], [0x7f; 16]] {
            for position in (0..length - 16).step_by(501) {
                let mut before = [0; 16];
                file.read(&mut before, position).unwrap();
                file.write(&bytes, position).unwrap();
                // Some damage cannot be seen; none may panic or ask for memory without end.
                let _ = read();
                file.write(&before, position).unwrap();
            }
        }
        read().unwrap();
        file.file().set_len(length / 2).unwrap();
        let message = read().unwrap_err().to_string();
        assert!(message.contains("a temporary file of word counts was damaged; word counts that outgrow"), "{message}");
    }

    #[test]
    fn cancelling_ends_a_merge() {
        let mut tally = Tally::new(None);
        count(&mut tally, &(0..20_000u32).map(|n| n.to_string().into_bytes()).collect::<Vec<_>>());
        let run = tally.into_run(&Control::default()).unwrap();
        let control = Control::default();
        control.cancel();
        let ended = merge(vec![Sorted::Run(run.reader(1000))], &control, |_, _| Ok(()));
        assert!(matches!(ended, Err(Error::Cancelled)));
    }

    #[test]
    fn the_bound_is_shared_out() {
        let message = Bound::new(300_000, 2).unwrap_err().to_string();
        assert_eq!(message, "max_memory is 300000 bytes, but counting needs at least 1000000 (1MB)");
        assert_eq!(Bound::new(2_500_000, 64).unwrap().threads, 2);
        for (memory, threads) in [(1_000_000, 1), (16_000_000, 2), (16_000_000, 64), (1 << 40, 3)] {
            let bound = Bound::new(memory, threads).unwrap();
            let all = bound.threads * (bound.table / 6 * 7 + 3 * bound.block + BESIDE);
            assert!(all <= memory as usize && bound.table * bound.threads > memory as usize / 4, "{bound:?}");
        }
    }
}
