//! The parts of the engine, each by itself: scan, count, merge, load, encode, decode.
//!
//! `cargo bench -p bloomery-benches` runs all of them, `cargo bench -p bloomery-benches -- encode` those named so.

use std::hint::black_box;

use bloomery_benches::{corpus, shared};
use bloomery_core::pretokenize::PreTokenizer;
use bloomery_core::{Allowed, Control, Definition, Pattern, TieBreak, Tokenizer, WordCounts, format, train};
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};

const BYTES: u64 = 8 << 20;

fn texts() -> Vec<(&'static str, String)> {
    let text = |name: &'static str| match corpus(name, BYTES) {
        Ok(text) => Some((name, text)),
        Err(error) => {
            eprintln!("left out {name}: not in {} ({error}); set BLOOMERY_SHARED", shared().display());
            None
        }
    };
    ["english", "code", "multilingual"].into_iter().filter_map(text).collect()
}

fn published(name: &str) -> Option<Definition> {
    format::load(&shared().join("vocab").join(format!("{name}.tiktoken")), None, None)
        .inspect_err(|error| eprintln!("left out {name}: {error}"))
        .ok()
}

fn scan(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("scan");
    for (name, text) in texts() {
        group.throughput(Throughput::Bytes(text.len() as u64));
        for pattern in [Pattern::Gpt2, Pattern::Cl100k, Pattern::O200k] {
            let Ok(scanner) = PreTokenizer::new(&pattern) else { continue };
            group.bench_function(BenchmarkId::new(pattern.name(), name), |bencher| {
                bencher.iter(|| {
                    let mut longest = 0;
                    let scanned = scanner.for_each(black_box(&text), &mut |_: &[u8], start: usize, end: usize| {
                        longest = longest.max(end - start);
                    });
                    (scanned.is_ok(), longest)
                });
            });
        }
    }
}

fn counts(text: &str) -> Option<WordCounts> {
    let mut counts = WordCounts::new(&Pattern::Gpt2, &["<|endoftext|>".to_owned()]).ok()?;
    counts.add_text(text).ok()?;
    Some(counts)
}

fn count(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("count");
    for (name, text) in texts() {
        group.throughput(Throughput::Bytes(text.len() as u64));
        group.bench_function(name, |bencher| bencher.iter(|| counts(black_box(&text)).map(|counts| counts.len())));
    }
}

fn merge(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("merge");
    group.sample_size(10);
    for (name, text) in texts() {
        let Some(counts) = counts(&text) else { continue };
        group.bench_function(BenchmarkId::new("8000", name), |bencher| {
            bencher.iter(|| train(&counts, 8000, TieBreak::Lexicographic, &Control::default()).is_ok());
        });
    }
}

fn load(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("load");
    group.sample_size(10);
    for name in ["r50k_base", "o200k_base"] {
        let Some(definition) = published(name) else { continue };
        group.bench_function(name, |bencher| bencher.iter(|| Tokenizer::new(definition.clone()).is_ok()));
    }
}

fn encode_and_decode(criterion: &mut Criterion) {
    let texts = texts();
    for vocabulary in ["r50k_base", "cl100k_base", "o200k_base"] {
        let Some(tokenizer) = published(vocabulary).and_then(|definition| Tokenizer::new(definition).ok()) else {
            continue;
        };
        for (name, text) in &texts {
            let mut group = criterion.benchmark_group("encode");
            group.sample_size(10).throughput(Throughput::Bytes(text.len() as u64));
            group.bench_function(BenchmarkId::new(vocabulary, name), |bencher| {
                bencher.iter(|| tokenizer.encode::<u32>(black_box(text), &Allowed::All).map(|ids| ids.len()));
            });
            group.finish();
            let Ok(ids) = tokenizer.encode::<u32>(text, &Allowed::All) else { continue };
            let mut group = criterion.benchmark_group("decode");
            group.sample_size(10).throughput(Throughput::Elements(ids.len() as u64));
            group.bench_function(BenchmarkId::new(vocabulary, name), |bencher| {
                bencher.iter(|| tokenizer.decode(black_box(&ids)).map(|text| text.len()));
            });
            group.finish();
        }
        let hundred =
            "A hundred bytes of ordinary English text, as somebody might type it into a prompt: hello, and bye!!!";
        criterion.bench_function(&format!("encode/{vocabulary}/100 bytes"), |bencher| {
            bencher.iter(|| tokenizer.encode::<u32>(black_box(hundred), &Allowed::All).map(|ids| ids.len()));
        });
    }
}

criterion_group!(parts, scan, count, merge, load, encode_and_decode);
criterion_main!(parts);
