//! Ids in the two types that arrays and files hold them in.

use std::mem::MaybeUninit;

use super::recycled::Kept;
use crate::error::{Error, Result};
use crate::tokenizer::Tokenizer;

/// How ids are written: unsigned, little-endian in files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dtype {
    /// 16 bits, for vocabularies of up to 65,536.
    U16,
    /// 32 bits.
    U32,
}

impl Tokenizer {
    /// How ids are written, as asked for; when `None`, in the smallest type that holds all of the vocabulary.
    ///
    /// # Errors
    /// [`Error::Argument`] for a type too small for the vocabulary.
    pub fn dtype(&self, asked: Option<Dtype>) -> Result<Dtype> {
        let fits = self.vocab_size() <= 1 << 16;
        match asked {
            Some(Dtype::U16) if !fits => Err(Error::Argument(format!(
                "ids of a vocabulary of {} do not fit uint16; use uint32",
                self.vocab_size()
            ))),
            Some(dtype) => Ok(dtype),
            None => Ok(if fits { Dtype::U16 } else { Dtype::U32 }),
        }
    }
}

/// An id as an array holds it: `u16` or `u32`.
pub trait Id: sealed::Id {
    /// Which of them.
    const DTYPE: Dtype;
}

impl Id for u16 {
    const DTYPE: Dtype = Dtype::U16;
}

impl Id for u32 {
    const DTYPE: Dtype = Dtype::U32;
}

pub(crate) mod sealed {
    use super::*;

    pub trait Id: Copy + Into<u32> + Send + Sync + 'static {
        /// The id, of a vocabulary whose ids fit.
        fn of(id: u32) -> Self;

        /// [`Id::of`], of what need not have been written.
        fn of_uninit(id: MaybeUninit<u32>) -> MaybeUninit<Self>;

        /// The number whose bytes here are those of this one in a file.
        fn little_endian(self) -> Self;

        /// Makes of `ids`, where they stand, the bytes that a file has.
        fn to_bytes(ids: &mut [Self]) -> &[u8] {
            ids.iter_mut().for_each(|id| *id = id.little_endian());
            // SAFETY: the numbers are as many bytes, all of them written.
            unsafe { std::slice::from_raw_parts(ids.as_ptr().cast(), size_of_val(ids)) }
        }

        /// What is kept, if it is for such ids.
        fn kept(kept: &mut Kept) -> Option<&mut Vec<Self>>;

        /// What to keep.
        fn keep(ids: Vec<Self>) -> Kept;
    }

    impl Id for u16 {
        #[inline(always)]
        fn of(id: u32) -> u16 {
            debug_assert!(id <= u16::MAX.into());
            id as u16
        }

        #[inline(always)]
        fn of_uninit(id: MaybeUninit<u32>) -> MaybeUninit<u16> {
            // SAFETY: two halves are as many bytes, and none of them need have been written.
            let halves: [MaybeUninit<u16>; 2] = unsafe { std::mem::transmute(id) };
            halves[if cfg!(target_endian = "little") { 0 } else { 1 }]
        }

        fn little_endian(self) -> u16 {
            self.to_le()
        }

        fn kept(kept: &mut Kept) -> Option<&mut Vec<u16>> {
            if let Kept::U16(ids) = kept { Some(ids) } else { None }
        }

        fn keep(ids: Vec<u16>) -> Kept {
            Kept::U16(ids)
        }
    }

    impl Id for u32 {
        #[inline(always)]
        fn of(id: u32) -> u32 {
            id
        }

        #[inline(always)]
        fn of_uninit(id: MaybeUninit<u32>) -> MaybeUninit<u32> {
            id
        }

        fn little_endian(self) -> u32 {
            self.to_le()
        }

        fn kept(kept: &mut Kept) -> Option<&mut Vec<u32>> {
            if let Kept::U32(ids) = kept { Some(ids) } else { None }
        }

        fn keep(ids: Vec<u32>) -> Kept {
            Kept::U32(ids)
        }
    }
}
