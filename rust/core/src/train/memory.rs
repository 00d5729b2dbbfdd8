//! What learning merges needs in memory, and what the machine has to give.

use std::fs;
use std::path::Path;

use crate::error::{Error, Result};

/// The most bytes that learning `merges` merges takes for `words` distinct words of `word_bytes` bytes together, beside the
/// counts themselves, of which `distinct_counts` are different.
pub(super) fn bound(words: u64, word_bytes: u64, distinct_counts: u64, merges: u64) -> u64 {
    let slots = words.saturating_add(word_bytes).saturating_add(1);
    // A symbol in each slot, and places of pairs, for which lists have an eighth more while they grow.
    let slot = if super::fits_16_bits(merges) { 2.0 } else { 4.0 };
    let of_slots = slots as f64 * (slot + 4.0 * 1.125 * super::ROOM as f64 / 100.0);
    // Sums by bucket, places to be sorted, groups of words.
    let of_walks = 8.2 * slots.min(1 << 20) as f64 + 16.0 * slots.min(1 << 16) as f64 + 80.0 * distinct_counts as f64;
    // Pairs of bytes at first; then, as the words get shorter, byte strings, sums by neighbour, more pairs, and at last
    // the vocabulary itself.
    let of_pairs = (200.0 * slots.min(1 << 16) as f64).max(300.0 * merges.min(slots) as f64);
    (of_slots + of_walks + of_pairs) as u64 + (1 << 18)
}

/// # Errors
/// [`Error::Memory`] when `needed` bytes are more than those available, where that is known.
pub(super) fn check(needed: u64, available: Option<u64>) -> Result<()> {
    match available {
        Some(available) if available < needed => Err(Error::Memory { what: "learning merges", needed, available }),
        _ => Ok(()),
    }
}

/// The bytes that this process can still take before the system, or the control group that it is in, runs out. `None`
/// where the system does not say (only Linux does).
pub(super) fn available() -> Option<u64> {
    available_under(Path::new("/"))
}

fn available_under(root: &Path) -> Option<u64> {
    let read = |path: &str| fs::read_to_string(root.join(path)).ok();
    let machine =
        read("proc/meminfo").and_then(|text| field(&text, "MemAvailable:")).map(|kib| kib.saturating_mul(1024));
    let groups = read("proc/self/cgroup").unwrap_or_default();
    let groups = groups.lines().flat_map(|line| {
        let mut parts = line.splitn(3, ':').skip(1);
        let (controllers, path) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
        if controllers.is_empty() {
            with_parents(&root.join("sys/fs/cgroup"), path, &|group| {
                left(group, "memory.max", "memory.current", &["active_file", "inactive_file"])
            })
        } else if controllers.split(',').any(|controller| controller == "memory") {
            with_parents(&root.join("sys/fs/cgroup/memory"), path, &|group| {
                let files = ["total_active_file", "total_inactive_file"];
                left(group, "memory.limit_in_bytes", "memory.usage_in_bytes", &files)
            })
        } else {
            None
        }
    });
    machine.into_iter().chain(groups).min()
}

/// The least of what is left to a group and to those that it is in. In a container the path may be the host's; then there
/// is the container's own group at the mount alone.
fn with_parents(mount: &Path, path: &str, left: &dyn Fn(&Path) -> Option<u64>) -> Option<u64> {
    let group = mount.join(path.trim_start_matches('/'));
    group.ancestors().take_while(|group| group.starts_with(mount)).filter_map(left).min()
}

/// A group's limit less its use. Pages of files count as used, and yet are given up when memory is asked for.
fn left(group: &Path, limit: &str, usage: &str, files: &[&str]) -> Option<u64> {
    let read = |name: &str| fs::read_to_string(group.join(name)).ok();
    let number = |name: &str| read(name)?.trim().parse::<u64>().ok();
    // Without a limit it is "max", or in version 1 a number beyond any machine's.
    let (limit, usage) = (number(limit)?, number(usage)?);
    let stat = read("memory.stat").unwrap_or_default();
    let files: u64 = files.iter().filter_map(|name| field(&stat, name)).sum();
    Some(limit.saturating_sub(usage.saturating_sub(files)))
}

/// The number behind a name at the start of a line.
fn field(text: &str, name: &str) -> Option<u64> {
    text.lines().find_map(|line| {
        let mut words = line.split_ascii_whitespace();
        (words.next() == Some(name)).then(|| words.next()?.parse().ok())?
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn available_with(files: &[(&str, &str)]) -> Option<u64> {
        let root = tempfile::tempdir().ok()?;
        for (path, text) in files {
            let path = root.path().join(path);
            fs::create_dir_all(path.parent()?).ok()?;
            fs::write(path, text).ok()?;
        }
        available_under(root.path())
    }

    const MACHINE: (&str, &str) = ("proc/meminfo", "MemTotal:  2000 kB\nMemFree:  100 kB\nMemAvailable:   1000 kB\n");

    #[test]
    fn the_machine_alone_has_what_it_says() {
        assert_eq!(available_with(&[MACHINE]), Some(1_024_000));
        assert_eq!(available_with(&[]), None);
    }

    #[test]
    fn a_group_or_one_around_it_may_have_less() {
        let group = ("proc/self/cgroup", "0::/outer/inner\n");
        let unlimited =
            [("sys/fs/cgroup/outer/inner/memory.max", "max\n"), ("sys/fs/cgroup/outer/inner/memory.current", "5000\n")];
        let outer = [
            ("sys/fs/cgroup/outer/memory.max", "300000\n"),
            ("sys/fs/cgroup/outer/memory.current", "200000\n"),
            ("sys/fs/cgroup/outer/memory.stat", "anon 1\nactive_file 1000\ninactive_file 2000\n"),
        ];
        assert_eq!(available_with(&[&[MACHINE, group][..], &unlimited].concat()), Some(1_024_000));
        assert_eq!(available_with(&[&[MACHINE, group][..], &unlimited, &outer].concat()), Some(103_000));
    }

    #[test]
    fn so_may_a_group_of_version_1() {
        let group = [
            ("proc/self/cgroup", "5:cpu:/elsewhere\n4:hugetlb,memory:/box\n"),
            ("sys/fs/cgroup/memory/box/memory.limit_in_bytes", "9000\n"),
            ("sys/fs/cgroup/memory/box/memory.usage_in_bytes", "10000\n"),
        ];
        assert_eq!(available_with(&[&[MACHINE], &group[..]].concat()), Some(0));
        let files = ("sys/fs/cgroup/memory/box/memory.stat", "total_inactive_file 4000\n");
        assert_eq!(available_with(&[&[MACHINE, files], &group[..]].concat()), Some(3000));
        let unlimited = ("sys/fs/cgroup/memory/box/memory.limit_in_bytes", "9223372036854771712\n");
        assert_eq!(available_with(&[&[MACHINE], &group[..], &[unlimited]].concat()), Some(1_024_000));
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        let error = check(3 << 30, Some(1_500_000_000)).map_err(|error| error.to_string());
        let message = "learning merges needs up to 3221.2 MB of memory, and 1500.0 MB are available; ";
        assert!(error.is_err_and(|error| error.starts_with(message)));
        assert!(check(10, Some(10)).is_ok() && check(u64::MAX, None).is_ok());
    }
}
