//! Prefetch: asking for a cache line early.

/// Asks the processor to load the cache line of `place`, so that a read a little later does not wait for it. Reads
/// nothing and changes nothing; does nothing on processors for which it is not known how.
#[inline(always)]
pub fn prefetch<T>(place: &T) {
    #[cfg(all(target_arch = "x86_64", not(miri)))]
    {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        #[expect(unsafe_code, reason = "the standard library has no safe one yet")]
        // SAFETY: a prefetch is a hint. It reads nothing that the program can see and faults at no address.
        unsafe {
            _mm_prefetch::<_MM_HINT_T0>(std::ptr::from_ref(place).cast());
        }
    }
    #[cfg(all(target_arch = "aarch64", not(miri)))]
    {
        #[expect(unsafe_code, reason = "likewise")]
        // SAFETY: as above; the instruction changes no register and no flag.
        unsafe {
            std::arch::asm!(
                "prfm pldl1keep, [{place}]",
                place = in(reg) std::ptr::from_ref(place),
                options(nostack, readonly, preserves_flags),
            );
        }
    }
    #[cfg(any(miri, not(any(target_arch = "x86_64", target_arch = "aarch64"))))]
    let _ = place;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_as_it_was() {
        let line = [7_u64; 8];
        prefetch(&line);
        line.iter().for_each(prefetch);
        assert_eq!(line, [7; 8]);
    }
}
