//! What the processor can do beyond what every one of its kind can.

/// Whether the functions that are compiled for AVX2 may be called: they use bit instructions too, which every processor
/// with AVX2 that was ever built has.
#[cfg(target_arch = "x86_64")]
pub(crate) fn has_avx2() -> bool {
    is_x86_feature_detected!("avx2")
        && is_x86_feature_detected!("bmi1")
        && is_x86_feature_detected!("bmi2")
        && is_x86_feature_detected!("lzcnt")
        && is_x86_feature_detected!("popcnt")
}
