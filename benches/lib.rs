//! Corpora for the benchmarks.
