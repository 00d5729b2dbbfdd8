//! The published file formats: readers and writers between bytes and [`crate::Definition`].
pub mod word_counts;
