//! The program's allocator, and how soon it gives memory back.
//!
//! mimalloc keeps pages that have become free for a second and looks for them only when it allocates again: what a
//! crowd's arrival took stayed with the server for as long as the crowd just waits, half a kilobyte for each client
//! (T2.2; bench/RESULTS.md, "Waiting clients"). Given back at once, no rate and no CPU time changed measurably.

use std::ffi::{c_int, c_long};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// `mi_option_purge_delay` of mimalloc.h; the test below sees whether it is still that.
const PURGE_DELAY: c_int = 15;

#[expect(
    unsafe_code,
    reason = "mimalloc has no safe way to set an option, its crate no binding without another crate"
)]
// SAFETY: the signature is mimalloc.h's: `void mi_option_set(mi_option_t option, long value)`, an enumeration of C.
unsafe extern "C" {
    fn mi_option_set(option: c_int, value: c_long);
}

/// Memory that is free goes back to the system at once from now on. To be called before there are other threads.
pub(crate) fn give_back_at_once() {
    #[expect(unsafe_code, reason = "as above")]
    // SAFETY: the option is a number below the enumeration's end, which mimalloc checks itself; called by `main`
    // before any thread is started, as mimalloc asks.
    unsafe {
        mi_option_set(PURGE_DELAY, 0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resident_kb() -> u64 {
        let text = std::fs::read_to_string("/proc/self/statm").expect("statm");
        let pages = text.split(' ').nth(1).and_then(|word| word.parse::<u64>().ok()).expect("a number");
        pages * 4
    }

    /// 64 MB in small pieces, freed: gone with the last of them, not a second and an allocation later.
    #[test]
    fn what_is_free_is_given_back() {
        give_back_at_once();
        let before = resident_kb();
        let pieces: Vec<Box<[u8]>> = (0..65_536).map(|_| vec![1; 1000].into_boxed_slice()).collect();
        let held = resident_kb().saturating_sub(before);
        assert!(held > 48 * 1024, "{held} kB held");
        drop(pieces);
        let left = resident_kb().saturating_sub(before);
        assert!(left < held / 4, "{left} kB of {held} kB left");
    }
}
