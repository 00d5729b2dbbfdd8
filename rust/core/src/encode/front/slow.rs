//! What stands in for `fast.rs` on processors that have none of its instructions.

use super::{Key, Line, Wanted};
use crate::processor::Instructions;

pub(super) use super::{copy_known, line};

pub(super) fn supported() -> Instructions {
    Instructions::Portable
}

/// # Safety
/// It is never called.
pub(super) unsafe fn want_by_avx2(_: &[Line], _: (&mut [Key], &mut [u32]), _: &[u8], _: usize, _: &[usize]) {
    unreachable!("no AVX2")
}

pub(super) use want_by_avx2 as want_by_avx512;
