//! A short run of every target on random inputs, without coverage: what continuous integration has time for. See README.md
//! for searches that learn from coverage.
//!
//! `FUZZ_SECONDS` is the time for each target (default 2); `FUZZ_SEED` begins another sequence of inputs.

use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::path::Path;
use std::time::{Duration, Instant};

use bloomery_fuzz::{count, cut, decode, encode, read, scan, train};

const LONGEST: usize = 300;

/// SplitMix64.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut bits = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        bits ^ (bits >> 31)
    }

    fn below(&mut self, end: usize) -> usize {
        (self.next() % end.max(1) as u64) as usize
    }

    fn choose<'a>(&mut self, from: &'a [Vec<u8>]) -> &'a [u8] {
        &from[self.below(from.len())]
    }
}

fn number(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |text| text.parse().unwrap_or_else(|_| panic!("{name} is not a number")))
}

fn folder() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The entries of libFuzzer's dictionary: `"text"` with `\xNN`, `\\` and `\"`.
fn fragments() -> Vec<Vec<u8>> {
    let dictionary = fs::read_to_string(folder().join("fragments.dict")).expect("it is part of the repository");
    let entries = dictionary.lines().filter_map(|line| line.strip_prefix('"')?.strip_suffix('"'));
    let unescaped = entries.map(|entry| {
        let (mut bytes, mut rest) = (Vec::new(), entry.as_bytes());
        while let Some((&byte, tail)) = rest.split_first() {
            let (byte, length) = match (byte, tail.first()) {
                (b'\\', Some(b'x')) => (u8::from_str_radix(&entry[entry.len() - tail.len() + 1..][..2], 16), 3),
                (b'\\', Some(&escaped)) => (Ok(escaped), 1),
                _ => (Ok(byte), 0),
            };
            bytes.push(byte.expect("two hexadecimal digits follow"));
            rest = &tail[length..];
        }
        bytes
    });
    unescaped.collect()
}

fn seeds(name: &str) -> Vec<Vec<u8>> {
    let mut paths: Vec<_> = fs::read_dir(folder().join("seeds").join(name))
        .expect("seeds are part of the repository")
        .map(|entry| entry.expect("it can be listed").path())
        .collect();
    paths.sort();
    paths.iter().map(|path| fs::read(path).expect("it can be read")).collect()
}

/// Choices for the target, then fragments one after the other.
fn composed(random: &mut Random, fragments: &[Vec<u8>]) -> Vec<u8> {
    let mut input: Vec<u8> = (0..4).map(|_| random.next() as u8).collect();
    for _ in 0..random.below(40) {
        input.extend_from_slice(random.choose(fragments));
    }
    input
}

/// A seed with a few changes.
fn mutated(random: &mut Random, seeds: &[Vec<u8>], fragments: &[Vec<u8>]) -> Vec<u8> {
    let mut input = random.choose(seeds).to_vec();
    for _ in 0..=random.below(5) {
        let at = random.below(input.len() + 1);
        let end = input.len().min(at + random.below(8));
        match random.below(5) {
            0 if at < input.len() => input[at] ^= 1 << random.below(8),
            1 if at < input.len() => input[at] = random.next() as u8,
            2 => drop(input.drain(at..end)),
            3 => {
                let repeated = input[at..end].repeat(2);
                input.splice(at..end, repeated);
            }
            _ => drop(input.splice(at..at, random.choose(fragments).iter().copied())),
        }
    }
    input
}

fn run(name: &str, seed_folder: &str, check: fn(&[u8])) {
    let (fragments, seeds) = (fragments(), seeds(seed_folder));
    let mut random = Random(number("FUZZ_SEED", 0));
    let end = Instant::now() + Duration::from_secs(number("FUZZ_SECONDS", 2));
    let attempt = |input: &[u8]| {
        if let Err(panic) = catch_unwind(AssertUnwindSafe(|| check(input))) {
            let shown: String = input.iter().map(|byte| format!("\\x{byte:02x}")).collect();
            eprintln!("{name} fails on the input b\"{shown}\"");
            resume_unwind(panic);
        }
    };
    seeds.iter().for_each(|seed| attempt(seed));
    let mut runs = 0;
    while Instant::now() < end {
        let mut input = match random.below(3) {
            0 => mutated(&mut random, &seeds, &fragments),
            _ => composed(&mut random, &fragments),
        };
        if seed_folder == "text" {
            input.truncate(LONGEST);
        }
        attempt(&input);
        runs += 1;
    }
    eprintln!("{name}: {runs} inputs");
}

#[test]
fn scan() {
    run("scan", "text", scan::check);
}

#[test]
fn cut() {
    run("cut", "text", cut::check);
}

#[test]
fn train() {
    run("train", "text", train::check);
}

#[test]
fn encode() {
    run("encode", "text", encode::check);
}

#[test]
fn decode() {
    run("decode", "text", decode::check);
}

#[test]
fn count() {
    run("count", "text", count::check);
}

#[test]
fn read() {
    run("read", "read", read::check);
}
