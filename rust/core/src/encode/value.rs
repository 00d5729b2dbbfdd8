//! The ids of a known word in 16 bytes, or where they are.

use super::id::Id;

/// Ids that are written together.
pub(super) const WIDTH: usize = 8;
/// The most that a value holds: those of a newline and the indentation of code, nearly always.
pub(super) const MOST: usize = 4 * WIDTH - 1;
/// Bytes of ids in a value; one more is their number.
const BYTES: usize = 15;

/// Up to seven ids, or five, of which the last stands for all that follow: a newline and a run of spaces, which many
/// vocabularies do not join, are one id and many times another. The highest byte is their number.
///
/// Where that byte is none, it says what else is known.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[repr(transparent)]
pub(super) struct Value(u128);

/// How ids stand in a value. One shuffle takes out either, so no id has bits for itself alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Packing {
    /// Seven ids.
    TwoBytes,
    /// Five.
    ThreeBytes,
}

/// What a value says of a word.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Known {
    /// It holds so many ids.
    Here(usize),
    /// So many stand at that place beside the tables.
    Beside(u32, usize),
    /// It is the unknown word of that number.
    Unknown(u32),
    /// It was not looked for.
    Nothing,
}

/// In the highest byte: all from here on are no number of ids.
pub(super) const ELSEWHERE: u8 = 0x80;
const UNKNOWN: u8 = 0x81;
const NOTHING: u8 = 0x82;

impl Packing {
    /// For the words of a vocabulary of that size.
    pub(super) fn of(vocab_size: usize) -> Packing {
        if vocab_size <= 1 << 16 { Packing::TwoBytes } else { Packing::ThreeBytes }
    }

    /// Of which bytes of a value each id is made, the last of them again and again; none where the highest bit is set.
    #[cfg(target_arch = "x86_64")]
    pub(super) fn shuffle(self) -> &'static [u8; WIDTH * size_of::<u32>()] {
        const TWO: [u8; WIDTH * size_of::<u32>()] = shuffle(2);
        const THREE: [u8; WIDTH * size_of::<u32>()] = shuffle(3);
        match self {
            Packing::TwoBytes => &TWO,
            Packing::ThreeBytes => &THREE,
        }
    }
}

#[cfg(target_arch = "x86_64")]
const fn shuffle(bytes: usize) -> [u8; WIDTH * size_of::<u32>()] {
    let mut places = [0x80; WIDTH * size_of::<u32>()];
    let mut at = 0;
    while at < places.len() {
        let (id, byte) = (at / size_of::<u32>(), at % size_of::<u32>());
        let last = BYTES / bytes - 1;
        if byte < bytes {
            places[at] = (bytes * if id < last { id } else { last } + byte) as u8;
        }
        at += 1;
    }
    places
}

impl Value {
    pub(super) const NOTHING: Value = Value((NOTHING as u128) << 120);

    /// Of a word that has those ids, if they fit.
    pub(super) fn here(ids: &[u32], packing: Packing) -> Option<Value> {
        match packing {
            Packing::TwoBytes => Value::packed::<2>(ids),
            Packing::ThreeBytes => Value::packed::<3>(ids),
        }
    }

    #[inline(always)]
    fn packed<const B: usize>(ids: &[u32]) -> Option<Value> {
        let (first, rest) = ids.split_at(ids.len().min(BYTES / B));
        let repeats = first.last().is_none_or(|last| rest.iter().all(|id| id == last));
        if ids.len() > MOST || !repeats || first.iter().any(|&id| id >> (8 * B) != 0) {
            return None;
        }
        let packed = first.iter().rev().fold(0, |packed, &id| packed << (8 * B) | u128::from(id));
        Some(Value(packed | (ids.len() as u128) << 120))
    }

    /// Of a word whose `count` ids stand at `place` beside the tables.
    pub(super) fn beside(place: u32, count: usize) -> Value {
        Value(u128::from(place) | (count as u128) << 32 | u128::from(ELSEWHERE) << 120)
    }

    /// Of the unknown word of that number.
    pub(super) fn unknown(number: u32) -> Value {
        Value(u128::from(number) | u128::from(UNKNOWN) << 120)
    }

    #[inline(always)]
    pub(super) fn known(self) -> Known {
        match self.kind() {
            count @ ..ELSEWHERE => Known::Here(count.into()),
            ELSEWHERE => Known::Beside(self.0 as u32, (self.0 >> 32) as u32 as usize),
            UNKNOWN => Known::Unknown(self.0 as u32),
            _ => Known::Nothing,
        }
    }

    /// How many ids it holds; from [`ELSEWHERE`] on, that it holds none.
    #[inline(always)]
    pub(super) fn kind(self) -> u8 {
        (self.0 >> 120) as u8
    }

    /// Writes the ids, and behind them what else there is to a whole number of times [`WIDTH`].
    ///
    /// # Safety
    /// It holds ids, and there is room at `to`.
    #[inline(always)]
    pub(super) unsafe fn write<I: Id>(self, packing: Packing, to: *mut I) {
        // SAFETY: the contract is the same.
        unsafe {
            match packing {
                Packing::TwoBytes => self.unpack::<2, I>(to),
                Packing::ThreeBytes => self.unpack::<3, I>(to),
            }
        }
    }

    /// [`Value::write`], of ids of so many bytes.
    ///
    /// # Safety
    /// As there.
    #[inline(always)]
    unsafe fn unpack<const B: usize, I: Id>(self, to: *mut I) {
        let id = |nth: usize| I::of((self.0 >> (8 * B * nth.min(BYTES / B - 1))) as u32 % (1 << (8 * B)));
        let ids: [I; WIDTH] = std::array::from_fn(id);
        // SAFETY: by the contract of the function.
        unsafe {
            to.cast::<[I; WIDTH]>().write_unaligned(ids);
            for nth in 1..usize::from(self.kind()).div_ceil(WIDTH) {
                to.add(nth * WIDTH).cast::<[I; WIDTH]>().write_unaligned([ids[WIDTH - 1]; WIDTH]);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn ids() -> impl Strategy<Value = Vec<u32>> {
        let id = || {
            let edges = [1u32 << 16, 1 << 24].map(|edge| edge - 2..edge + 1);
            let [two, three] = edges;
            prop_oneof![5 => 0u32..4, 1 => two, 1 => three, 1 => any::<u32>()]
        };
        (prop::collection::vec(id(), 1..9), 0usize..32).prop_map(|(mut ids, more)| {
            ids.extend(vec![ids[ids.len() - 1]; more]);
            ids
        })
    }

    proptest! {
        #[test]
        fn ids_that_fit_come_back(ids in ids(), packing in prop::sample::select(vec![Packing::TwoBytes, Packing::ThreeBytes])) {
            let (most, limit) = if packing == Packing::TwoBytes { (7, 1u64 << 16) } else { (5, 1 << 24) };
            let fit = ids.len() <= MOST
                && ids.iter().all(|&id| u64::from(id) < limit)
                && ids.iter().skip(most - 1).all(|&id| id == ids[most - 1]);
            let value = Value::here(&ids, packing);
            prop_assert_eq!(value.is_some(), fit);
            let Some(value) = value else { return Ok(()) };
            prop_assert_eq!(value.known(), Known::Here(ids.len()));
            let mut written = [7; MOST + 1];
            // SAFETY: there is room for as many as are written.
            unsafe { value.write(packing, written.as_mut_ptr()) };
            prop_assert_eq!(&written[..ids.len()], &ids[..]);
            let untouched = &written[ids.len().next_multiple_of(WIDTH)..];
            prop_assert!(untouched.iter().all(|&id| id == 7), "no more than needed");
        }
    }

    #[test]
    fn what_else_is_known_comes_back() {
        assert_eq!(Value::beside(u32::MAX, 126).known(), Known::Beside(u32::MAX, 126));
        assert_eq!(Value::unknown(5).known(), Known::Unknown(5));
        assert_eq!(Value::NOTHING.known(), Known::Nothing);
    }
}
