//! Where text comes from.
