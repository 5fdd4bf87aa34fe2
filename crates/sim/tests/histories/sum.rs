//! What happened in many histories, and the threads that run them.

/// What happened in some histories.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Sum {
    pub(crate) crashes: u32,
    pub(crate) recipients: usize,
    pub(crate) put_off: u32,
    /// Members noted, recipients settled.
    pub(crate) parts: usize,
    pub(crate) settled: usize,
    pub(crate) refused: u32,
}

impl Sum {
    pub(crate) fn and(self, other: Sum) -> Sum {
        Sum {
            crashes: self.crashes + other.crashes,
            recipients: self.recipients + other.recipients,
            put_off: self.put_off + other.put_off,
            parts: self.parts + other.parts,
            settled: self.settled + other.settled,
            refused: self.refused + other.refused,
        }
    }
}

/// Shares the work between two threads.
pub(crate) fn both(range: std::ops::Range<u64>, each: impl Fn(u64) -> Sum + Sync) -> Sum {
    let next = std::sync::atomic::AtomicU64::new(range.start);
    let work = || {
        let mut sum = Sum::default();
        loop {
            let seed = next.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            if seed >= range.end {
                return sum;
            }
            sum = sum.and(each(seed));
        }
    };
    std::thread::scope(|scope| {
        let other = scope.spawn(work);
        let sum = work();
        match other.join() {
            Ok(more) => sum.and(more),
            Err(panic) => std::panic::resume_unwind(panic),
        }
    })
}
