//! NumPy's `.npy` format, version 1.0, for one-dimensional arrays of ids.

use super::id::Dtype;

/// The header takes this many bytes whatever the length, so that it can be written again when the length is known.
pub(super) const HEADER_LEN: usize = 128;

/// The header of an array of `len` ids, little-endian.
pub(super) fn header(dtype: Dtype, len: u64) -> [u8; HEADER_LEN] {
    let descr = match dtype {
        Dtype::U16 => "<u2",
        Dtype::U32 => "<u4",
    };
    let dictionary = format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': ({len},), }}");
    let mut header = [b' '; HEADER_LEN];
    header[..8].copy_from_slice(b"\x93NUMPY\x01\x00");
    header[8..10].copy_from_slice(&(HEADER_LEN as u16 - 10).to_le_bytes());
    header[10..10 + dictionary.len()].copy_from_slice(dictionary.as_bytes());
    header[HEADER_LEN - 1] = b'\n';
    header
}
