//! What the processor can do beyond what every one of its kind can.

/// Sets of instructions that functions are compiled for, each with all those before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Instructions {
    /// What every processor has.
    Portable,
    /// AVX2 and instructions on bits, which every processor with AVX2 that was ever built has.
    Avx2,
    /// AVX-512 with instructions on bytes, and AES on vectors.
    Avx512,
}

impl Instructions {
    /// All that the processor has.
    pub fn best() -> Instructions {
        #[cfg(target_arch = "x86_64")]
        if has_avx2() {
            let has_avx512 = is_x86_feature_detected!("avx512f")
                && is_x86_feature_detected!("avx512bw")
                && is_x86_feature_detected!("avx512vl")
                && is_x86_feature_detected!("avx512vbmi")
                && is_x86_feature_detected!("avx512vbmi2")
                && is_x86_feature_detected!("vaes");
            return if has_avx512 { Instructions::Avx512 } else { Instructions::Avx2 };
        }
        Instructions::Portable
    }
}

/// Whether the processor has [`Instructions::Avx2`].
#[cfg(target_arch = "x86_64")]
pub(crate) fn has_avx2() -> bool {
    is_x86_feature_detected!("avx2")
        && is_x86_feature_detected!("bmi1")
        && is_x86_feature_detected!("bmi2")
        && is_x86_feature_detected!("lzcnt")
        && is_x86_feature_detected!("popcnt")
}
